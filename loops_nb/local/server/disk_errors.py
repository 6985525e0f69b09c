"""Responses to disk errors in the data folder (507).

It is 507, which clients take as final: the request was not followed, and sending it again at once would not help.
"""

from __future__ import annotations

import errno
import sqlite3

from starlette.requests import Request
from starlette.responses import Response

from loops_nb.local.errors import StoreError
from loops_nb.local.http_errors import HTTPError

_FULL = (
    "No space is left for the data folder of the local service; nothing of this request was kept. Make room and "
    "send it again."
)
_FAILED = "The data folder of the local service cannot be written ({error}); nothing of this request was kept."
_GONE = (
    "The data folder of the local service was removed while it ran; nothing of this request was kept, and the service "
    "ends. "
    "Start it again: %loops local start, or loops-nb serve."
)
_DISK_CODES = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN}
_DISK_ERRNOS = {errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM}


async def on_disk_error(_: Request, error: Exception) -> Response:
    """Answer a refusal of the disk; any other error is a fault of the service itself and raised again."""
    if isinstance(error, StoreError):
        return HTTPError(507, "DATA_FOLDER_GONE", _GONE).response()
    # The low byte is the kind, the rest the detail.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    number = error.errno if isinstance(error, OSError) else None
    if code == sqlite3.SQLITE_FULL or number in {errno.ENOSPC, errno.EDQUOT}:
        return HTTPError(507, "STORAGE_FULL", _FULL).response()
    if code in _DISK_CODES or number in _DISK_ERRNOS:
        return HTTPError(507, "STORAGE_FAILED", _FAILED.format(error=type(error).__name__)).response()
    raise error
