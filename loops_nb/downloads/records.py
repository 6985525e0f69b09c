"""What is written down in a folder: the journal of finished files, and the manifest at the end."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from loops_nb._version import __version__
from loops_nb.downloads.boot import boot
from loops_nb.downloads.marks import JOURNAL, MANIFEST
from loops_nb.downloads.selection import Selection
from loops_nb.references import CheckpointRef

FORMAT = 1


class Record(Struct, frozen=True, kw_only=True):
    """A file that is whole.

    Parameters
    ----------
    name
        Its relative name.
    size_bytes, sha256
        What it is.
    node_rank
        The node that wrote it.
    mtime_ns
        When it was written here; with the size it tells cheaply that nobody changed it.
    boot
        In which run of this machine that was; see `loops_nb.downloads.boot`.
    """

    name: str
    size_bytes: int
    sha256: str
    node_rank: int | None = None
    mtime_ns: int = 0
    boot: str = ""


class Source(Struct, frozen=True, kw_only=True):
    """The checkpoint that a folder holds."""

    id: str
    uri: str | None = None
    run_id: str | None = None
    name: str | None = None
    target: str | None = None
    base_model: str | None = None


class Manifest(Struct, frozen=True, kw_only=True):
    """What a folder holds, as it was when the download ended."""

    checkpoint: Source
    files: list[Record]
    include: list[str] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)
    format: int = FORMAT
    tool: str = ""


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a folder; None if there is none, or none that can be read.

    Raises
    ------
    OSError
        If it is there, but may not be read.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = msgspec.json.decode(content, type=Manifest)
        if found.format == FORMAT:
            return found
    return None


def write_manifest(folder: Path, ref: CheckpointRef, selection: Selection, records: Iterable[Record]) -> Path:
    """Write the manifest of a folder: beside its place first, so that there is always a whole one or none."""
    source = Source(id=ref.id, uri=ref.uri, run_id=ref.run_id, name=ref.name, target=ref.target, base_model=ref.base_model)
    whole = Manifest(
        checkpoint=source,
        files=sorted(records, key=lambda record: record.name),
        include=list(selection.include),
        exclude=list(selection.exclude),
        tool=f"loops_nb {__version__}",
    )
    document: dict[str, Any] = msgspec.to_builtins(whole)
    order = ("format", "tool", "checkpoint", "include", "exclude", "files")
    content = msgspec.json.format(msgspec.json.encode({key: document[key] for key in order}), indent=2) + b"\n"
    place = folder / MANIFEST
    growing = folder / f"{MANIFEST}.part"
    with contextlib.suppress(FileNotFoundError):
        growing.unlink()
    with os.fdopen(os.open(growing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
        file.write(content)
        file.flush()
        # With it gone after a power cut, nobody could say any more what the files should be.
        os.fsync(file.fileno())
    growing.replace(place)
    return place


class Journal:
    """Finished files, one line each, written as they are finished; safe to use from several threads.

    Parameters
    ----------
    folder
        The checkpoint's.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOURNAL
        self._lock = threading.Lock()
        self._descriptor: int | None = None

    def read(self) -> dict[str, Record]:
        """Return the last record of each name; a line that was cut off counts for nothing."""
        return read_journal(self._path.parent)

    def add(self, record: Record) -> None:
        """Write a file down, before it is moved to its place: who finds it there then knows what it is."""
        line = msgspec.json.encode(record) + b"\n"
        with self._lock:
            if self._descriptor is None:
                self._descriptor = open_lines(self._path)
            write_all(self._descriptor, line)

    def close(self) -> None:
        """Close it."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def remove(self) -> None:
        """Remove it: the manifest has it all."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()


def read_journal(folder: Path) -> dict[str, Record]:
    """Return the last record of each name in a folder's journal."""
    try:
        content = (folder / JOURNAL).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    found: dict[str, Record] = {}
    for line in content.splitlines():
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            record = msgspec.json.decode(line, type=Record)
            found[record.name] = record
    return found


def known_files(folder: Path) -> dict[str, Record]:
    """Return what is written down of a folder's files: the manifest's, and what came later."""
    manifest = read_manifest(folder)
    return {record.name: record for record in manifest.files} | read_journal(folder) if manifest else read_journal(folder)


def record_of(name: str, node_rank: int | None, *, size: int, sha256: str, mtime_ns: int) -> Record:
    """Return the record of a file that was finished just now."""
    return Record(name=name, size_bytes=size, sha256=sha256, node_rank=node_rank, mtime_ns=mtime_ns, boot=boot())


def open_lines(path: Path) -> int:
    """Open a file of lines to add to; a last line that was cut off is ended first."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        if os.lseek(descriptor, 0, os.SEEK_END):
            os.lseek(descriptor, -1, os.SEEK_END)
            if os.read(descriptor, 1) != b"\n":
                os.write(descriptor, b"\n")
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def write_all(descriptor: int, content: bytes | memoryview) -> None:
    """Write all of it: the system may take less at a time."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
