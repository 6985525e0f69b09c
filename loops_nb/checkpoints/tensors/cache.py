"""On-disk LRU cache of safetensors headers, so that checkpoints open again without requests for them.

An entry has names, sizes, the bytes of the headers and the adapter's configuration; no URL, and the service's address
only in the hash that names the file.  Any number of processes may use one folder: entries are written atomically, and a
damaged one is ignored.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
import zlib
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import msgspec

from loops_nb.api.references import CheckpointRef
from loops_nb.config.paths import cache_dir
from loops_nb.errors import ConfigError

_MAGIC = b"loops_nb headers 1\n"
_DIGEST_SIZE = 16
_ENDING = ".headers"
_PART = ".part"
#: A temporary file that is older belongs to a process that has ended.
_STALE_SECONDS = 3600.0
#: An entry takes at most this fraction of the limit.
_ENTRY_FRACTION = 8
#: The folder is scanned again after this fraction of the limit was written.
_SCAN_FRACTION = 16
#: Reserve for the writes of all processes between two scans, as a fraction of the limit.
_RESERVE_FRACTION = 4
#: Entries are removed down to this share of the limit, so that not every new entry causes a removal.
_LOW_WATER = 0.9
_MOST_UNPACKED = 256 << 20


class CachedFile(msgspec.Struct, frozen=True, array_like=True):
    """A file as listed, with its header.

    Parameters
    ----------
    name, node_rank, size, last_modified
        As in the listing.
    header : bytes or None
        The header after its first eight bytes; None if it was not read, or the file has no tensors.
    validator : str or None
        Version of the file that the header is of, as ``If-Range`` takes it.
    """

    name: str
    node_rank: int | None
    size: int | None
    last_modified: str | None
    header: bytes | None = None
    validator: str | None = None


class CachedCheckpoint(msgspec.Struct, frozen=True, array_like=True):
    """An entry of the cache.

    Parameters
    ----------
    checkpoint_id : str
        Global id of the checkpoint.
    listed : tuple or None
        Run, name, target and size in the listing of checkpoints; None if only its id was known.
    files : tuple of CachedFile
        All files.
    config : bytes or None
        Content of ``adapter_config.json``.
    """

    checkpoint_id: str
    listed: tuple[str, str, str | None, int] | None
    files: tuple[CachedFile, ...]
    config: bytes | None


class _EntryFile(NamedTuple):
    used: float
    size: int
    path: Path


class HeaderCache:
    """LRU cache of checkpoint headers in a folder; safe with several threads and processes.

    Parameters
    ----------
    folder : Path
        The folder; created by the first `put`, readable by its owner only.
    service : str
        Address of the service: the same id of another service is another checkpoint.
    limit_bytes : int, default 64 MiB
        Size limit of the folder; the least recently used entries are removed first.
    """

    def __init__(self, folder: Path, service: str, *, limit_bytes: int = 64 << 20) -> None:
        self._folder = folder
        self._service = service
        self._limit = limit_bytes
        self._lock = Lock()
        self._written_since_scan: int | None = None

    @classmethod
    def of_user(cls, service: str) -> HeaderCache | None:
        """Return the cache in the user's cache folder; None if there is no such folder."""
        try:
            return cls(cache_dir() / "headers", service)
        except ConfigError:
            return None

    def get(self, checkpoint_id: str) -> CachedCheckpoint | None:
        """Return the entry of a checkpoint by its global id; None if there is none or it is damaged."""
        path = self._path(checkpoint_id)
        try:
            entry = _unpacked(path.read_bytes())
        except OSError:
            return None
        if entry is None or entry.checkpoint_id != checkpoint_id:
            return None
        try:
            os.utime(path)
        except OSError:
            # Counted as older than it is.
            return entry
        return entry

    def put(self, entry: CachedCheckpoint) -> None:
        """Write an entry; errors of the disk are ignored, because the cache only saves time."""
        try:
            packed = _packed(entry)
        except UnicodeEncodeError:
            # A name with a lone surrogate.
            return
        if len(packed) > self._limit // _ENTRY_FRACTION:
            return
        path = self._path(entry.checkpoint_id)
        part = path.with_name(f"{path.stem}.{secrets.token_hex(8)}{_PART}")
        try:
            self._folder.parent.mkdir(parents=True, exist_ok=True)
            self._folder.mkdir(mode=0o700, exist_ok=True)
            try:
                with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(packed)
                part.replace(path)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
            self._evict(len(packed))
        except OSError:
            return

    def _path(self, checkpoint_id: str) -> Path:
        name = hashlib.sha256(f"{self._service}\n{checkpoint_id}".encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / f"{name[:40]}{_ENDING}"

    def _evict(self, written: int) -> None:
        with self._lock:
            # Other processes write there too, so the folder is scanned from time to time.
            if (
                self._written_since_scan is not None
                and self._written_since_scan + written < self._limit // _SCAN_FRACTION
            ):
                self._written_since_scan += written
                return
            self._written_since_scan = 0
            entries = sorted(_entry_files(self._folder))
            total = sum(one.size for one in entries)
            allowed = self._limit - self._limit // _RESERVE_FRACTION
            if total <= allowed:
                return
            for one in entries:
                one.path.unlink(missing_ok=True)
                total -= one.size
                if total <= allowed * _LOW_WATER:
                    return


def _entry_files(folder: Path) -> list[_EntryFile]:
    found = []
    now = time.time()
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                stat = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if entry.name.endswith(_ENDING):
                found.append(_EntryFile(stat.st_mtime, stat.st_size, Path(entry.path)))
            elif entry.name.endswith(_PART) and now - stat.st_mtime > _STALE_SECONDS:
                Path(entry.path).unlink(missing_ok=True)
    return found


def _packed(entry: CachedCheckpoint) -> bytes:
    body = zlib.compress(msgspec.msgpack.encode(entry), 6)
    return _MAGIC + _digest(body) + body


def _unpacked(packed: bytes) -> CachedCheckpoint | None:
    start = len(_MAGIC) + _DIGEST_SIZE
    body = packed[start:]
    if not packed.startswith(_MAGIC) or packed[len(_MAGIC) : start] != _digest(body):
        return None
    try:
        return msgspec.msgpack.decode(zlib.decompressobj().decompress(body, _MOST_UNPACKED), type=CachedCheckpoint)
    except (zlib.error, msgspec.DecodeError):
        return None


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_SIZE).digest()


def listed_fields(ref: CheckpointRef) -> tuple[str, str, str | None, int] | None:
    """Return the listed fields that identify a checkpoint's content; None if they are incomplete."""
    if ref.run_id is None or ref.name is None or ref.size_bytes is None:
        return None
    return ref.run_id, ref.name, ref.target, ref.size_bytes
