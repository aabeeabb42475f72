"""How render_computers.py makes a picture: seed → scene → Blender → JPEG."""
