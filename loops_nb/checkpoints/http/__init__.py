"""Byte ranges of files behind presigned URLs, read without credentials and without ever showing a URL."""

from loops_nb.checkpoints.http.errors import FaultKind, StorageFault
from loops_nb.checkpoints.http.listing import FileService, StoredFile, read_error
from loops_nb.checkpoints.http.reader import RangeReader
from loops_nb.checkpoints.http.storage import Storage

__all__ = ["FaultKind", "FileService", "RangeReader", "Storage", "StorageFault", "StoredFile", "read_error"]
