"""DownloadTarget of a download: where the files of checkpoints are written to."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.bucket.path import BucketPath
from loops_nb.checkpoints.http import StoredFile
from loops_nb.checkpoints.transfer.destination import ExistingFile
from loops_nb.checkpoints.transfer.manifest import Manifest, ManifestEntry
from loops_nb.checkpoints.transfer.partial_file import PartialFile
from loops_nb.checkpoints.transfer.selection import Selection

#: Where a file or a folder is.
Place: TypeAlias = Path | BucketPath


class TargetFolder(ABC):
    """Folder of one checkpoint in a target.

    Parameters
    ----------
    place : Path or BucketPath
        Where it is.
    """

    def __init__(self, place: Place) -> None:
        self.place: Place = place

    @property
    @abstractmethod
    def parallel_reads(self) -> int:
        """How many of its files are read at a time to compare their content."""

    @abstractmethod
    def prepare(self, held: contextlib.ExitStack) -> None:
        """Make it writable for this download alone, until the stack is closed.

        Raises
        ------
        DownloadError
            If it cannot be written to, or another download is running.
        """

    @abstractmethod
    def manifest(self) -> Manifest | None:
        """Return its manifest; None if there is none, or it is damaged."""

    @abstractmethod
    def journal_entries(self) -> dict[str, ManifestEntry]:
        """Return the entries of files that were finished since the manifest was written, or before it is."""

    @abstractmethod
    def has_journal(self) -> bool:
        """Return whether a journal is there."""

    @abstractmethod
    def obvious_difference(self, entry: ManifestEntry) -> str:
        """Return how a file differs from its entry, as far as that shows without reading it; empty if it does not."""

    def known_entries(self) -> dict[str, ManifestEntry]:
        """Return the entries of its manifest, and of the journal after it."""
        manifest = self.manifest()
        entries = {entry.name: entry for entry in manifest.files} if manifest is not None else {}
        return entries | self.journal_entries()

    @abstractmethod
    def inspect(self, file: StoredFile, entry: ManifestEntry | None) -> ExistingFile:
        """Return what is there of a file; reads no content and changes nothing."""

    @abstractmethod
    def new_partial(self, file: StoredFile, existing: ExistingFile | None = None) -> PartialFile:
        """Return an attempt at a file, from nothing or from what an earlier download left."""

    @abstractmethod
    def make_parent(self, name: str) -> None:
        """Make the folder of a file, where folders have to be made."""

    @abstractmethod
    def size_of(self, name: str) -> int:
        """Return the bytes of a file that is there."""

    @abstractmethod
    def is_trusted(self, existing: ExistingFile) -> bool:
        """Return whether the content of what is there is known without reading it."""

    @abstractmethod
    def read(self, name: str, buffer: memoryview, *, is_moved: bool = True) -> Iterator[memoryview]:
        """Read a file that is there, a buffer at a time."""

    @abstractmethod
    def accept(self, existing: ExistingFile, entry: ManifestEntry) -> ManifestEntry:
        """Take what is there as the file of an entry; return the entry as it was written down."""

    @abstractmethod
    def complete(self, partial: PartialFile, entry: ManifestEntry, *, replaces: bool) -> ManifestEntry:
        """Write the entry of a complete file and move the file to its place; return the entry.

        Raises
        ------
        DownloadError
            If something else is there by now.
        """

    @abstractmethod
    def has_manifest(self) -> bool:
        """Return whether a manifest is there, damaged or not."""

    @abstractmethod
    def withdraw_manifest(self, entries: Iterable[ManifestEntry]) -> None:
        """Remove the manifest; its entries go to the journal."""

    @abstractmethod
    def write_manifest(self, ref: CheckpointRef, selection: Selection, entries: Iterable[ManifestEntry]) -> Place:
        """Write the manifest atomically, remove the journal, and return where the manifest is."""

    @abstractmethod
    def remove_leftovers(self, name: str) -> None:
        """Remove what is left beside a file that is complete."""


class DownloadTarget(ABC):
    """Place of all checkpoints of a download.

    Parameters
    ----------
    place : Path or BucketPath
        Where it is.
    """

    def __init__(self, place: Place) -> None:
        self.place: Place = place

    @abstractmethod
    def folders(self, refs: Sequence[CheckpointRef]) -> list[TargetFolder]:
        """Return the folder of each checkpoint."""

    @abstractmethod
    def refuse_obstacles(self, selected: Sequence[tuple[CheckpointRef, Sequence[StoredFile]]]) -> None:
        """Raise if something is in the way of the files.

        Raises
        ------
        UnsafeNameError
            If a link leads elsewhere.
        DownloadError
            If something lies where a folder is needed.
        """

    @abstractmethod
    def free_bytes(self) -> int | None:
        """Return the free bytes; None where nothing says how many."""

    def end(self) -> str:
        """Release what a download held, at its end; return what the user should know, if anything."""
        return ""


def size_difference(size: int, entry: ManifestEntry) -> str:
    """Return how the size of a file differs from its entry; empty if it does not."""
    return "" if size == entry.size_bytes else f"it has {size:,} bytes, and had {entry.size_bytes:,}"
