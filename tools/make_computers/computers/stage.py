"""The stage: what Blender is told."""

import math

import bmesh
import bpy
import numpy as np
from mathutils import Matrix, Vector

from computers.drawings import colour, shade
from computers.scenes import weighted
from computers.shapes import place


class Stage:
    """One picture's Blender scene. `add` takes shapes; `subject` gathers the points
    that the camera must show, `taken` the ground that is occupied (x and y ranges)."""

    def __init__(self, rng):
        bpy.ops.wm.read_factory_settings(use_empty=True)
        self.rng, self.scene = rng, bpy.context.scene
        self.subject, self.taken, self.fits = [], [], True
        self.materials = {}

    def image(self, picture):
        """A Pillow picture as a Blender image."""
        data = np.asarray(picture.convert("RGBA"), "float32")[::-1] / 255
        image = bpy.data.images.new("picture", *picture.size)
        image.pixels.foreach_set(np.ascontiguousarray(data).ravel())
        return image

    def material(
        self,
        colour,
        rough=0.5,
        metal=0.0,
        coat=0.0,
        glow=0.0,
        image=None,
        soft=0.0,
        glass=0.0,
    ):
        """A Principled material; image: a Pillow picture in place of the colour; glow:
        light."""
        key = (
            tuple(np.round(colour, 3)),
            rough,
            metal,
            coat,
            glow,
            id(image),
            soft,
            glass,
        )
        if key in self.materials:
            return self.materials[key][0]
        material = bpy.data.materials.new("material")
        material.use_nodes = True
        nodes, links = material.node_tree.nodes, material.node_tree.links
        shader = nodes["Principled BSDF"]
        for name, value in {
            "Base Color": (*np.power(colour, 2.2), 1),
            "Roughness": rough,
            "Metallic": metal,
            "Coat Weight": coat,
            "Emission Strength": glow,
            "Subsurface Weight": soft,
            "Subsurface Scale": 0.005,
            "Transmission Weight": glass,
        }.items():
            shader.inputs[name].default_value = value
        if image is not None:
            texture = nodes.new("ShaderNodeTexImage")
            texture.image = self.image(image)
            links.new(
                texture.outputs[0],
                shader.inputs["Emission Color" if glow else "Base Color"],
            )
        self.materials[key] = (
            material,
            image,
        )  # keeps the picture, so that its id stays its own
        return material

    def surface(self, kind, seed, scale):
        """A procedural material for desk or wall, in patterns of about `scale`
        metres."""
        rng = np.random.default_rng(seed)
        material = bpy.data.materials.new(kind)
        material.use_nodes = True
        nodes, links = material.node_tree.nodes, material.node_tree.links
        shader, space = (
            nodes["Principled BSDF"],
            nodes.new("ShaderNodeTexCoord").outputs["Object"],
        )

        def node(name, inputs=(), **settings):
            new = nodes.new("ShaderNode" + name)
            for key, value in settings.items():
                setattr(new, key, value)
            for key, value in dict(inputs).items():
                if hasattr(value, "is_output"):
                    links.new(value, new.inputs[key])
                else:
                    new.inputs[key].default_value = value
            return new

        def ramp(factor, colours, low=0.3, high=0.7):
            new = node("ValToRGB", {0: factor})
            elements = new.color_ramp.elements
            while len(elements) < len(colours):
                elements.new(0.5)
            for element, position, rgb in zip(
                elements, np.linspace(low, high, len(colours)), colours, strict=True
            ):
                element.position, element.color = position, (*np.power(rgb, 2.2), 1)
            return new.outputs[0]

        wooden = kind in ("wood", "planks")
        base = (
            colour(rng, (0.25, 0.65), (0.25, 0.85), (0.04, 0.1))
            if wooden
            else colour(rng, (0, 0.3), (0.3, 0.95))
        )
        stretch = (1, rng.uniform(5, 14), 1) if wooden else (1, 1, 1)
        turn = (
            (0, 0, rng.choice([0, math.pi / 2]) + rng.normal(0, 0.1))
            if kind != "stripes"
            else (0, 0, 0)
        )
        moved = node(
            "Mapping",
            {0: space, 1: rng.uniform(-9, 9, 3), 2: turn, 3: np.array(stretch) / scale},
        ).outputs[0]
        cloudy = node(
            "TexNoise",
            {
                "Vector": moved,
                "Scale": 1.2,
                "Detail": 5.0,
                "Distortion": 1.2 if wooden else 0.3,
            },
        )
        fine = node(
            "TexNoise",
            {"Vector": moved, "Scale": 14.0 if not wooden else 7.0, "Detail": 3.0},
        )
        height, strength = fine.outputs[0], 0.06
        if wooden:
            tones = [
                shade(base, f)
                for f in (
                    rng.uniform(0.45, 0.75),
                    rng.uniform(0.8, 1),
                    1.0,
                    rng.uniform(0.7, 0.95),
                    1.12,
                )
            ]
            tint = ramp(cloudy.outputs[0], tones)
            grain = ramp(fine.outputs[0], [(0.82, 0.8, 0.78), (1, 1, 1)], 0.35, 0.6)
            tint = node(
                "MixRGB", {0: 0.7, 1: tint, 2: grain}, blend_type="MULTIPLY"
            ).outputs[0]
        elif kind == "stone":
            tint = ramp(
                cloudy.outputs[0],
                [shade(base, f) for f in (0.6, 1, 0.85, 1.15)],
                0.35,
                0.65,
            )
        elif kind == "stripes":
            wave = node(
                "TexWave",
                {"Vector": moved, "Scale": rng.uniform(0.5, 1.5)},
                bands_direction="X",
            )
            tint = ramp(
                wave.outputs[1], [base, shade(base, rng.uniform(0.6, 0.9))], 0.45, 0.55
            )
        else:
            tint = ramp(cloudy.outputs[0], [shade(base, f) for f in (0.93, 1, 1.05)])
        if kind in ("brick", "tiles", "planks"):
            turned = (
                node(
                    "Mapping", {0: space, 2: (math.pi / 2, 0, 0), 3: (1 / scale,) * 3}
                ).outputs[0]
                if kind != "planks" or rng.integers(2)
                else moved
            )
            row = {"brick": 0.25, "tiles": 0.5, "planks": 0.35}[kind]
            brick = node(
                "TexBrick",
                {
                    "Vector": turned,
                    "Color1": (1, 1, 1, 1),
                    "Color2": (*[rng.uniform(0.55, 0.95)] * 3, 1),
                    "Mortar": (*[rng.uniform(0.2, 0.9)] * 3, 1),
                    "Scale": 1.0,
                    "Mortar Size": 0.01 if kind != "planks" else 0.005,
                    "Brick Width": {"brick": 0.6, "tiles": 0.5, "planks": 4.0}[kind],
                    "Row Height": row,
                },
                offset=0.0 if kind == "tiles" else 0.5,
            )
            tint = node(
                "MixRGB", {0: 1.0, 1: tint, 2: brick.outputs[0]}, blend_type="MULTIPLY"
            ).outputs[0]
        if kind in ("cloth", "plaster", "brick"):
            strength = rng.uniform(0.15, 0.5)
        rough = (
            rng.uniform(0.75, 1)
            if kind in ("cloth", "plaster", "brick", "stripes")
            else rng.uniform(0.12, 0.7)
        )
        links.new(tint, shader.inputs["Base Color"])
        links.new(
            node(
                "Bump", {"Strength": strength, "Distance": scale / 40, "Height": height}
            ).outputs[0],
            shader.inputs["Normal"],
        )
        spread = node(
            "MapRange",
            {
                0: cloudy.outputs[0],
                1: 0.3,
                2: 0.7,
                3: rough * 0.8,
                4: min(1, rough * 1.2),
            },
        )
        links.new(spread.outputs[0], shader.inputs["Roughness"])
        return material

    def add(
        self, shape, material, at=None, bevel=0.0, seen=True, ground=True, smooth=40
    ):
        """Put a shape on the stage. at: its matrix; bevel: the radius of its edges;
        seen: the camera must show it; ground: it takes the ground below it."""
        points, faces, uv = shape
        mesh = bpy.data.meshes.new("mesh")
        mesh.from_pydata(points.tolist(), [], faces)
        if uv is not None:
            corners = np.empty(len(mesh.loops), "int32")
            mesh.loops.foreach_get("vertex_index", corners)
            mesh.uv_layers.new().data.foreach_set(
                "uv", uv[corners].astype("float32").ravel()
            )
        if bevel:
            work = bmesh.new()
            work.from_mesh(mesh)
            edges = [
                e
                for e in work.edges
                if len(e.link_faces) == 2 and e.calc_face_angle() > 0.6
            ]
            bmesh.ops.bevel(
                work,
                geom=edges,
                offset=bevel,
                segments=2,
                profile=0.6,
                affect="EDGES",
                clamp_overlap=True,
            )
            work.to_mesh(mesh)
            work.free()
        if smooth:
            mesh.polygons.foreach_set("use_smooth", np.ones(len(mesh.polygons), bool))
            mesh.set_sharp_from_angle(angle=math.radians(smooth))
        mesh.materials.append(material)
        at = np.eye(4) if at is None else at
        placed = bpy.data.objects.new("object", mesh)
        placed.matrix_world = Matrix(at)
        self.scene.collection.objects.link(placed)
        world = points @ at[:3, :3].T + at[:3, 3]
        if seen and self.fits:
            self.subject.append(world)
        if ground:
            self.taken.append((*world[:, :2].min(0), *world[:, :2].max(0)))
        return placed

    def scenery(self, shape, material, at, bevel=0.0):
        """`add` what is no subject and takes no ground."""
        return self.add(shape, material, at, bevel, seen=False, ground=False)

    def put(self, at, shape, material, bevel=0.0, seen=True, ground=True, **where):
        """`add` a shape relative to the matrix `at`; where: what `place` takes."""
        return self.add(shape, material, at @ place(**where), bevel, seen, ground)

    def looking(self, where, target):
        """The matrix of a lamp at a place that shines at a target."""
        turn = Vector(target - where).to_track_quat("-Z", "Y").to_matrix().to_4x4()
        return Matrix.Translation(where) @ turn

    def plastic(self, rgb=None, rough=None):
        """Some plastic or painted surface; any colour unless one is given."""
        rgb = colour(self.rng, (0, 0.9), (0.08, 0.9)) if rgb is None else rgb
        return self.material(
            rgb, self.rng.uniform(0.15, 0.6) if rough is None else rough
        )

    def casing(self):
        """What devices and many other things are made of, and its colour."""
        u = self.rng.uniform
        kind = weighted(
            self.rng, black=3, grey=2, silver=2, white=2, beige=1, coloured=1.2
        )
        grey = {
            "black": u(0.04, 0.16),
            "grey": u(0.2, 0.5),
            "silver": u(0.6, 0.8),
            "white": u(0.8, 0.95),
        }
        rgb = (
            (grey[kind],) * 3
            if kind in grey
            else colour(self.rng, (0.1, 0.25), (0.6, 0.85), (0.09, 0.14))
        )
        if kind == "coloured":
            rgb = colour(self.rng, (0.2, 0.7), (0.15, 0.6))
        if kind == "silver":
            return self.material(rgb, u(0.25, 0.45), metal=0.85), rgb
        return self.material(rgb, u(0.2, 0.6), coat=float(u() < 0.3)), rgb

    def paper(self):
        return self.material(
            colour(self.rng, (0, 0.15), (0.8, 0.95), (0.08, 0.16)), 0.9
        )

    def metal(self):
        return self.material(
            (self.rng.uniform(0.5, 0.85),) * 3, self.rng.uniform(0.15, 0.4), metal=1.0
        )

    def glass(self, picture, glow, rough=0.08):
        """A screen's or framed picture's front."""
        return self.material((0.02,) * 3, rough, glow=glow, image=picture)
