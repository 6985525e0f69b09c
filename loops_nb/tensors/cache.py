"""Headers that were read once, kept on disk: what opens two hundred checkpoints again at once.

An entry holds names, sizes, the headers' own bytes and the adapter's configuration; no URL, and the service's address only as a part of
the hash that names the file.  Any number of processes may use one folder: an entry is put in place whole, and who finds it damaged, or
anything else wrong, reads the headers anew.
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

from loops_nb.errors import ConfigError
from loops_nb.home import cache_dir
from loops_nb.references import CheckpointRef

_MAGIC = b"loops_nb headers 1\n"
_DIGEST_SIZE = 16
_ENDING = ".headers"
_PART = ".part"
#: A file that is still under its temporary name after this long is of a process that has ended.
_STALE_SECONDS = 3600.0
#: An entry takes at most this part of the limit.
_SHARE = 8
#: The folder is looked through again after this part of the limit was written.
_LOOK_AGAIN = 16
#: What is left to all processes that write between two looks, as a part of the limit.
_ROOM = 4
#: So that not every entry after the limit has another one removed.
_KEPT = 0.9
_MOST_UNPACKED = 256 << 20


class KnownFile(msgspec.Struct, frozen=True, array_like=True):
    """A file as it was listed, and what was read of it.

    Parameters
    ----------
    name, node_rank, size, last_modified
        As in the listing.
    header
        The header after its first eight bytes; None where it was not read, or the file holds no tensors.
    validator
        The version of the file that the header is of, as ``If-Range`` takes it.
    """

    name: str
    node_rank: int | None
    size: int | None
    last_modified: str | None
    header: bytes | None = None
    validator: str | None = None


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a checkpoint.

    Parameters
    ----------
    checkpoint_id
        Its global id.
    seen
        What the listing of checkpoints said of it: run, name, target and size; None where it was known by its id only.
    files
        All its files.
    config
        The bytes of ``adapter_config.json``.
    """

    checkpoint_id: str
    seen: tuple[str, str, str | None, int] | None
    files: tuple[KnownFile, ...]
    config: bytes | None


class _Kept(NamedTuple):
    used: float
    size: int
    path: Path


class HeaderCache:
    """The headers of checkpoints in a folder of the user's; safe to use from several threads and processes.

    Parameters
    ----------
    folder
        Where they are; made when the first is kept, for its owner only.
    service
        Address of the service: the same id of another service is another checkpoint.
    limit_bytes
        How much the folder may take; what was not used for longest goes first.
    """

    def __init__(self, folder: Path, service: str, *, limit_bytes: int = 64 << 20) -> None:
        self._folder = folder
        self._service = service
        self._limit = limit_bytes
        self._lock = Lock()
        self._unlooked: int | None = None

    @classmethod
    def of_user(cls, service: str) -> HeaderCache | None:
        """Return the cache in the user's folder for caches; None where the user has none, for a cache only saves time.

        Parameters
        ----------
        service
            As in `HeaderCache`.
        """
        try:
            return cls(cache_dir() / "headers", service)
        except ConfigError:
            return None

    def get(self, checkpoint_id: str) -> Entry | None:
        """Return what is kept of a checkpoint; None if that is nothing, or cannot be used.

        Parameters
        ----------
        checkpoint_id
            Its global id.
        """
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
            # It counts as older than it is.
            return entry
        return entry

    def put(self, entry: Entry) -> None:
        """Keep what was read of a checkpoint.  A disk that does not let us is no trouble: it is read again the next time.

        Parameters
        ----------
        entry
            What to keep.
        """
        try:
            packed = _packed(entry)
        except UnicodeEncodeError:
            # A name that is no text.
            return
        if len(packed) > self._limit // _SHARE:
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
            self._keep_small(len(packed))
        except OSError:
            return

    def _path(self, checkpoint_id: str) -> Path:
        name = hashlib.sha256(f"{self._service}\n{checkpoint_id}".encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / f"{name[:40]}{_ENDING}"

    def _keep_small(self, written: int) -> None:
        with self._lock:
            # Other processes write there too, so nobody's own count is the whole.
            if self._unlooked is not None and self._unlooked + written < self._limit // _LOOK_AGAIN:
                self._unlooked += written
                return
            self._unlooked = 0
            kept = sorted(_kept(self._folder))
            total = sum(one.size for one in kept)
            allowed = self._limit - self._limit // _ROOM
            if total <= allowed:
                return
            for one in kept:
                one.path.unlink(missing_ok=True)
                total -= one.size
                if total <= allowed * _KEPT:
                    return


def _kept(folder: Path) -> list[_Kept]:
    found = []
    now = time.time()
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                stat = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if entry.name.endswith(_ENDING):
                found.append(_Kept(stat.st_mtime, stat.st_size, Path(entry.path)))
            elif entry.name.endswith(_PART) and now - stat.st_mtime > _STALE_SECONDS:
                Path(entry.path).unlink(missing_ok=True)
    return found


def _packed(entry: Entry) -> bytes:
    body = zlib.compress(msgspec.msgpack.encode(entry), 6)
    return _MAGIC + _digest(body) + body


def _unpacked(packed: bytes) -> Entry | None:
    start = len(_MAGIC) + _DIGEST_SIZE
    body = packed[start:]
    if not packed.startswith(_MAGIC) or packed[len(_MAGIC) : start] != _digest(body):
        return None
    try:
        return msgspec.msgpack.decode(zlib.decompressobj().decompress(body, _MOST_UNPACKED), type=Entry)
    except (zlib.error, msgspec.DecodeError):
        return None


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_DIGEST_SIZE).digest()


def seen_of(ref: CheckpointRef) -> tuple[str, str, str | None, int] | None:
    """Return what the listing of checkpoints said of one; None if it said too little to know it again by."""
    if ref.run_id is None or ref.name is None or ref.size_bytes is None:
        return None
    return ref.run_id, ref.name, ref.target, ref.size_bytes
