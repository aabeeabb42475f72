"""Archives from an address: downloaded within limits, checked, and unpacked safely."""

import tarfile
import zipfile

from tqdm.auto import tqdm

from safeguards.addresses import download
from safeguards.whole_files import digest

LARGEST = 2  # times the expected size: what's larger is given up
SLOWEST = 8  # seconds a megabyte, so a megabit a second
PATIENCE = 60  # seconds more


class ArchiveError(ValueError):
    """An archive isn't the expected one, or would write elsewhere; says what to do
    next."""


def fetch_archive(name, address, sha256, megabytes, folder):
    """Download a .zip or .tgz with a progress bar, check it, unpack it into `folder`.
    name: what to call it; megabytes: its size. Raises a FetchError where it can't be
    downloaded, an ArchiveError where it's another file or would write elsewhere, an
    OSError."""
    archive = folder / "archive"

    def show(count, total):
        bar.total = total
        bar.update(count - bar.n)

    with archive.open("wb") as file, tqdm(desc=name, unit="B", unit_scale=True) as bar:
        limit = LARGEST * 10**6 * megabytes
        download(address, file, limit, PATIENCE + SLOWEST * megabytes, progress=show)
    if digest(archive) != sha256:
        raise ArchiveError(
            f"{name}: what arrived is damaged or another file; run this again."
        )
    _unpack(archive, folder)


def _unpack(archive, folder):
    """Unpack an archive into a folder; one that would write elsewhere is refused."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            for name in file.namelist():
                if not (folder / name).resolve().is_relative_to(folder):
                    raise ArchiveError(
                        f"The archive is refused: {name} would be written elsewhere."
                    )
            file.extractall(folder)
        return
    with tarfile.open(archive) as file:
        try:
            file.extractall(folder, filter="data")
        except tarfile.FilterError as error:
            raise ArchiveError(f"The archive is refused: {error}.") from error
