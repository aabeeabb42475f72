"""The Python that the template notebook is run by, started early.

What runs notebooks takes a second to import. So this imports little: meanwhile the
kernel starts, and begins to import TensorFlow."""

import os
from contextlib import contextmanager
from pathlib import Path

from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync

from safeguards.memory import FEW_ARENAS

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "your_own_pictures.ipynb"
# TensorFlow takes seconds to import: it does so while pictures are looked through.
AHEAD = (
    "import threading; "
    "threading.Thread(target=lambda: __import__('helpers').keras, daemon=True).start()"
)


class StoppedError(Exception):
    """The notebook did not come to its end; says why in a line."""


@contextmanager
def started(folder, results, alike=None, tune=False):
    """A kernel for the notebook on a folder of pictures; it writes into `results`.

    alike: from which likeness on two pictures count as one; None for the notebook's
    own; tune: whether to try fine-tuning. It ends with the `with` block, at the
    latest."""
    kernel = AsyncKernelManager(kernel_name="python3")
    environment = {
        **os.environ,
        **FEW_ARENAS,
        "TRANSFER_PICTURES": str(folder),
        "TRANSFER_RESULTS": str(results),
        "TRANSFER_ALIKE": "" if alike is None else str(alike),
        "TRANSFER_TUNE": "1" if tune else "",
    }
    options = ["--IPKernelApp.log_level=CRITICAL", f"--IPKernelApp.exec_lines={AHEAD}"]
    run_sync(kernel.start_kernel)(
        extra_arguments=options, env=environment, cwd=str(NOTEBOOK.parent)
    )
    try:
        yield kernel
    finally:
        if kernel.has_kernel:
            run_sync(kernel.shutdown_kernel)(now=True)
