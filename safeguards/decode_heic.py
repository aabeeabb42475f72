"""Decode one HEIC picture, as a program of its own: python -P decode_heic.py TASK

The file's bytes come in; a line of JSON goes out, then the pixels, row by row. TASK is
JSON as `safeguards.heic.read` writes it. Where that goes wrong, the line says
"problem", one of the kinds of `safeguards.heic.HeicError`, and "reason".
It imports nothing of ours, so that it starts quickly."""

import base64
import io
import json
import sys

try:
    import resource
except ImportError:  # on Windows, which has no such limits
    resource = None

MEMORY = 2**30  # bytes for Python, the decoder and its threads
MEMORY_A_PIXEL = 24  # bytes, for a picture of 10 bits and its copies


def limit(kind, value):
    """Set a limit for this program, or leave a lower one."""
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, hard))


def decode(data, task):
    """What to write of a picture: (a dictionary, its pixels as bytes)."""
    import pillow_heif

    for extra in ("THUMBNAILS", "DEPTH_IMAGES", "AUX_IMAGES"):
        setattr(pillow_heif.options, extra, False)
    picture = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
    width, height = picture.size
    if width * height > task["most_pixels"]:
        return {"problem": "too large", "reason": f"{width}×{height} pixels"}, b""
    exif = picture.info.get("exif") or b""
    if len(exif) > task["exif_bytes"]:
        exif = b""
    pixels = b""
    if task["with_image"]:
        pixels = picture.data  # libheif turns it upright
    said = {
        "size": picture.size,
        "mode": picture.mode,
        "exif": base64.b64encode(exif).decode(),
    }
    return said, pixels


def main():
    """The program: reads a HEIC file and writes its pixels, or says why not."""
    task = json.loads(sys.argv[1])
    data = sys.stdin.buffer.read()
    if resource is not None:
        limit(resource.RLIMIT_CPU, task["seconds"])
        limit(resource.RLIMIT_CORE, 0)
    if sys.platform == "linux":  # macOS refuses to set it
        memory = MEMORY + MEMORY_A_PIXEL * task["most_pixels"]
        limit(resource.RLIMIT_AS, memory)
    pixels = b""
    try:
        said, pixels = decode(data, task)
    except ImportError as error:
        said = {"problem": "unusable", "reason": str(error)}
    except (MemoryError, OSError) as error:  # pillow-heif: out of memory
        said = {"problem": "costly", "reason": str(error)}
    except Exception as error:  # a decoder may raise anything on a damaged file
        is_costly = "limit" in str(error) or "emory" in str(error)
        kind = "costly" if is_costly else "damaged"
        said = {"problem": kind, "reason": str(error)}
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n")
    sys.stdout.buffer.write(pixels)


if __name__ == "__main__":
    main()
