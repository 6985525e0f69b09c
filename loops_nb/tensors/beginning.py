"""The first bytes of a stored file, with what the server tells of the whole."""

from __future__ import annotations

import time
from typing import NamedTuple

from loops_nb.storage import Body, Patience, Storage, StorageFault, StoredFile
from loops_nb.storage.listings import failed

_PARTIAL = 206
#: A header's first guess is this part of its file, and not above or below these; a large file's bound keeps it under 1 % of all.
_SHARE = 250
_MOST = 64 * 1024
_LEAST = 4 * 1024
#: Of less than this nobody minds what is read too much.
_LARGE = 10_000_000


class Beginning(NamedTuple):
    """How a file begins.

    Parameters
    ----------
    data
        Its first bytes.
    size
        How many it has; None if neither the listing nor the server tells.
    validator
        The version that they are of, as ``If-Range`` takes it.
    """

    data: bytes
    size: int | None
    validator: str | None


def first_guess(size: int | None, total: int) -> int:
    """Return how many bytes to read of a file at first: mostly its whole header.

    Parameters
    ----------
    size
        Bytes of the file; None if they are not known.
    total
        Bytes of the whole checkpoint.
    """
    if size is None:
        return _LEAST
    return min(size, _MOST, max(8 if total >= _LARGE else _LEAST, size // _SHARE))


def beginning(storage: Storage, file: StoredFile, count: int) -> Beginning:
    """Read the first bytes of a file.

    Parameters
    ----------
    storage, file
        What to read from.
    count
        How many bytes; fewer are given if the file has no more.

    Raises
    ------
    StorageError
        If they cannot be had.
    LoopsError
        If the files cannot be listed again.
    """
    if file.size is not None:
        count = min(count, file.size)
    if not count:
        return Beginning(b"", file.size, None)
    patience = Patience(storage.retry)
    while True:
        fault: StorageFault
        try:
            with storage.open(file, first=0, last=count - 1) as body:
                size = body.total if body.status == _PARTIAL else body.length
                expected = min(count, size) if size is not None else count
                data = _read(body, expected)
                if len(data) == expected or (size is None and file.size is None):
                    return Beginning(data, size if size is not None else file.size, body.validator)
                fault = StorageFault("it ends before the bytes that were asked for")
        except StorageFault as error:
            fault = error
        seconds = patience.wait(fault)
        if seconds is None:
            raise failed(file, fault, patience.tried)
        time.sleep(seconds)


def _read(body: Body, count: int) -> bytes:
    into = bytearray(count)
    done = 0
    with memoryview(into) as view:
        while done < count and (got := body.readinto(view[done:])):
            done += got
    return bytes(into[:done])
