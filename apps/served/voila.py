"""How `make app` serves notebooks/app.ipynb: to this machine only, just the page."""

import logging
import os

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager

c = get_config()  # noqa: F821

MAX_MESSAGE = 64 * 2**20  # bytes of an upload; tornado's own limit is 10 MiB
IDLE_SECONDS = 600
LOOKING_SECONDS = 60  # between two looks for idle kernels

c.Voila.ip = "127.0.0.1"
# Visitors type addresses: safeguards.addresses then asks public ones only. The kernels
# inherit this.
os.environ.setdefault("TRANSFER_HOSTED", "1")
c.Voila.tornado_settings = {
    # Only under a name of this machine: no web site can give it another.
    "allow_remote_access": False,
    # A page that closes asks for the end of its kernel. Its origin tells that it asks,
    # and no other site. To check a cookie as well, Voila would have to give it that
    # cookie.
    "disable_check_xsrf": True,
    "websocket_max_message_size": MAX_MESSAGE,
    "headers": {
        # No other host takes part. Jupyter's widgets bring styles and short scripts
        # inline.
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self' 'unsafe-inline'; "
            "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
            "font-src 'self' data:; connect-src 'self'; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        "Referrer-Policy": "no-referrer",
    },
}

c.VoilaConfiguration.template = "page"
# Neither the address nor the notebook may choose another, which would load from other
# hosts.
c.VoilaConfiguration.allow_template_override = "NO"
c.VoilaConfiguration.allow_theme_override = "NO"
c.VoilaConfiguration.file_allowlist = []  # no file beside the notebook
c.VoilaConfiguration.extension_allowlist = [
    "@jupyter-widgets/jupyterlab-manager",
    "@voila-dashboards/widgets-manager8",
]


class Kernels(AsyncMappingKernelManager):
    """Spares a kernel that just got its visitor.

    It was idle as long as it waited for one, and the page may not be connected yet.
    (Voila asks only about kernels that no longer wait.)"""

    spared = set()

    async def cull_kernel_if_idle(self, kernel_id):
        """End a kernel without a page, but never at the first look at it."""
        if kernel_id in self.spared:
            await super().cull_kernel_if_idle(kernel_id)
        self.spared.add(kernel_id)


# One kernel has loaded the model before anybody opens the page.
c.VoilaConfiguration.preheat_kernel = True
c.VoilaConfiguration.multi_kernel_manager_class = Kernels
# For pages that vanish without asking for the end of their kernel.
c.MappingKernelManager.cull_idle_timeout = IDLE_SECONDS
c.MappingKernelManager.cull_interval = LOOKING_SECONDS
# Kernels listen on files of this user, not on ports; the names of such files must be
# short.
c.KernelManager.transport = "ipc"
c.Voila.connection_dir_root = "/tmp"


def important(record):
    """Print the address and what goes wrong, not each step of each visit."""
    return record.levelno >= logging.ERROR or "running at" in record.msg


c.Voila.logging_config = {
    "filters": {"important": {"()": lambda: important}},
    "handlers": {"console": {"filters": ["important"]}},
    "loggers": {"tornado.general": {"level": "ERROR"}},
}
