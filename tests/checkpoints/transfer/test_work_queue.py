"""Splitting of large files into segments, without a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from loops_nb.checkpoints.http import StoredFile
from loops_nb.checkpoints.transfer.destination import ExistingFile, FileState, FolderMaker
from loops_nb.checkpoints.transfer.folder_target import DiskFolder
from loops_nb.checkpoints.transfer.jobs import DownloadJob
from loops_nb.checkpoints.transfer.work_queue import MAX_SEGMENT_BYTES, FetchSegment, WorkQueue
from loops_nb.client.retry import RetryPolicy, RetryState

MiB = 1 << 20
WORKERS = 16


def job_of(folder: Path, size: int) -> DownloadJob:
    file = StoredFile("id", "weights.safetensors", size=size)
    existing, state = ExistingFile(FileState.MISSING), RetryState(RetryPolicy())
    return DownloadJob(file, DiskFolder(folder, FolderMaker(folder)), file.name, existing, state)


def segments(queue: WorkQueue, job: DownloadJob) -> list[tuple[int, int]]:
    """Take all tasks of a file, as if none was ever done."""
    taken: list[tuple[int, int]] = []
    while not taken or job.gaps:
        task = queue.next_task()
        assert isinstance(task, FetchSegment)
        assert task.segment.end is not None
        taken.append((task.segment.first, task.segment.end))
        if len(taken) == 1:
            job.ranges = True
            queue.offer_rest(job, task.segment)
    return taken


@pytest.mark.parametrize("size", [9 * MiB, 100_000_000, 5 << 30], ids=lambda size: f"{size:,}")
def test_segments_are_in_order_and_become_shorter(tmp_path: Path, size: int) -> None:
    job = job_of(tmp_path, size)
    taken = segments(WorkQueue([job], WORKERS), job)
    assert [first for first, _ in taken] == [0, *(end for _, end in taken[:-1])]
    assert taken[-1][1] == size
    lengths = [end - first for first, end in taken]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] <= MAX_SEGMENT_BYTES
    assert lengths[-1] <= 2 * MiB, "all workers finish together"


def test_segments_are_longer_with_a_slow_first_byte(tmp_path: Path) -> None:
    near, far = job_of(tmp_path, 100_000_000), job_of(tmp_path, 100_000_000)
    for job, latency in ((near, 0.001), (far, 0.1)):
        job.speed.add_latency(latency)
        job.speed.add_transfer(20 * MiB, 1.0)
    counts = {name: len(segments(WorkQueue([job], WORKERS), job)) for name, job in (("near", near), ("far", far))}
    assert counts["far"] < counts["near"]
    assert counts["far"] >= WORKERS, "there is a segment for each worker"
