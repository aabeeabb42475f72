"""Keras's own files, written so that older versions of Keras read them, too."""

import json
import shutil
from zipfile import ZipFile

from safeguards.whole_files import atomic_write

# Settings that Keras 3.15 writes for every layer and that 3.12 refuses, with their
# defaults: left out, they mean the same to both.
NEWER = {
    "input_axes": None,
    "output_axes": None,
    "quantization_config": None,
    "renorm": False,
    "renorm_clipping": None,
    "renorm_momentum": 0.99,
}


def for_older_keras(path):
    """Change a .keras file so that Keras from 3.12 on loads it; it computes the same.
    A setting that's in use stays: an older Keras then refuses the file, and rightly
    so."""
    with atomic_write(path) as draft, ZipFile(path) as old, ZipFile(draft, "w") as new:
        for member in old.infolist():
            if member.filename == "config.json":
                config = json.loads(old.read(member))
                new.writestr(member, json.dumps(_without_newer(config)))
            else:  # the weights can be large: they're never in memory all at once
                with old.open(member) as source, new.open(member, "w") as target:
                    shutil.copyfileobj(source, target)


def _without_newer(config):
    """A configuration, however deep, without the settings that NEWER holds, where
    they're at their defaults."""
    if isinstance(config, list):
        return [_without_newer(value) for value in config]
    if not isinstance(config, dict):
        return config
    return {
        key: _without_newer(value)
        for key, value in config.items()
        if key not in NEWER or value != NEWER[key]
    }
