"""Comparison of remote checkpoints over real HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.compare import compare, drift, duplicates
from loops_nb.checkpoints.executors import TaskRunner
from loops_nb.checkpoints.http import Storage
from loops_nb.checkpoints.http import storage as storages
from loops_nb.checkpoints.tensors import RemoteCheckpoint, open_folder, open_many
from loops_nb.client.retry import RetryPolicy
from loops_nb.errors import StorageError
from tests.checkpoints.tensors.file_server import SECRET, Reply, Shelf, serving
from tests.checkpoints.tensors.safetensors_files import adapter, checkpoint_files, put

STEPS, LAYERS = (10, 20, 30), 40
REFS = [CheckpointRef(f"c{step}", "r1", f"step-{step}", "trainer") for step in STEPS]
MODULES = 2 * LAYERS
FILE = "adapter_model.safetensors"


def files_of(step: int) -> dict[str, bytes]:
    start, goal = (adapter(LAYERS, rank=8, width=256, seed=seed) for seed in (0, 1))
    tensors = {name: start[name] + np.float32(step / 1000) * goal[name] for name in start}
    return checkpoint_files(tensors, moments=True, rank=8)


@contextmanager
def opened() -> Iterator[tuple[Shelf, list[RemoteCheckpoint]]]:
    checkpoints = {ref.id: files_of(step) for ref, step in zip(REFS, STEPS, strict=True)}
    quick = RetryPolicy(attempts=2, first_wait_seconds=0.0, longest_wait_seconds=0.0)
    with serving(checkpoints) as shelf, Storage(shelf, retry=quick) as storage:
        yield shelf, open_many(storage, REFS)


@pytest.mark.parametrize("what", ["compare", "drift"])
def test_remote_results_match_local_ones_and_read_once(what: str, tmp_path: Path) -> None:
    home = [open_folder(put(tmp_path / f"step-{step}", files_of(step))) for step in STEPS]
    with opened() as (shelf, sources):
        weights = sum(info.nbytes for source in sources for info in source.infos if info.role == "weights")
        fetched, asked = sum(source.bytes_fetched for source in sources), len(shelf.asked)
        rows = compare(sources).rows if what == "compare" else drift(sources).rows
        # All weights are read once, the optimizer's shards not at all.
        assert sum(source.bytes_fetched for source in sources) == fetched + weights
        # The adjacent factors of a module are read together.
        assert len(shelf.asked) - asked == MODULES * len(STEPS)
        assert {name for name, _ in shelf.asked[asked:]} == {FILE}
    near = compare(home).rows if what == "compare" else drift(home).rows
    assert [(row.module, row.step, row.norm, row.change, row.cosine) for row in rows[MODULES:]] == [
        (row.module, row.step, row.norm, row.change, row.cosine) for row in near[MODULES:]
    ]
    assert {(row.run_id, row.target) for row in rows} == {("r1", "trainer")}


def test_duplicates_reads_one_percent_of_different_checkpoints() -> None:
    with opened() as (_, sources):
        found = duplicates(sources)
        assert found.groups == ()
        assert found.bytes_read * 100 < found.total_bytes
    with opened() as (shelf, sources):
        shelf.checkpoints["c30"] = shelf.checkpoints["c10"]
        same = duplicates(open_many(sources[0]._storage, REFS))
        assert [[member.checkpoint for member in group.members] for group in same.groups] == [
            [REFS[0].label, REFS[2].label]
        ]


def test_unreadable_file_is_one_error() -> None:
    def gone(name: str, reply: Reply) -> None:
        reply.status, reply.body = 404, b"<Error><Code>NoSuchKey</Code></Error>"

    with opened() as (shelf, sources):
        shelf.change = gone
        with pytest.raises(StorageError) as caught:
            compare(sources)
        assert FILE in str(caught.value)
        assert SECRET not in repr(caught.value)


class Inline(Executor):
    """Does each call where it is submitted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(fn(*args, **options))
        return future


def test_urls_that_expire_on_their_way_to_a_worker_are_renewed() -> None:
    with opened() as (shelf, sources):
        expected = compare(sources).rows
        listed, fetched = len(shelf.listings), sum(source.bytes_fetched for source in sources)

        def expired(_name: str, reply: Reply) -> None:
            if len(shelf.listings) == listed:
                reply.status, reply.body = 403, b"<Error><Code>AccessDenied</Code></Error>"

        shelf.change = expired
        rows = compare(sources, executor=TaskRunner(Inline(), share_urls=True)).rows
        assert repr(rows) == repr(expected)
        weights = sum(info.nbytes for source in sources for info in source.infos if info.role == "weights")
        assert sum(source.bytes_fetched for source in sources) == fetched + weights
        for shared in storages._shared.values():
            shared.close()
