"""How much of a file may wait in memory on its way into a bucket, without a server."""

from __future__ import annotations

from typing import cast

from loops_nb.checkpoints.bucket.store import BucketStore
from loops_nb.checkpoints.http import StoredFile
from loops_nb.checkpoints.transfer import upload
from loops_nb.checkpoints.transfer.destination import ExistingFile, FileState
from loops_nb.checkpoints.transfer.jobs import DownloadJob
from loops_nb.checkpoints.transfer.target import TargetFolder
from loops_nb.checkpoints.transfer.upload import Cancellations, PartialUpload
from loops_nb.checkpoints.transfer.work_queue import MAX_MEMORY_BYTES, FetchSegment, WorkQueue
from loops_nb.client.retry import RetryPolicy, RetryState

GiB = 1 << 30
WORKERS = 64


class Folder:
    """Makes uploads that are never written."""

    def new_partial(self, file: StoredFile, existing: ExistingFile | None = None) -> PartialUpload:
        del existing
        return PartialUpload(cast("BucketStore", None), file.name, file.size, Cancellations())


def test_no_more_is_fetched_than_may_wait_in_memory() -> None:
    jobs = [
        DownloadJob(
            StoredFile("id", f"model-{number}.safetensors", size=3 * GiB),
            cast("TargetFolder", Folder()),
            "",
            ExistingFile(FileState.MISSING),
            RetryState(RetryPolicy()),
        )
        for number in range(8)
    ]
    queue = WorkQueue(jobs, WORKERS)
    taken: list[FetchSegment] = []
    while (task := queue._first_task() or queue._gap_task() or queue._stolen_task()) is not None:
        assert isinstance(task, FetchSegment)
        task.job.ranges = True
        queue.offer_rest(task.job, task.segment)
        taken.append(task)
    started = {task.job for task in taken}
    assert 2 <= len(started) < len(jobs), "several files at a time, and no more than the memory is for"
    assert sum(job.partial.memory_bytes for job in started) <= MAX_MEMORY_BYTES
    for job in started:
        ends = [task.segment.end or 0 for task in taken if task.job is job]
        assert upload.WINDOW_BYTES <= max(ends) <= upload.WINDOW_BYTES + 4 * (1 << 20)


def test_parts_are_few_enough_for_the_largest_objects() -> None:
    for size in (GiB, 100 * GiB, 700 * GiB, 5 << 40):
        partial = PartialUpload(cast("BucketStore", None), "model.safetensors", size, Cancellations())
        assert partial.part_bytes >= 5 << 20
        assert -(-size // partial.part_bytes) <= upload.MAX_PARTS
        assert size > 800 * GiB or partial.memory_bytes <= MAX_MEMORY_BYTES
