"""DownloadTarget of a download: where the files of checkpoints are written to."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.http import StoredFile
from loops_nb.checkpoints.transfer.destination import ExistingFile
from loops_nb.checkpoints.transfer.manifest import Manifest, ManifestEntry
from loops_nb.checkpoints.transfer.partial_file import PartialFile
from loops_nb.checkpoints.transfer.selection import Selection

#: Where a file or a folder is.
Place: TypeAlias = Path


class TargetFolder(ABC):
    """Folder of one checkpoint in a target.

    Parameters
    ----------
    place : Path
        Where it is.
    """

    def __init__(self, place: Place) -> None:
        self.place: Place = place

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
    def known_entries(self) -> dict[str, ManifestEntry]:
        """Return the entries of its manifest, and of the journal after it."""

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
    place : Path
        Where it is.
    """

    def __init__(self, place: Place) -> None:
        self.place: Place = place

    @abstractmethod
    def folder(self, ref: CheckpointRef) -> TargetFolder:
        """Return the folder of a checkpoint."""

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
