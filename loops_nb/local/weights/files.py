"""Files of checkpoints: written to the disk as a whole, with their checksums; light to import, for worker processes."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from loops_nb.local.files import private_folder, sync_folder

#: Folder in the data folder: one folder a checkpoint.
CHECKPOINTS = "checkpoints"


class AdapterFile(NamedTuple):
    """A file of a checkpoint: its name, the rank of the node that wrote it, and its bytes."""

    name: str
    node_rank: int
    data: bytes


class WrittenFile(Struct, frozen=True, kw_only=True):
    """A file of a checkpoint that is on the disk."""

    name: str
    node_rank: int
    size_bytes: int
    sha256: str


def written_file(file: AdapterFile) -> WrittenFile:
    """Return name, size and checksum of a file."""
    return WrittenFile(
        name=file.name,
        node_rank=file.node_rank,
        size_bytes=len(file.data),
        sha256=hashlib.sha256(file.data).hexdigest(),
    )


def write_files(folder: Path, files: Iterable[AdapterFile]) -> list[WrittenFile]:
    """Write files into a new folder; all of them or, on an error, none."""
    shutil.rmtree(folder, ignore_errors=True)
    private_folder(folder)
    written = []
    try:
        for file in files:
            path = folder / file.name
            private_folder(path.parent)
            with path.open("wb") as opened:
                opened.write(file.data)
                opened.flush()
                os.fsync(opened.fileno())
            sync_folder(path.parent)
            written.append(written_file(file))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    sync_folder(folder.parent)
    return written
