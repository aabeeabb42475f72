"""A picture: subject, surroundings, clutter, light and camera put together and
rendered."""

import math
import os
import tempfile

import bpy
import numpy as np
from mathutils import Matrix

from computers.camera import develop, fit_camera
from computers.drawings import colour, draw_room, photo
from computers.shapes import box, merge, place, quad
from computers.stage import Stage
from computers.subjects import desktop, handheld, laptop, other
from computers.things import THINGS

SIZE = 160  # pixels a side


def scatter(s, rng, names, centre, size, back):
    """Clutter around the subject, where nothing stands yet and little of it is
    hidden."""
    grown = np.clip((size / 0.25) ** 0.4, 0.6, 1.35)
    for name in names:
        thing, reach, low = THINGS[name]
        reach *= grown
        for _ in range(25):
            angle, far = (
                rng.uniform(0, 2 * math.pi),
                size * rng.uniform(0.35, 1.6) + reach,
            )
            x, y = centre[0] + far * math.cos(angle), centre[1] + far * math.sin(angle)
            nearer = ((x, y) - centre[:2]) @ back[:2] / np.linalg.norm(back[:2])
            if y + reach > s.wall or (not low and nearer > -0.1 * size):
                continue
            if all(
                x + reach < a or x - reach > c or y + reach < b or y - reach > d
                for a, b, c, d in s.taken
            ):
                s.fits = False
                thing(
                    s,
                    rng,
                    place(
                        x,
                        y,
                        0.0012,
                        rng.uniform(0, 360) if name != "frame" else rng.normal(0, 25),
                        scale=grown,
                    ),
                )
                s.taken.append(
                    (x - reach * 0.9, y - reach * 0.9, x + reach * 0.9, y + reach * 0.9)
                )
                break


def light_up(s, rng, setting, centre, size):
    """The world's own light, a window or lamp, and often a second one."""
    light = setting["light"]
    world = bpy.data.worlds.new("world")
    s.scene.world = world
    world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    warm = np.array([1 + 0.18 * light["warmth"], 1, 1 - 0.22 * light["warmth"]])
    background.inputs[0].default_value = (*(1 / warm), 1)
    background.inputs[1].default_value = light["fill"]

    def area(azimuth, elevation, wide, power, tint):
        a, e, far = math.radians(azimuth), math.radians(elevation), 5 * size
        source = bpy.data.lights.new("light", "AREA")
        source.shape, source.size, source.size_y = (
            "RECTANGLE",
            wide * size,
            wide * size * 1.5,
        )
        source.energy, source.color = power * 40 * far**2, tint
        placed = bpy.data.objects.new("light", source)
        where = centre + far * np.array(
            [math.sin(a) * math.cos(e), -math.cos(a) * math.cos(e), math.sin(e)]
        )
        placed.matrix_world = s.looking(where, centre)
        placed.visible_camera = False
        s.scene.collection.objects.link(placed)
        return placed

    placed = area(light["azimuth"], light["elevation"], light["size"], 1.0, warm)
    if light["second"]:
        area(light["second_azimuth"], 35, 1.5, light["second"], 1 / warm)
    if light["blinds"]:
        slat = box(8 * size, 0.16 * size, 0.01 * size)
        slats = merge([(slat, place(y=(i - 10) * 0.3 * size)) for i in range(21)])
        before = np.array(placed.matrix_world) @ place(z=-2.2 * size)
        s.scenery(slats, s.plastic((0.5,) * 3), before).visible_camera = False


BUILDERS = {"desktop": desktop, "laptop": laptop, "handheld": handheld, "other": other}


def surround(s, setting, centre, size, rear):
    """The desk with its far edge, and the wall or the room behind it. rear: the largest
    y that is taken; sets `s.wall`, where the desk ends. Returns the desk's side."""
    scale, far = size * setting["texture"], 60 * size
    s.wall = rear + size * setting["wall_distance"]
    desk = s.surface(setting["desk"], setting["desk_seed"], scale * 1.2)
    top = place(centre[0], s.wall - far / 2, -0.03 * size)
    s.scenery(box(far, far, 0.03 * size), desk, top, 0.006 * size)
    rng = np.random.default_rng(setting["desk_seed"] + 1)
    if setting["wall"] == "room":
        gap, wide = size * rng.uniform(1, 4), size * rng.uniform(9, 14)
        room = s.material(
            (0,) * 3, 1.0, glow=rng.uniform(0.2, 0.6), image=draw_room(rng)
        )
        spot = place(
            centre[0] + rng.normal(0, 0.5) * size, s.wall + gap, 0.2 * size, tilt=90
        )
        s.scenery(quad(wide, wide), room, spot)
        paint = s.plastic(colour(rng, (0, 0.3), (0.2, 0.9)), 0.9)
        s.scenery(quad(far, far), paint, place(0, s.wall + gap + 0.1 * size, tilt=90))
        return far
    wall = s.surface(setting["wall"], setting["desk_seed"] + 2, scale * 1.6)
    s.scenery(quad(far, far), wall, place(0, s.wall, 0, tilt=90))
    if setting["wall_picture"]:
        wide = size * rng.uniform(0.6, 1.3)
        x, z = (
            centre[0] + size * rng.normal(0, 0.9),
            centre[2] + size * rng.uniform(0.9, 1.8),
        )
        spot = place(x, s.wall, z, tilt=90)
        s.scenery(
            box(wide * 1.1, wide * 1.1, 0.02 * size), s.plastic(colour(rng)), spot
        )
        image = s.material((0,) * 3, 0.5, image=photo(rng, 128, 128))
        s.scenery(quad(wide, wide, 0.021 * size), image, spot)
    return far


def aim(s, camera, where, axes, distance, far):
    """Put the camera there, in focus on the subject; far: how far it has to see."""
    eye = bpy.data.cameras.new("camera")
    eye.lens, eye.sensor_width = camera["focal"], 36
    eye.clip_start, eye.clip_end = distance / 50, 100 * far
    eye.dof.use_dof, eye.dof.focus_distance = True, distance
    eye.dof.aperture_fstop = (
        camera["focal"] / 1000 / max(1e-6, 2 * camera["aperture"] * distance)
    )
    s.scene.camera = bpy.data.objects.new("camera", eye)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = axes, where
    s.scene.camera.matrix_world = Matrix(matrix)
    s.scene.collection.objects.link(s.scene.camera)


def trace(s, samples, seed):
    """Follow the light on one thread, denoised: linear RGB (SIZE, SIZE, 3)."""
    frame, cycles = s.scene.render, s.scene.cycles
    frame.engine, frame.resolution_x, frame.resolution_y = "CYCLES", SIZE, SIZE
    frame.threads_mode, frame.threads, frame.filter_size = "FIXED", 1, 1.2
    frame.image_settings.file_format = "OPEN_EXR"
    cycles.samples, cycles.use_adaptive_sampling, cycles.seed = samples, False, seed
    cycles.max_bounces, cycles.transmission_bounces = 4, 4
    cycles.diffuse_bounces = cycles.glossy_bounces = 2
    cycles.caustics_reflective = cycles.caustics_refractive = False
    cycles.sample_clamp_indirect = 3.0
    cycles.denoising_prefilter = "FAST"
    with tempfile.TemporaryDirectory() as folder:
        frame.filepath = os.path.join(folder, "light.exr")
        bpy.ops.render.render(write_still=True)
        data = np.empty(SIZE * SIZE * 4, "float32")
        bpy.data.images.load(frame.filepath).pixels.foreach_get(data)
    return data.reshape(SIZE, SIZE, 4)[::-1, :, :3].astype(float)


def render(scene, samples):
    """Render one scene: an RGB picture of SIZE pixels a side."""
    setting, rng = scene["setting"], np.random.default_rng(scene["detail"])
    s, camera = Stage(rng), setting["camera"]
    BUILDERS[scene["kind"]](s, rng, scene["variant"])
    points = np.concatenate(s.subject)
    low, high = points.min(0), points.max(0)
    centre, size = (low + high) / 2, float(np.linalg.norm(high - low)) / 2
    view = {key: value for key, value in camera.items() if key != "aperture"}
    where, axes, distance = fit_camera(points, **view)
    far = surround(
        s, setting, centre, size, max(high[1], *(taken[3] for taken in s.taken))
    )
    clutter = np.random.default_rng(setting["desk_seed"] + 3)
    scatter(s, clutter, setting["clutter"], centre, size, axes[:, 2])
    light_up(s, rng, setting, centre, size)
    aim(s, camera, where, axes, distance, far)
    return develop(trace(s, samples, scene["detail"] % 2**31), setting, rng)
