"""Carrying a plan out."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from loops_nb.downloads.board import LEAST_CHUNK, Board
from loops_nb.downloads.finishing import Folders, tidy
from loops_nb.downloads.folder_lock import FolderLock
from loops_nb.downloads.jobs import Job
from loops_nb.downloads.marks import MANIFEST
from loops_nb.downloads.places import Bare, There, free_bytes, look
from loops_nb.downloads.plans import CheckpointPlan, Plan
from loops_nb.downloads.progress import Progress, Standing
from loops_nb.downloads.records import Journal, Record, known_files, read_manifest, write_manifest
from loops_nb.downloads.workers import Worker, start
from loops_nb.drawing.wording import many, size
from loops_nb.errors import DownloadError, DownloadIncompleteError, InvalidArgumentError, NoSpaceError
from loops_nb.references import CheckpointRef
from loops_nb.storage import Patience, Storage

AGAIN = "The same command again fetches only what is missing."
_GLANCE_SECONDS = 0.1
_NAMED = 3
#: Whoever presses Ctrl-C waits no longer than this for threads that hang in the network.
_PATIENCE_SECONDS = 0.8


@dataclass(frozen=True, slots=True)
class DownloadedCheckpoint:
    """A checkpoint that is here.

    Parameters
    ----------
    ref
        The checkpoint.
    path
        Its folder.
    files
        Number of files.
    size_bytes
        Bytes of all of them.
    fetched_bytes
        Bytes that came over the network for it this time.
    manifest
        Where it is written down what the folder holds.
    """

    ref: CheckpointRef
    path: Path
    files: int
    size_bytes: int
    fetched_bytes: int
    manifest: Path


@dataclass(frozen=True, slots=True, repr=False)
class Download:
    """What a download came to.

    Parameters
    ----------
    checkpoints
        In the order in which they were asked for.
    seconds
        How long it took.
    fetched_bytes
        Bytes that came over the network.
    """

    checkpoints: tuple[DownloadedCheckpoint, ...]
    seconds: float
    fetched_bytes: int

    def __repr__(self) -> str:
        """Say what it came to; a cell may end with it."""
        files, whole = sum(one.files for one in self.checkpoints), sum(one.size_bytes for one in self.checkpoints)
        folders = ", ".join(str(one.path) for one in self.checkpoints[:_NAMED]) + (", ..." if len(self.checkpoints) > _NAMED else "")
        return f"<Download: {many(files, 'file')}, {size(whole)}, {size(self.fetched_bytes)} of it fetched, in {folders}>"


@dataclass(slots=True)
class _Checkpoint:
    """A checkpoint on its way."""

    plan: CheckpointPlan
    journal: Journal
    known: dict[str, Record]
    jobs: list[Job] = field(default_factory=list)
    manifest: Path | None = None

    def demote(self) -> None:
        """Take the manifest back where it is not true any more: with one there, the folder is what it says."""
        place = self.plan.folder / MANIFEST
        if not os.path.lexists(place) or (read_manifest(self.plan.folder) is not None and not self._lacks_known_files()):
            return
        for record in self.known.values():
            self.journal.add(record)
        place.unlink()

    def _lacks_known_files(self) -> bool:
        return any(job.record is None and job.file.name in self.known for job in self.jobs)

    @property
    def is_whole(self) -> bool:
        return all(job.record is not None for job in self.jobs)


def carry_out(storage: Storage, plan: Plan, *, connections: int = 16, progress: Progress | None = None) -> Download:
    """Bring home what a plan says.

    Files grow under temporary names beside their places and are moved there when they are whole and checked.  Whatever ends this early,
    what has come is kept, and the same plan made again fetches only what is missing.

    Parameters
    ----------
    storage
        Where the files are.
    plan
        See `plan`.
    connections
        How many files, or stretches of large ones, are fetched at a time.
    progress
        Shows how it goes on, from this thread; nothing is shown when left out.

    Raises
    ------
    DownloadError
        If another download into one of the folders is running.
    NoSpaceError
        If the disk cannot hold it: at once where that is known before, else when it is full.
    DownloadIncompleteError
        If files failed; all others are there.
    KeyboardInterrupt
        Within a second, with a note that says what is kept.
    """
    if connections < 1:
        raise InvalidArgumentError("connections must be at least 1.", argument="connections")
    started = time.monotonic()
    folders = Folders(plan.into)
    with contextlib.ExitStack() as held:
        checkpoints = _prepared(storage, plan, folders, held)
        jobs = [job for checkpoint in checkpoints for job in checkpoint.jobs]
        _refuse_what_has_no_room(plan, jobs)
        board = Board(jobs, min(connections, storage.connections))
        try:
            _work(storage, plan, checkpoints, board, folders, min(connections, storage.connections), progress)
        except KeyboardInterrupt as stop:
            stop.add_note(f"{_stopped(jobs)} {AGAIN}")
            raise
        _write_manifests(plan, checkpoints)
    _tell_failures(jobs)
    done_checkpoints = tuple(_downloaded(checkpoint) for checkpoint in checkpoints)
    return Download(done_checkpoints, time.monotonic() - started, sum(c.fetched_bytes for c in done_checkpoints))


def _prepared(storage: Storage, plan: Plan, folders: Folders, held: contextlib.ExitStack) -> list[_Checkpoint]:
    """Take the folders and see what is there now."""
    checkpoints = []
    for planned in plan.checkpoints:
        try:
            folders.make(planned.folder)
            held.enter_context(FolderLock(planned.folder))
        except OSError as error:
            raise DownloadError(
                f"{planned.folder} cannot be written to ({error.strerror or 'unknown fault'}); nothing was downloaded.",
                hint="Choose another folder.",
            ) from None
        journal = Journal(planned.folder)
        held.callback(journal.close)
        checkpoint = _Checkpoint(planned, journal, known_files(planned.folder))
        bare, label = Bare(), planned.ref.folder.as_posix()
        for file_plan in planned.files:
            file, path = file_plan.file, file_plan.path
            found = look(path, file, checkpoint.known.get(file.name), bare)
            job = Job(file, path, f"{label}/{file.name}", found, journal, Patience(storage.retry))
            if found.there is There.WHOLE:
                job.record = found.record
            job.failure = found.why
            checkpoint.jobs.append(job)
        checkpoint.demote()
        checkpoints.append(checkpoint)
    return checkpoints


def _refuse_what_has_no_room(plan: Plan, jobs: list[Job]) -> None:
    # A file that is being replaced counts like a new one: both are there for a moment.
    missing = sum(max(0, (job.file.size or 0) - job.there_bytes) for job in jobs if not job.over)
    free = free_bytes(plan.into)
    if free is not None and missing > free:
        raise NoSpaceError(
            f"{size(missing)} are missing and the disk has room for {size(free)}; nothing was downloaded, and what is there is kept.",
            hint="Make room, choose another folder, or fewer files with --include PATTERN.",
        )


def _work(
    storage: Storage,
    plan: Plan,
    checkpoints: list[_Checkpoint],
    board: Board,
    folders: Folders,
    count: int,
    progress: Progress | None,
) -> None:
    jobs = [job for checkpoint in checkpoints for job in checkpoint.jobs]
    threads = start([Worker(storage, board, folders) for _ in range(min(count, _most_useful(board.jobs)))])
    shown = progress or Progress()
    try:
        with shown:
            for thread in threads:
                while thread.is_alive() and not board.stopped.is_set():
                    thread.join(_GLANCE_SECONDS)
                    if storage.closed:
                        board.stop(_closed(jobs))
                    shown.show(_standing(jobs))
                    _write_manifests(plan, checkpoints)
    finally:
        board.stop()
        until = time.monotonic() + _PATIENCE_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        board.close()
    if board.error is not None:
        raise board.error


def _stopped(jobs: list[Job]) -> str:
    done = sum(job.record is not None for job in jobs)
    return f"The download was stopped: {many(done, 'file')} of {len(jobs):,} and {size(sum(job.there_bytes for job in jobs))} are kept."


def _closed(jobs: list[Job]) -> DownloadError:
    return DownloadError(_stopped(jobs), hint=AGAIN)


def _most_useful(jobs: list[Job]) -> int:
    """Return how many workers could have something to do."""
    return sum(max(1, (job.file.size or 0) // LEAST_CHUNK) for job in jobs)


def _standing(jobs: list[Job]) -> Standing:
    sizes = [job.record.size_bytes if job.record is not None else job.file.size for job in jobs]
    return Standing(
        there_bytes=sum(job.there_bytes for job in jobs),
        total_bytes=None if None in sizes else sum(each for each in sizes if each is not None),
        fetched_bytes=sum(job.fetched_bytes for job in jobs),
        done=sum(job.record is not None for job in jobs),
        failed=sum(bool(job.failure) for job in jobs),
        files=len(jobs),
    )


def _write_manifests(plan: Plan, checkpoints: list[_Checkpoint]) -> None:
    for checkpoint in checkpoints:
        if checkpoint.manifest is None and checkpoint.is_whole:
            records = checkpoint.known | {job.file.name: job.record for job in checkpoint.jobs if job.record is not None}
            checkpoint.manifest = write_manifest(checkpoint.plan.folder, checkpoint.plan.ref, plan.selection, records.values())
            checkpoint.journal.remove()
            for job in checkpoint.jobs:
                if not job.fetched_bytes:
                    tidy(job.path)


def _tell_failures(jobs: list[Job]) -> None:
    failures = {job.label: job.failure for job in jobs if job.failure}
    if failures:
        there = sum(job.record is not None for job in jobs)
        raise DownloadIncompleteError(
            f"{many(len(failures), 'file')} of {len(jobs):,} could not be downloaded: {_quoted(failures)}. "
            f"{f'The other {there:,} are there' if there else 'None is there'}, and what came of these is kept.",
            failures=failures,
            hint=AGAIN,
        )


def _quoted(failures: dict[str, str]) -> str:
    """Return the first failure, which is the only one more often than not."""
    label, failure = next(iter(failures.items()))
    return f"{label}: {failure}" + (f"; and {len(failures) - 1:,} more" if len(failures) > 1 else "")


def _downloaded(checkpoint: _Checkpoint) -> DownloadedCheckpoint:
    records = [job.record for job in checkpoint.jobs if job.record is not None]
    return DownloadedCheckpoint(
        ref=checkpoint.plan.ref,
        path=checkpoint.plan.folder,
        files=len(records),
        size_bytes=sum(record.size_bytes for record in records),
        fetched_bytes=sum(job.fetched_bytes for job in checkpoint.jobs),
        manifest=checkpoint.manifest or checkpoint.plan.folder / MANIFEST,
    )
