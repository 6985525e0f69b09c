"""DownloadTarget of a download on disk: a folder, with a folder for each checkpoint below it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.http import StoredFile
from loops_nb.checkpoints.transfer.destination import (
    EmptyFolders,
    ExistingFile,
    FileState,
    FolderMaker,
    blocking_file,
    free_bytes,
    inspect_file,
    link_in_path,
)
from loops_nb.checkpoints.transfer.filenames import JOURNAL, MANIFEST, part_path, quoted_problems, state_path
from loops_nb.checkpoints.transfer.folder_lock import FolderLock
from loops_nb.checkpoints.transfer.manifest import (
    Journal,
    Manifest,
    ManifestEntry,
    boot_id,
    new_entry,
    read_journal,
    read_manifest,
    write_manifest,
)
from loops_nb.checkpoints.transfer.partial_disk_file import PartialDiskFile
from loops_nb.checkpoints.transfer.partial_file import PartialFile
from loops_nb.checkpoints.transfer.selection import Selection
from loops_nb.checkpoints.transfer.target import DownloadTarget, TargetFolder, size_difference
from loops_nb.errors import DownloadError, UnsafeNameError

_PARALLEL_READS = 4


class DiskFolder(TargetFolder):
    """Folder of a checkpoint on disk.

    Parameters
    ----------
    place : Path
        The folder.
    maker : FolderMaker
        Makes folders.
    """

    def __init__(self, place: Path, maker: FolderMaker) -> None:
        super().__init__(place)
        self._folder = place
        self._maker = maker
        self._journal = Journal(place)
        self._empty = EmptyFolders()

    @property
    def parallel_reads(self) -> int:
        return min(_PARALLEL_READS, os.cpu_count() or 1)

    def prepare(self, held: contextlib.ExitStack) -> None:
        try:
            self._maker.make(self._folder)
            held.enter_context(FolderLock(self._folder))
        except OSError as error:
            raise DownloadError(
                f"{self._folder} cannot be written to ({error.strerror or 'unknown fault'}); nothing was downloaded.",
                hint="Choose another folder.",
            ) from None
        # What was seen before the lock was held may have changed.
        self._empty = EmptyFolders()
        held.callback(self._journal.close)

    def manifest(self) -> Manifest | None:
        return read_manifest(self._folder)

    def journal_entries(self) -> dict[str, ManifestEntry]:
        return read_journal(self._folder)

    def has_journal(self) -> bool:
        return (self._folder / JOURNAL).exists()

    def obvious_difference(self, entry: ManifestEntry) -> str:
        relative = PurePosixPath(entry.name)
        problem = link_in_path(self._folder, relative)
        if problem:
            return problem
        path = self._folder.joinpath(*relative.parts)
        if not path.is_file():
            return "it is no file" if path.exists() else "it is missing"
        return size_difference(path.stat().st_size, entry)

    def inspect(self, file: StoredFile, entry: ManifestEntry | None) -> ExistingFile:
        return inspect_file(self._folder / file.name, file, entry, self._empty)

    def new_partial(self, file: StoredFile, existing: ExistingFile | None = None) -> PartialFile:
        resume, spans = (existing.resume, existing.spans) if existing is not None else (None, ())
        return PartialDiskFile(self._folder / file.name, file.name, file.size, resume=resume, spans=spans)

    def make_parent(self, name: str) -> None:
        self._maker.make((self._folder / name).parent)

    def size_of(self, name: str) -> int:
        return (self._folder / name).stat().st_size

    def is_trusted(self, existing: ExistingFile) -> bool:
        # Written since the machine was started and not moved yet: it cannot have changed.
        entry = existing.entry
        return existing.state is FileState.NOT_MOVED and entry is not None and entry.boot == boot_id()

    def read(self, name: str, buffer: memoryview, *, is_moved: bool = True) -> Iterator[memoryview]:
        path = self._folder / name
        with (path if is_moved else part_path(path)).open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                yield buffer[:count]

    def accept(self, existing: ExistingFile, entry: ManifestEntry) -> ManifestEntry:
        path = self._folder / entry.name
        if existing.state is FileState.NOT_MOVED:
            return self._move(path, entry, replaces=False)
        fresh = _with_time(entry, path)
        self._journal.add(fresh)
        return fresh

    def complete(self, partial: PartialFile, entry: ManifestEntry, *, replaces: bool) -> ManifestEntry:
        moved = self._move(self._folder / entry.name, entry, replaces=replaces)
        if isinstance(partial, PartialDiskFile):
            partial.complete()
        return moved

    def has_manifest(self) -> bool:
        return os.path.lexists(self._folder / MANIFEST)

    def withdraw_manifest(self, entries: Iterable[ManifestEntry]) -> None:
        for entry in entries:
            self._journal.add(entry)
        (self._folder / MANIFEST).unlink()

    def write_manifest(self, ref: CheckpointRef, selection: Selection, entries: Iterable[ManifestEntry]) -> Path:
        path = write_manifest(self._folder, ref, selection, entries)
        self._journal.remove()
        return path

    def remove_leftovers(self, name: str) -> None:
        path = self._folder / name
        for leftover in (state_path(path), part_path(path)):
            with contextlib.suppress(FileNotFoundError):
                leftover.unlink()

    def _move(self, path: Path, entry: ManifestEntry, *, replaces: bool) -> ManifestEntry:
        if not replaces and os.path.lexists(path):
            raise DownloadError("something lies in its place by now; move it away, or choose another folder")
        temporary = part_path(path)
        fresh = _with_time(entry, temporary)
        # The entry first: whatever is found there after a sudden end, it is known what it is.
        self._journal.add(fresh)
        os.replace(temporary, path)  # noqa: PTH105 - a call for each of many small files
        return fresh


class FolderTarget(DownloadTarget):
    """Folder on disk for all checkpoints.

    Parameters
    ----------
    place : Path
        The folder.
    """

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self._into = place
        self._maker = FolderMaker(place)

    def folders(self, refs: Sequence[CheckpointRef]) -> list[TargetFolder]:
        return [DiskFolder(folder_of(self._into, ref), self._maker) for ref in refs]

    def refuse_obstacles(self, selected: Sequence[tuple[CheckpointRef, Sequence[StoredFile]]]) -> None:
        self._refuse_links(selected)
        for ref, _ in selected:
            found = blocking_file(folder_of(self._into, ref))
            if found is not None:
                raise DownloadError(
                    f"{found} is no folder, and one is needed there; nothing was downloaded.",
                    hint="Move it away, or choose another folder.",
                )

    def free_bytes(self) -> int | None:
        return free_bytes(self._into)

    def _refuse_links(self, selected: Sequence[tuple[CheckpointRef, Sequence[StoredFile]]]) -> None:
        wrong: dict[str, str] = {}
        empty = EmptyFolders()
        for ref, files in selected:
            # Folders are shared by many files.
            for parent, names in _by_folder(ref, files).items():
                problem = link_in_path(self._into, parent)
                folder = self._into / parent
                if problem:
                    # One link concerns all that lies behind it.
                    if problem not in wrong.values():
                        wrong[str(parent)] = problem
                    continue
                if folder in empty:
                    continue
                for name in names:
                    if (folder / name).is_symlink():
                        wrong[str(parent / name)] = f"{folder / name} is a link, which is not followed"
        if wrong:
            raise UnsafeNameError(
                f"There are links in the way: {quoted_problems(wrong)}. Nothing was downloaded, and nothing outside "
                f"was touched.",
                refused=wrong,
                hint="Remove them, or choose another folder.",
            )


def folder_of(into: Path, ref: CheckpointRef) -> Path:
    """Return the folder of a checkpoint."""
    return into.joinpath(*ref.folder.parts)


def _with_time(entry: ManifestEntry, path: Path) -> ManifestEntry:
    """Return an entry with the time of the file, by which it is known to be unchanged later."""
    return new_entry(
        entry.name, entry.node_rank, size=entry.size_bytes, sha256=entry.sha256, mtime_ns=path.lstat().st_mtime_ns
    )


def _by_folder(ref: CheckpointRef, files: Sequence[StoredFile]) -> dict[PurePosixPath, list[str]]:
    """Return the last parts of names by their folder."""
    names: dict[str, list[str]] = {}
    for file in files:
        inner, _, last = file.name.rpartition("/")
        names.setdefault(inner, []).append(last)
    return {ref.folder / inner: last for inner, last in names.items()}
