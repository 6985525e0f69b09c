"""How a large file is cut into stretches, without any server."""

from __future__ import annotations

from pathlib import Path

import pytest

from loops_nb.client.retry import RetryPolicy
from loops_nb.downloads.board import MOST_CHUNK, Board, Fetch
from loops_nb.downloads.jobs import Job
from loops_nb.downloads.places import Found, There
from loops_nb.downloads.records import Journal
from loops_nb.storage import Patience, StoredFile

MiB = 1 << 20
WORKERS = 16


def job_of(folder: Path, size: int) -> Job:
    file = StoredFile("id", "weights.safetensors", size=size)
    return Job(file, folder / file.name, file.name, Found(There.NOTHING), Journal(folder), Patience(RetryPolicy()))


def stretches(board: Board, job: Job) -> list[tuple[int, int]]:
    """Claim all of a file, as if nobody ever came to an end."""
    taken: list[tuple[int, int]] = []
    while not taken or job.gaps:
        work = board.claim()
        assert isinstance(work, Fetch)
        assert work.part.end is not None
        taken.append((work.part.first, work.part.end))
        if len(taken) == 1:
            job.ranges = True
            board.split(job, work.part)
    return taken


@pytest.mark.parametrize("size", [9 * MiB, 100_000_000, 5 << 30], ids=lambda size: f"{size:,}")
def test_front_to_back_and_shorter_towards_the_end(tmp_path: Path, size: int) -> None:
    job = job_of(tmp_path, size)
    taken = stretches(Board([job], WORKERS), job)
    assert [first for first, _ in taken] == [0, *(end for _, end in taken[:-1])]
    assert taken[-1][1] == size
    lengths = [end - first for first, end in taken]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] <= MOST_CHUNK
    assert lengths[-1] <= 2 * MiB, "all come to their ends together"


def test_a_server_that_takes_long_to_answer_is_asked_for_more_at_a_time(tmp_path: Path) -> None:
    near, far = job_of(tmp_path, 100_000_000), job_of(tmp_path, 100_000_000)
    for job, wait in ((near, 0.001), (far, 0.1)):
        job.pace.answered(wait)
        job.pace.came(20 * MiB, 1.0)
    asked = {name: len(stretches(Board([job], WORKERS), job)) for name, job in (("near", near), ("far", far))}
    assert asked["far"] < asked["near"]
    assert asked["far"] >= WORKERS, "and yet there is something for everybody"
