"""Executes the plan of a download."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field

from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.http import Storage
from loops_nb.checkpoints.transfer.destination import FileState
from loops_nb.checkpoints.transfer.filenames import MANIFEST
from loops_nb.checkpoints.transfer.jobs import DownloadJob
from loops_nb.checkpoints.transfer.manifest import ManifestEntry
from loops_nb.checkpoints.transfer.places import target_of
from loops_nb.checkpoints.transfer.plans import CheckpointPlan, DownloadPlan, total_size
from loops_nb.checkpoints.transfer.progress import DownloadProgress
from loops_nb.checkpoints.transfer.target import DownloadTarget, Place, TargetFolder
from loops_nb.checkpoints.transfer.work_queue import MIN_SPLIT_BYTES, WorkQueue
from loops_nb.checkpoints.transfer.workers import DownloadWorker, start_workers
from loops_nb.client.retry import RetryState
from loops_nb.errors import BucketError, DownloadError, DownloadIncompleteError, InvalidArgumentError, NoSpaceError
from loops_nb.render.formatting import first_few, many, size
from loops_nb.render.status import ProgressDisplay

RESUME_HINT = "The same command again fetches only what is missing."
_POLL_SECONDS = 0.1
_NAMED = 3
#: Ctrl-C waits no longer than this for threads that hang in the network.
_JOIN_SECONDS = 0.8


@dataclass(frozen=True, slots=True)
class DownloadedCheckpoint:
    """A downloaded checkpoint.

    Parameters
    ----------
    ref : CheckpointRef
        The checkpoint.
    path : Path or BucketPath
        Its folder.
    files : int
        Number of files.
    size_bytes : int
        Bytes of all of them.
    fetched_bytes : int
        Bytes that came over the network for it this time.
    manifest : Path or BucketPath
        The manifest of the folder.
    """

    ref: CheckpointRef
    path: Place
    files: int
    size_bytes: int
    fetched_bytes: int
    manifest: Place


@dataclass(frozen=True, slots=True, repr=False)
class Download:
    """Result of a download.

    Parameters
    ----------
    checkpoints : tuple of DownloadedCheckpoint
        In the order of the request.
    seconds : float
        How long it took.
    fetched_bytes : int
        Bytes that came over the network.
    """

    checkpoints: tuple[DownloadedCheckpoint, ...]
    seconds: float
    fetched_bytes: int

    def __repr__(self) -> str:
        """Return a summary; a cell may end with a download."""
        files = sum(one.files for one in self.checkpoints)
        total = sum(one.size_bytes for one in self.checkpoints)
        folders = first_few([str(one.path) for one in self.checkpoints], _NAMED)
        return (
            f"<Download: {many(files, 'file')}, {size(total)}, {size(self.fetched_bytes)} of it fetched, in {folders}>"
        )


@dataclass(slots=True)
class _CheckpointDownload:
    """A checkpoint that is being downloaded."""

    plan: CheckpointPlan
    folder: TargetFolder
    known: dict[str, ManifestEntry]
    jobs: list[DownloadJob] = field(default_factory=list)
    manifest: Place | None = None

    def withdraw_manifest(self) -> None:
        """Remove the manifest where files that it names are missing; their entries go to the journal."""
        if self.folder.has_manifest() and (self.folder.manifest() is None or self._lacks_known_entries()):
            self.folder.withdraw_manifest(self.known.values())

    def _lacks_known_entries(self) -> bool:
        return any(job.entry is None and job.file.name in self.known for job in self.jobs)

    @property
    def is_complete(self) -> bool:
        return all(job.entry is not None for job in self.jobs)


def execute_plan(
    storage: Storage, plan: DownloadPlan, *, connections: int = 16, progress: ProgressDisplay | None = None
) -> Download:
    """Download what a plan contains.

    Files are written under temporary names beside their destinations and are moved there when they are complete and
    verified.  If this ends early, what has come is kept, and the same plan made again fetches only what is missing.

    Parameters
    ----------
    storage : Storage
        Where the files are.
    plan : DownloadPlan
        See `plan`.
    connections : int, default 16
        How many files, or segments of large ones, are fetched at a time.
    progress : ProgressDisplay, optional
        Updated from this thread; nothing is shown without one.

    Returns
    -------
    Download
        What was downloaded.

    Raises
    ------
    DownloadError
        If another download into one of the folders is running.
    NoSpaceError
        If the disk cannot hold it: at once where that is known before, else when it is full.
    DownloadIncompleteError
        If files failed; all others are complete.
    BucketError
        If the bucket cannot be read or written; what was complete is kept.
    KeyboardInterrupt
        Within a second (of a bucket: when the server has cancelled what was not complete), with a note that says what
        is kept.
    """
    if connections < 1:
        raise InvalidArgumentError("connections must be at least 1.", argument="connections")
    started = time.monotonic()
    target = target_of(plan.into)
    with contextlib.ExitStack() as held:
        held.callback(target.end)
        checkpoints = _prepare(storage, target, plan, held)
        jobs = [job for checkpoint in checkpoints for job in checkpoint.jobs]
        _check_free_space(target, jobs)
        queue = WorkQueue(jobs, min(connections, storage.connections))
        refusal: BucketError | None = None
        try:
            _work(storage, plan, checkpoints, queue, min(connections, storage.connections), progress)
        except KeyboardInterrupt as stop:
            stop.add_note(" ".join(filter(None, (_stopped(jobs), target.end(), RESUME_HINT))))
            raise
        except BucketError as error:
            end = " ".join(filter(None, (error.message, _stopped(jobs), target.end())))
            refusal = BucketError(end, status=error.status, hint=error.hint)
        if refusal is not None:
            raise refusal
        _write_manifests(plan, checkpoints)
    _raise_failures(jobs)
    done_checkpoints = tuple(_downloaded(checkpoint) for checkpoint in checkpoints)
    return Download(done_checkpoints, time.monotonic() - started, sum(c.fetched_bytes for c in done_checkpoints))


def _prepare(
    storage: Storage, target: DownloadTarget, plan: DownloadPlan, held: contextlib.ExitStack
) -> list[_CheckpointDownload]:
    """Lock the folders and look at what is there now."""
    checkpoints = []
    folders = target.folders([planned.ref for planned in plan.checkpoints])
    for planned, folder in zip(plan.checkpoints, folders, strict=True):
        folder.prepare(held)
        checkpoint = _CheckpointDownload(planned, folder, folder.known_entries())
        label = planned.ref.folder.as_posix()
        for file_plan in planned.files:
            file = file_plan.file
            existing = folder.inspect(file, checkpoint.known.get(file.name))
            job = DownloadJob(file, folder, f"{label}/{file.name}", existing, RetryState(storage.retry))
            if existing.state is FileState.COMPLETE:
                job.entry = existing.entry
            job.failure = existing.problem
            checkpoint.jobs.append(job)
        checkpoint.withdraw_manifest()
        checkpoints.append(checkpoint)
    return checkpoints


def _check_free_space(target: DownloadTarget, jobs: list[DownloadJob]) -> None:
    # A file that is replaced counts like a new one: both exist for a moment.
    missing = sum(max(0, (job.file.size or 0) - job.present_bytes) for job in jobs if not job.is_over)
    free = target.free_bytes()
    if free is not None and missing > free:
        raise NoSpaceError(
            f"{size(missing)} are missing and the disk has room for {size(free)}; nothing was downloaded, and what is "
            f"there is kept.",
            hint="Make room, choose another folder, or fewer files with --include PATTERN.",
        )


def _work(
    storage: Storage,
    plan: DownloadPlan,
    checkpoints: list[_CheckpointDownload],
    queue: WorkQueue,
    count: int,
    progress: ProgressDisplay | None,
) -> None:
    jobs = [job for checkpoint in checkpoints for job in checkpoint.jobs]
    threads = start_workers([DownloadWorker(storage, queue) for _ in range(min(count, _useful_workers(queue.jobs)))])
    display = progress or ProgressDisplay()
    try:
        with display:
            for thread in threads:
                while thread.is_alive() and not queue.stopped.is_set():
                    thread.join(_POLL_SECONDS)
                    if storage.closed:
                        queue.stop(_closed(jobs))
                    display.update(_progress(jobs))
                    _write_manifests(plan, checkpoints)
    finally:
        queue.stop()
        until = time.monotonic() + _JOIN_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        queue.close()
    if queue.error is not None:
        raise queue.error


def _stopped(jobs: list[DownloadJob]) -> str:
    done = sum(job.entry is not None for job in jobs)
    return (
        f"The download was stopped: {many(done, 'file')} of {len(jobs):,} and "
        f"{size(sum(job.present_bytes for job in jobs))} are kept."
    )


def _closed(jobs: list[DownloadJob]) -> DownloadError:
    return DownloadError(_stopped(jobs), hint=RESUME_HINT)


def _useful_workers(jobs: list[DownloadJob]) -> int:
    """Return for how many workers there is work at most."""
    return sum(max(1, (job.file.size or 0) // MIN_SPLIT_BYTES) for job in jobs)


def _progress(jobs: list[DownloadJob]) -> DownloadProgress:
    sizes = (job.entry.size_bytes if job.entry is not None else job.file.size for job in jobs)
    return DownloadProgress(
        done_bytes=sum(job.present_bytes for job in jobs),
        total_bytes=total_size(sizes),
        fetched_bytes=sum(job.fetched_bytes for job in jobs),
        done=sum(job.entry is not None for job in jobs),
        failed=sum(bool(job.failure) for job in jobs),
        files=len(jobs),
    )


def _write_manifests(plan: DownloadPlan, checkpoints: list[_CheckpointDownload]) -> None:
    for checkpoint in checkpoints:
        if checkpoint.manifest is None and checkpoint.is_complete:
            entries = checkpoint.known | {job.file.name: job.entry for job in checkpoint.jobs if job.entry is not None}
            checkpoint.manifest = checkpoint.folder.write_manifest(
                checkpoint.plan.ref, plan.selection, entries.values()
            )
            for job in checkpoint.jobs:
                if not job.fetched_bytes:
                    checkpoint.folder.remove_leftovers(job.file.name)


def _raise_failures(jobs: list[DownloadJob]) -> None:
    failures = {job.label: job.failure for job in jobs if job.failure}
    if failures:
        there = sum(job.entry is not None for job in jobs)
        others = {0: "None is there", 1: "The other one is there"}.get(there, f"The other {there:,} are there")
        raise DownloadIncompleteError(
            f"{many(len(failures), 'file')} of {len(jobs):,} could not be downloaded: {_quoted(failures)}. "
            f"{others}, and what came of these is kept.",
            failures=failures,
            hint=RESUME_HINT,
        )


def _quoted(failures: dict[str, str]) -> str:
    """Return the first failure, and how many more there are."""
    label, failure = next(iter(failures.items()))
    return f"{label}: {failure}" + (f"; and {len(failures) - 1:,} more" if len(failures) > 1 else "")


def _downloaded(checkpoint: _CheckpointDownload) -> DownloadedCheckpoint:
    entries = [job.entry for job in checkpoint.jobs if job.entry is not None]
    return DownloadedCheckpoint(
        ref=checkpoint.plan.ref,
        path=checkpoint.plan.folder,
        files=len(entries),
        size_bytes=sum(entry.size_bytes for entry in entries),
        fetched_bytes=sum(job.fetched_bytes for job in checkpoint.jobs),
        manifest=checkpoint.manifest or checkpoint.plan.folder / MANIFEST,
    )
