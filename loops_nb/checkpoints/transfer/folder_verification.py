"""Verification of downloaded files against their manifest, later and offline."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from loops_nb.checkpoints.executors import Progress, TaskRunner, bytes_a_task
from loops_nb.checkpoints.transfer.filenames import JOURNAL, MANIFEST, name_problem
from loops_nb.checkpoints.transfer.manifest import Manifest, ManifestEntry
from loops_nb.checkpoints.transfer.parallel import map_in_threads
from loops_nb.checkpoints.transfer.places import folder_at, place_of
from loops_nb.checkpoints.transfer.target import Place, TargetFolder
from loops_nb.errors import DownloadError, ExecutorError

_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Verification:
    """Result of verifying a folder.

    Parameters
    ----------
    folder : Path or BucketPath
        The checkpoint's folder.
    id : str
        Global id of its checkpoint.
    uri : str or None
        Its URI.
    files : int
        Number of files that were checked.
    bytes : int
        Bytes that were read.
    differences : dict of str
        From the name of each file that is not as it was downloaded to the reason.
    """

    folder: Place
    id: str
    uri: str | None
    files: int
    bytes: int
    differences: dict[str, str] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether every file is as it was downloaded."""
        return not self.differences


def verify(folder: Place) -> Verification:
    """Compare every file that a folder's manifest names with its size and SHA-256; a folder needs no network.

    Files that the manifest does not name are not checked.

    Parameters
    ----------
    folder : Path or BucketPath
        A checkpoint's folder: the one with the file ``.loops-manifest.json``.

    Returns
    -------
    Verification
        What differs.

    Raises
    ------
    DownloadError
        If there is no manifest, or it is damaged.
    BucketError
        If the bucket cannot be read.
    """
    opened = folder_at(place_of(folder, argument="folder"))
    expected = _expected(opened)
    stopped = threading.Event()
    try:
        found = map_in_threads(
            lambda entry: _difference(opened, entry, stopped),
            expected.entries,
            workers=opened.parallel_reads,
        )
    finally:
        stopped.set()
    return expected.compared(found)


def verify_on_executor(
    runner: TaskRunner, folders: Sequence[Place], progress: Progress | None = None
) -> list[Verification]:
    """Return what `verify` returns for each folder; the files are read by the workers of an executor.

    Parameters
    ----------
    runner : TaskRunner
        Has the executor.
    folders : sequence of Path or BucketPath
        Folders of checkpoints, which the workers have to reach under the same paths.
    progress : callable, optional
        Called with the numbers of read and of all bytes.

    Raises
    ------
    DownloadError
        If a folder has no manifest, or it is damaged.
    ExecutorError
        If a worker does not see a folder.
    """
    expected = [_expected(folder_at(folder)) for folder in folders]
    total = sum(entry.size_bytes for one in expected for entry in one.entries)
    wanted = bytes_a_task(total)
    tasks = (task for one in expected for task in _tasks(one, wanted))
    results = iter(chain.from_iterable(runner.run(tasks, total=total, progress=progress)))
    return [one.compared([next(results) for _ in one.entries]) for one in expected]


@dataclass(frozen=True, slots=True)
class _Expected:
    """What a folder should hold; ``differences`` are those that need no reading of files."""

    folder: Place
    manifest: Manifest
    entries: list[ManifestEntry]
    differences: dict[str, str]

    def compared(self, found: Sequence[tuple[str, int]]) -> Verification:
        """Return the result, from the difference and the bytes that were read of each entry."""
        differing = {entry.name: what for entry, (what, _) in zip(self.entries, found, strict=True) if what}
        return Verification(
            folder=self.folder,
            id=self.manifest.checkpoint.id,
            uri=self.manifest.checkpoint.uri,
            files=len(self.entries),
            bytes=sum(count for _, count in found),
            differences=self.differences | differing,
        )


def _expected(folder: TargetFolder) -> _Expected:
    manifest = _manifest_of(folder)
    differences: dict[str, str] = {}
    entries = {entry.name: entry for entry in manifest.files}
    newer = folder.journal_entries()
    if newer.keys() - entries.keys():
        differences[JOURNAL] = (
            "a download into this folder has not come to its end; the same command again fetches what is missing"
        )
    return _Expected(folder.place, manifest, list((entries | newer).values()), differences)


@dataclass(frozen=True)
class _FilesTask:
    """Compares files of a folder with their entries where it is called."""

    folder: Place
    entries: tuple[ManifestEntry, ...]

    @property
    def units(self) -> int:
        return sum(entry.size_bytes for entry in self.entries)

    def __call__(self) -> list[tuple[str, int]]:
        opened = folder_at(self.folder)
        if not opened.has_manifest():
            # Every file would be called missing.
            raise ExecutorError(
                f"A worker of the executor does not see {self.folder}, so its files were not checked.",
                hint="Run it where the folder is, or share the file system with the workers under the same path.",
            )
        stopped = threading.Event()
        return [_difference(opened, entry, stopped) for entry in self.entries]

    def payload(self, *, share_urls: bool, is_renewed: bool) -> _FilesTask:
        del share_urls, is_renewed
        return self


def _tasks(expected: _Expected, wanted: int) -> Iterator[_FilesTask]:
    entries: list[ManifestEntry] = []
    nbytes = 0
    for entry in expected.entries:
        entries.append(entry)
        nbytes += entry.size_bytes
        if nbytes >= wanted:
            yield _FilesTask(expected.folder, tuple(entries))
            entries, nbytes = [], 0
    if entries:
        yield _FilesTask(expected.folder, tuple(entries))


def _manifest_of(folder: TargetFolder) -> Manifest:
    try:
        manifest = folder.manifest()
        is_there = folder.has_manifest()
    except OSError as error:
        raise DownloadError(
            f"The manifest in {folder.place} cannot be read ({error.strerror or 'unknown fault'})."
        ) from None
    if manifest is not None:
        return manifest
    if is_there:
        raise DownloadError(
            f"The manifest in {folder.place} is damaged, so nothing can be said of the files.",
            hint="Download them again.",
        )
    if folder.has_journal():
        raise DownloadError(
            f"The download into {folder.place} has not come to its end, so there is no manifest yet.",
            hint="Give the same download command again: it fetches only what is missing.",
        )
    raise DownloadError(
        f"There is no {MANIFEST} in {folder.place}, so nothing tells what its files should be.",
        hint="Give the folder of one downloaded checkpoint.",
    )


def _difference(folder: TargetFolder, entry: ManifestEntry, stopped: threading.Event) -> tuple[str, int]:
    """Return how a file differs, empty if it does not, and how many bytes of it were read."""
    if name_problem(entry.name):
        # No download wrote that: nothing outside the folder is read.
        return "its name leads elsewhere", 0
    digest, count = hashlib.sha256(), 0
    try:
        problem = folder.obvious_difference(entry)
        if problem:
            return problem, 0
        for part in folder.read(entry.name, memoryview(bytearray(_BUFFER_BYTES))):
            if stopped.is_set():
                break
            digest.update(part)
            count += len(part)
    except OSError as error:
        return f"it cannot be read ({error.strerror or 'unknown fault'})", 0
    return ("" if digest.hexdigest() == entry.sha256 else "its content is another one (SHA-256)"), count
