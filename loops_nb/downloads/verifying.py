"""Holding a folder against its manifest, later and offline."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from loops_nb.downloads.marks import JOURNAL, MANIFEST
from loops_nb.downloads.names import what_is_wrong
from loops_nb.downloads.places import links_on_the_way
from loops_nb.downloads.records import Manifest, Record, read_journal, read_manifest
from loops_nb.downloads.side_by_side import side_by_side
from loops_nb.errors import DownloadError
from loops_nb.home import user_path

_BUFFER_BYTES = 1 << 20
_AT_A_TIME = 4


@dataclass(frozen=True, slots=True)
class Verification:
    """What a folder was found to be.

    Parameters
    ----------
    folder
        The checkpoint's folder.
    id, uri
        The checkpoint that it holds.
    files
        Number of files that were looked at.
    bytes
        Bytes that were read.
    differences
        From each file that is not as it was downloaded to what is wrong with it.
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
    """Read every file that a folder's manifest names and hold it against its size and SHA-256; needs no network.

    Files that the manifest does not name are not looked at.

    Parameters
    ----------
    folder
        A checkpoint's folder: the one with the file ``.loops-manifest.json``.

    Raises
    ------
    DownloadError
        If there is no manifest there, or none that can be read.
    """
    folder = user_path(folder, argument="folder", kind="folder").absolute()
    manifest = _manifest_of(folder)
    differences: dict[str, str] = {}
    if (folder / JOURNAL).exists():
        newer = read_journal(folder)
        records = {record.name: record for record in manifest.files} | newer
        if any(name not in {record.name for record in manifest.files} for name in newer):
            differences[JOURNAL] = "a download into this folder has not come to its end; the same command again fetches what is missing"
    else:
        records = {record.name: record for record in manifest.files}
    at_a_time = min(_AT_A_TIME, os.cpu_count() or 1)
    stopped = threading.Event()
    try:
        found = side_by_side(lambda record: _difference(folder, record, stopped), list(records.values()), at_a_time=at_a_time)
    finally:
        stopped.set()
    differences |= {record.name: said for record, (said, _) in zip(records.values(), found, strict=True) if said}
    return Verification(
        folder=folder,
        id=manifest.checkpoint.id,
        uri=manifest.checkpoint.uri,
        files=len(records),
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
        raise DownloadError(f"The manifest in {folder} is damaged, so nothing can be said of the files.", hint="Download them again.")
    if (folder / JOURNAL).exists():
        raise DownloadError(
            f"The download into {folder} has not come to its end, so there is no manifest yet.",
            hint="Give the same download command again: it fetches only what is missing.",
        )
    raise DownloadError(
        f"There is no {MANIFEST} in {folder}, so nothing tells what its files should be.",
        hint="Give the folder of one downloaded checkpoint.",
    )


def _difference(folder: Path, record: Record, stopped: threading.Event) -> tuple[str, int]:
    """Return what is wrong with a file, and how many bytes of it were read."""
    if what_is_wrong(record.name):
        # Whoever wrote that did not download it: nothing outside the folder is read.
        return "its name leads elsewhere", 0
    said = links_on_the_way(folder, PurePosixPath(record.name))
    if said:
        return said, 0
    path = folder.joinpath(*PurePosixPath(record.name).parts)
    try:
        if not path.is_file():
            return ("it is no file" if path.exists() else "it is missing"), 0
        size = path.stat().st_size
        if size != record.size_bytes:
            return f"it has {size:,} bytes, and had {record.size_bytes:,}", 0
        digest, count = hashlib.sha256(), 0
        buffer = memoryview(bytearray(_BUFFER_BYTES))
        with path.open("rb", buffering=0) as file:
            while (got := file.readinto(buffer)) and not stopped.is_set():
                digest.update(buffer[:got])
                count += got
    except OSError as error:
        return f"it cannot be read ({error.strerror or 'unknown fault'})", 0
    return ("" if digest.hexdigest() == record.sha256 else "its content is another one (SHA-256)"), count
