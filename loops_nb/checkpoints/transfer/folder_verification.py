"""Verification of downloaded files against their manifest, later and offline."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from loops_nb.checkpoints.transfer.destination import link_in_path
from loops_nb.checkpoints.transfer.filenames import JOURNAL, MANIFEST, name_problem
from loops_nb.checkpoints.transfer.manifest import Manifest, ManifestEntry, read_journal, read_manifest
from loops_nb.checkpoints.transfer.parallel import map_in_threads
from loops_nb.config.paths import user_path
from loops_nb.errors import DownloadError

_BUFFER_BYTES = 1 << 20
_MAX_THREADS = 4


@dataclass(frozen=True, slots=True)
class Verification:
    """Result of verifying a folder.

    Parameters
    ----------
    folder : Path
        The checkpoint's folder.
    id : str
        Global id of its checkpoint.
    uri : str or None
        Its URI.
    files : int
        Number of files that were checked.
    bytes : int
        Bytes that were read.
    differences : dict of str
        From the name of each file that is not as it was downloaded to the reason.
    """

    folder: Path
    id: str
    uri: str | None
    files: int
    bytes: int
    differences: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every file is as it was downloaded."""
        return not self.differences


def verify(folder: Path) -> Verification:
    """Compare every file that a folder's manifest names with its size and SHA-256; needs no network.

    Files that the manifest does not name are not checked.

    Parameters
    ----------
    folder : Path
        A checkpoint's folder: the one with the file ``.loops-manifest.json``.

    Returns
    -------
    Verification
        What differs.

    Raises
    ------
    DownloadError
        If there is no manifest, or it is damaged.
    """
    folder = user_path(folder, argument="folder", kind="folder").absolute()
    manifest = _manifest_of(folder)
    differences: dict[str, str] = {}
    entries = {entry.name: entry for entry in manifest.files}
    newer = read_journal(folder)
    if newer.keys() - entries.keys():
        differences[JOURNAL] = (
            "a download into this folder has not come to its end; the same command again fetches what is missing"
        )
    entries |= newer
    stopped = threading.Event()
    try:
        found = map_in_threads(
            lambda entry: _difference(folder, entry, stopped),
            list(entries.values()),
            workers=min(_MAX_THREADS, os.cpu_count() or 1),
        )
    finally:
        stopped.set()
    for name, (difference, _) in zip(entries, found, strict=True):
        if difference:
            differences[name] = difference
    return Verification(
        folder=folder,
        id=manifest.checkpoint.id,
        uri=manifest.checkpoint.uri,
        files=len(entries),
        bytes=sum(count for _, count in found),
        differences=differences,
    )


def _manifest_of(folder: Path) -> Manifest:
    try:
        manifest = read_manifest(folder)
        is_there = (folder / MANIFEST).exists()
    except OSError as error:
        raise DownloadError(f"The manifest in {folder} cannot be read ({error.strerror or 'unknown fault'}).") from None
    if manifest is not None:
        return manifest
    if is_there:
        raise DownloadError(
            f"The manifest in {folder} is damaged, so nothing can be said of the files.", hint="Download them again."
        )
    if (folder / JOURNAL).exists():
        raise DownloadError(
            f"The download into {folder} has not come to its end, so there is no manifest yet.",
            hint="Give the same download command again: it fetches only what is missing.",
        )
    raise DownloadError(
        f"There is no {MANIFEST} in {folder}, so nothing tells what its files should be.",
        hint="Give the folder of one downloaded checkpoint.",
    )


def _difference(folder: Path, entry: ManifestEntry, stopped: threading.Event) -> tuple[str, int]:
    """Return how a file differs, empty if it does not, and how many bytes of it were read."""
    if name_problem(entry.name):
        # No download wrote that: nothing outside the folder is read.
        return "its name leads elsewhere", 0
    problem = link_in_path(folder, PurePosixPath(entry.name))
    if problem:
        return problem, 0
    path = folder.joinpath(*PurePosixPath(entry.name).parts)
    try:
        if not path.is_file():
            return ("it is no file" if path.exists() else "it is missing"), 0
        size = path.stat().st_size
        if size != entry.size_bytes:
            return f"it has {size:,} bytes, and had {entry.size_bytes:,}", 0
        digest, count = hashlib.sha256(), 0
        buffer = memoryview(bytearray(_BUFFER_BYTES))
        with path.open("rb", buffering=0) as file:
            while (got := file.readinto(buffer)) and not stopped.is_set():
                digest.update(buffer[:got])
                count += got
    except OSError as error:
        return f"it cannot be read ({error.strerror or 'unknown fault'})", 0
    return ("" if digest.hexdigest() == entry.sha256 else "its content is another one (SHA-256)"), count
