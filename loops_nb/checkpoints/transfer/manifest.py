"""The manifest of a folder of downloads, and the journal of finished files until it is written."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from loops_nb._version import __version__
from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.transfer.filenames import JOURNAL, MANIFEST
from loops_nb.checkpoints.transfer.selection import Selection

FORMAT = 1
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class ManifestEntry(Struct, frozen=True, kw_only=True):
    """A complete file.

    Parameters
    ----------
    name : str
        Its relative name.
    size_bytes : int
        Its size.
    sha256 : str
        In hexadecimal.
    node_rank : int, optional
        The node that wrote it.
    mtime_ns : int, default 0
        When it was written here; with the size it shows cheaply that the file was not changed.
    boot : str, default ""
        `boot_id` at that time.
    etag : str, optional
        In a bucket: the version of the object, which shows the same.
    """

    name: str
    size_bytes: int
    sha256: str
    node_rank: int | None = None
    mtime_ns: int = 0
    boot: str = ""
    etag: str | UnsetType = UNSET


class CheckpointIdentity(Struct, frozen=True, kw_only=True):
    """The checkpoint that a folder holds."""

    id: str
    uri: str | None = None
    run_id: str | None = None
    name: str | None = None
    target: str | None = None
    base_model: str | None = None


class Manifest(Struct, frozen=True, kw_only=True):
    """What a folder holds, as it was when the download ended."""

    checkpoint: CheckpointIdentity
    files: list[ManifestEntry]
    include: list[str] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)
    format: int = FORMAT
    tool: str = ""


@cache
def boot_id() -> str:
    """Return an id of the time since this machine was started; "unknown" where the system has none.

    What was written before a restart may not all have reached the disk.
    """
    try:
        text = _BOOT_ID.read_bytes().strip()
    except OSError:
        return "unknown"
    # Hashed: the manifest is copied with the files, and this identifies a machine.
    return hashlib.sha256(b"loops-nb " + text).hexdigest()[:16]


def read_manifest(folder: Path) -> Manifest | None:
    """Return the manifest of a folder; None if there is none, or it is damaged.

    Raises
    ------
    OSError
        If it exists, but may not be read.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return decoded_manifest(content)


def decoded_manifest(content: bytes) -> Manifest | None:
    """Return a manifest from its content; None if that is damaged."""
    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = msgspec.json.decode(content, type=Manifest)
        if found.format == FORMAT:
            return found
    return None


def encoded_manifest(ref: CheckpointRef, selection: Selection, entries: Iterable[ManifestEntry]) -> bytes:
    """Return the content of a manifest."""
    source = CheckpointIdentity(
        id=ref.id, uri=ref.uri, run_id=ref.run_id, name=ref.name, target=ref.target, base_model=ref.base_model
    )
    whole = Manifest(
        checkpoint=source,
        files=sorted(entries, key=lambda entry: entry.name),
        include=list(selection.include),
        exclude=list(selection.exclude),
        tool=f"loops_nb {__version__}",
    )
    document: dict[str, Any] = msgspec.to_builtins(whole)
    order = ("format", "tool", "checkpoint", "include", "exclude", "files")
    return msgspec.json.format(msgspec.json.encode({key: document[key] for key in order}), indent=2) + b"\n"


def write_manifest(folder: Path, ref: CheckpointRef, selection: Selection, entries: Iterable[ManifestEntry]) -> Path:
    """Write the manifest of a folder atomically."""
    content = encoded_manifest(ref, selection, entries)
    path = folder / MANIFEST
    temporary = folder / f"{MANIFEST}.part"
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), "wb") as file:
        file.write(content)
        file.flush()
        # Without it after a power cut, it would not be known what the files should be.
        os.fsync(file.fileno())
    temporary.replace(path)
    return path


class Journal:
    """Entries of finished files, one line each, written as they are finished; safe to use from several threads.

    Parameters
    ----------
    folder : Path
        The checkpoint's.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOURNAL
        self._lock = threading.Lock()
        self._descriptor: int | None = None

    def read(self) -> dict[str, ManifestEntry]:
        """Return the last entry of each name; a truncated line is ignored."""
        return read_journal(self._path.parent)

    def add(self, entry: ManifestEntry) -> None:
        """Add a file before it is moved to its destination, so that it is known what is found there."""
        line = msgspec.json.encode(entry) + b"\n"
        with self._lock:
            if self._descriptor is None:
                self._descriptor = open_for_append(self._path)
            write_all(self._descriptor, line)

    def close(self) -> None:
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def remove(self) -> None:
        """Remove it: the manifest has all entries."""
        self.close()
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()


def read_journal(folder: Path) -> dict[str, ManifestEntry]:
    """Return the last entry of each name in a folder's journal."""
    try:
        content = (folder / JOURNAL).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return {}
    return decoded_journal(content)


def decoded_journal(content: bytes) -> dict[str, ManifestEntry]:
    """Return the last entry of each name from the content of a journal."""
    found: dict[str, ManifestEntry] = {}
    for line in content.splitlines():
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            entry = msgspec.json.decode(line, type=ManifestEntry)
            found[entry.name] = entry
    return found


def new_entry(name: str, node_rank: int | None, *, size: int, sha256: str, mtime_ns: int) -> ManifestEntry:
    """Return the entry of a file that was finished just now."""
    return ManifestEntry(
        name=name, size_bytes=size, sha256=sha256, node_rank=node_rank, mtime_ns=mtime_ns, boot=boot_id()
    )


def open_for_append(path: Path) -> int:
    """Open a file of lines to append to; a truncated last line is ended first."""
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
    """Write all of it; a single call may write less."""
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
