"""Files behind presigned URLs: their bytes, read in ranges over few connections, without a key and without ever showing a URL."""

from loops_nb.storage.body import Body
from loops_nb.storage.faults import StorageFault
from loops_nb.storage.files import FileService, StoredFile
from loops_nb.storage.patience import Patience
from loops_nb.storage.store import Storage

__all__ = ["Body", "FileService", "Patience", "Storage", "StorageFault", "StoredFile"]
