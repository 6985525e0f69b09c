"""Target of a download in a bucket: objects that appear when they are complete, with the manifest last."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.bucket.path import BucketPath
from loops_nb.checkpoints.bucket.store import BucketStore, StoredObject
from loops_nb.checkpoints.http import StoredFile
from loops_nb.checkpoints.transfer.destination import ExistingFile, FileState
from loops_nb.checkpoints.transfer.filenames import JOURNAL, MANIFEST
from loops_nb.checkpoints.transfer.manifest import (
    Manifest,
    ManifestEntry,
    decoded_journal,
    decoded_manifest,
    encoded_manifest,
)
from loops_nb.checkpoints.transfer.parallel import map_in_threads
from loops_nb.checkpoints.transfer.partial_file import PartialFile
from loops_nb.checkpoints.transfer.selection import Selection
from loops_nb.checkpoints.transfer.target import DownloadTarget, TargetFolder, size_difference
from loops_nb.checkpoints.transfer.upload import Cancellations, PartialUpload
from loops_nb.errors import BucketError, DownloadError

logger: logging.Logger = logging.getLogger(__name__)
_LOOKED_AT_A_TIME = 16
#: Files whose content is compared at a time.
_PARALLEL_READS = 8
#: An end waits no longer than this for the server to cancel uploads.
_CANCEL_SECONDS = 10.0


class BucketJournal:
    """Entries of finished files as one object, which is replaced for each few; safe to use from several threads.

    Parameters
    ----------
    store : BucketStore
        The folder of the checkpoint.
    """

    def __init__(self, store: BucketStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._entries: dict[str, ManifestEntry] = {}
        self._version = self._written = 0
        self.exists: bool = False

    def read(self) -> dict[str, ManifestEntry]:
        """Return the last entry of each name."""
        content = self._store.get(JOURNAL)
        self.exists = content is not None
        found = {} if content is None else decoded_journal(content)
        with self._lock:
            self._entries = found | self._entries
        return found

    def note(self, entry: ManifestEntry) -> int:
        """Take in an entry, which is written with the next one; return the version that has it."""
        with self._lock:
            self._entries[entry.name] = entry
            self._version += 1
            return self._version

    def add(self, *entries: ManifestEntry) -> None:
        """Write entries; those of files that end at the same time are written together.

        Raises
        ------
        BucketError
            If they cannot be written.
        """
        version = max((self.note(entry) for entry in entries), default=0)
        self._write(version)

    def flush(self) -> None:
        """Write what was only noted."""
        with self._lock:
            version = self._version
        self._write(version)

    def remove(self) -> None:
        """Remove it: the manifest has all entries."""
        with self._writing:
            self._written = self._version
            if self.exists:
                self._store.delete(JOURNAL)
                self.exists = False

    def _write(self, version: int) -> None:
        with self._writing:
            if self._written >= version:
                return
            with self._lock:
                content = b"".join(msgspec.json.encode(entry) + b"\n" for entry in self._entries.values())
                written = self._version
            self._store.put(JOURNAL, content)
            self._written, self.exists = written, True


class BucketFolder(TargetFolder):
    """Folder of a checkpoint in a bucket.

    Two downloads into it at a time do no harm, since objects appear whole, but fetch everything twice: there is no lock
    that would end with its process.

    Parameters
    ----------
    store : BucketStore
        The folder.
    cancellations : Cancellations
        Runs the cancelling of uploads.
    """

    def __init__(self, store: BucketStore, cancellations: Cancellations) -> None:
        super().__init__(store.place)
        self._store = store
        self._journal = BucketJournal(self._store)
        self._cancellations = cancellations
        self._listed: dict[str, StoredObject] | None = None
        self._manifest: Manifest | None = None

    @property
    def parallel_reads(self) -> int:
        return _PARALLEL_READS

    def look(self) -> None:
        """Find out what is there."""
        self._listed = self._store.list()
        content = self._store.get(MANIFEST) if MANIFEST in self._listed else None
        self._manifest = None if content is None else decoded_manifest(content)

    @property
    def _objects(self) -> dict[str, StoredObject]:
        if self._listed is None:
            self.look()
        return self._listed or {}

    def prepare(self, held: contextlib.ExitStack) -> None:
        held.callback(self._end)

    def manifest(self) -> Manifest | None:
        return self._manifest if self._objects else None

    def has_manifest(self) -> bool:
        return MANIFEST in self._objects

    def journal_entries(self) -> dict[str, ManifestEntry]:
        return self._journal.read() if JOURNAL in self._objects else {}

    def has_journal(self) -> bool:
        return JOURNAL in self._objects

    def obvious_difference(self, entry: ManifestEntry) -> str:
        found = self._objects.get(entry.name)
        return "it is missing" if found is None else size_difference(found.size, entry)

    def inspect(self, file: StoredFile, entry: ManifestEntry | None) -> ExistingFile:
        found = self._objects.get(file.name)
        if found is None:
            return ExistingFile(FileState.MISSING)
        if entry is None:
            return ExistingFile(FileState.FOREIGN)
        if found.size != entry.size_bytes or file.size not in {None, entry.size_bytes}:
            return ExistingFile(FileState.MISSING, is_ours=True)
        is_unchanged = bool(entry.etag) and found.etag == entry.etag
        return ExistingFile(FileState.COMPLETE if is_unchanged else FileState.UNVERIFIED, entry)

    def new_partial(self, file: StoredFile, existing: ExistingFile | None = None) -> PartialFile:
        del existing
        return PartialUpload(self._store, file.name, file.size, self._cancellations)

    def make_parent(self, name: str) -> None:
        """Do nothing: buckets have no folders."""

    def size_of(self, name: str) -> int:
        return self._objects[name].size

    def is_trusted(self, existing: ExistingFile) -> bool:
        del existing
        return False

    def read(self, name: str, buffer: memoryview, *, is_moved: bool = True) -> Iterator[memoryview]:
        del buffer, is_moved
        return map(memoryview, self._store.stream(name, self._objects[name]))

    def accept(self, existing: ExistingFile, entry: ManifestEntry) -> ManifestEntry:
        del existing
        fresh = _with_version(entry, self._objects[entry.name])
        self._journal.add(fresh)
        return fresh

    def complete(self, partial: PartialFile, entry: ManifestEntry, *, replaces: bool) -> ManifestEntry:
        if not isinstance(partial, PartialUpload):
            raise TypeError("a file on its way into a bucket is an upload")
        if not replaces and self._store.head(entry.name) is not None:
            raise DownloadError("something lies in its place by now; move it away, or choose another folder")
        # The entry first: whatever is found there after a sudden end, it is known what it is.
        self._journal.add(entry)
        partial.complete()
        found = self._store.head(entry.name)
        if found is None or found.size != entry.size_bytes:
            has = "is not there" if found is None else f"has {found.size:,} bytes"
            raise BucketError(
                f"{self.place / entry.name} {has} after {entry.size_bytes:,} bytes of it were written.",
                hint="Try again: the same command writes it once more.",
            )
        fresh = _with_version(entry, found)
        self._journal.note(fresh)
        return fresh

    def withdraw_manifest(self, entries: Iterable[ManifestEntry]) -> None:
        self._journal.add(*entries)
        self._store.delete(MANIFEST)

    def write_manifest(self, ref: CheckpointRef, selection: Selection, entries: Iterable[ManifestEntry]) -> BucketPath:
        self._store.put(MANIFEST, encoded_manifest(ref, selection, entries))
        self._journal.remove()
        return self._store.place / MANIFEST

    def remove_leftovers(self, name: str) -> None:
        """Do nothing: an upload leaves nothing beside its object."""

    def _end(self) -> None:
        try:
            self._journal.flush()
        except BucketError as error:
            # Of those files the content is read once more by the next download.
            logger.debug("The journal could not be written: %s", error.message)


class BucketTarget(DownloadTarget):
    """Place in a bucket for all checkpoints.

    Parameters
    ----------
    place : BucketPath
        The place.
    """

    def __init__(self, place: BucketPath) -> None:
        super().__init__(place)
        self._into = place
        self._store = BucketStore(place)
        self._cancellations = Cancellations()

    def folders(self, refs: Sequence[CheckpointRef]) -> list[TargetFolder]:
        found = [BucketFolder(self._store.at(self._into / ref.folder), self._cancellations) for ref in refs]
        map_in_threads(BucketFolder.look, found, workers=_LOOKED_AT_A_TIME)
        return [*found]

    def refuse_obstacles(self, selected: Sequence[tuple[CheckpointRef, Sequence[StoredFile]]]) -> None:
        """Do nothing: there are neither links nor folders."""

    def free_bytes(self) -> int | None:
        return None

    def end(self) -> str:
        self._cancellations.wait(_CANCEL_SECONDS)
        if not self._cancellations.failed:
            return ""
        return (
            f"Parts of unfinished files may be left in {self._into.scheme}://{self._into.bucket} and cost storage, "
            f"until a lifecycle rule of the bucket removes them."
        )


def _with_version(entry: ManifestEntry, found: StoredObject) -> ManifestEntry:
    return msgspec.structs.replace(entry, mtime_ns=0, boot="", etag=found.etag)
