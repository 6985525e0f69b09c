"""Reads the first bytes of a stored file, with its size and version."""

from __future__ import annotations

import time
from http import HTTPStatus
from typing import NamedTuple

from loops_nb.checkpoints.http import RangeReader, Storage, StorageFault, StoredFile, read_error
from loops_nb.client.retry import RetryState

#: The first read takes this fraction of a file, within the bounds; of a large checkpoint less than 1 % is read.
_FRACTION = 250
_MAX_BYTES = 64 * 1024
_MIN_BYTES = 4 * 1024
#: For checkpoints below this size the lower bound does not matter.
_LARGE = 10_000_000


class FileStart(NamedTuple):
    """The start of a file.

    Parameters
    ----------
    data : bytes
        Its first bytes.
    size : int or None
        Size of the file in bytes; None if neither the listing nor the server knows it.
    validator : str or None
        Version of the file, as ``If-Range`` takes it.
    """

    data: bytes
    size: int | None
    validator: str | None


def header_guess(size: int | None, total: int) -> int:
    """Return how many bytes to read first, usually enough for the whole header.

    Parameters
    ----------
    size : int or None
        Bytes of the file, if known.
    total : int
        Bytes of the whole checkpoint.
    """
    if size is None:
        return _MIN_BYTES
    least = 8 if total >= _LARGE else _MIN_BYTES
    return min(size, _MAX_BYTES, max(least, size // _FRACTION))


def read_start(storage: Storage, file: StoredFile, count: int) -> FileStart:
    """Read the first bytes of a file.

    Parameters
    ----------
    storage : Storage
        Reads the file.
    file : StoredFile
        The file.
    count : int
        Number of bytes; fewer are returned if the file is shorter.

    Raises
    ------
    StorageError
        If they cannot be read.
    LoopsError
        If the files cannot be listed again.
    """
    if file.size is not None:
        count = min(count, file.size)
    if not count:
        return FileStart(b"", file.size, None)
    state = RetryState(storage.retry)
    while True:
        fault: StorageFault
        try:
            with storage.open(file, first=0, last=count - 1) as reader:
                size = reader.total if reader.status == HTTPStatus.PARTIAL_CONTENT else reader.length
                expected = count if size is None else min(count, size)
                data = _read(reader, expected)
                if size is None:
                    size = file.size
                if len(data) == expected or size is None:
                    return FileStart(data, size, reader.validator)
                fault = StorageFault("it ends before the bytes that were requested")
        except StorageFault as error:
            fault = error
        seconds = state.next_wait(is_transient=fault.is_transient, retry_after=fault.retry_after)
        if seconds is None:
            raise read_error(file, fault, state.summary)
        time.sleep(seconds)


def _read(reader: RangeReader, count: int) -> bytes:
    into = bytearray(count)
    done = 0
    with memoryview(into) as view:
        while done < count and (got := reader.readinto(view[done:])):
            done += got
    return bytes(into[:done])
