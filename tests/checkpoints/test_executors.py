"""Work on executors that are lent: Dask, processes, threads, and ones that fail."""

from __future__ import annotations

import inspect
import multiprocessing
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import loops_nb
from loops_nb.checkpoints import executors
from loops_nb.checkpoints.compare import compare, drift, duplicates
from loops_nb.checkpoints.executors import IN_FLIGHT, TaskRunner, as_executor
from loops_nb.checkpoints.tensors import LocalCheckpoint, open_folder
from loops_nb.checkpoints.transfer.folder_target import DiskFolder
from loops_nb.errors import ExecutorError, InvalidArgumentError, LoopsError, UnreadableTensorsError, VerificationError
from tests.checkpoints.tensors.safetensors_files import adapter, checkpoint_files, put
from tests.processes import process_pool
from tests.service import AnyService, running_service

KEY, WORKER_KEY = "the-key-of-the-caller", "the-key-of-the-workers"
LAYERS = 6


class Lent(Executor):
    """An executor that keeps what it was handed, and must not be shut down."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.pickles: list[bytes] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        self.pickles.append(pickle.dumps((fn, args, options)))
        return self.executor.submit(fn, *args, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT002 - of the base class
        raise AssertionError("a lent executor was shut down")

    @property
    def sent(self) -> bytes:
        return b"".join(self.pickles)


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessPoolExecutor]:
    with process_pool(2) as pool:
        yield pool


def _is_profiled() -> bool:
    import dask

    return bool(dask.config.get("distributed.worker.profile.enabled"))


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    import dask

    # On Python 3.11 a worker can stop for ever in `sys._current_frames`, which Dask's profiler calls all the time: it
    # waits for the garbage collector, which waits for it.
    dask.config.set({"distributed.worker.profile.enabled": False})
    cluster = distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address="127.0.0.1:0",
        env={"BASETEN_API_KEY": WORKER_KEY},
    )
    with cluster, distributed.Client(cluster) as connected:
        assert not any(connected.run(_is_profiled).values())
        yield connected


@pytest.fixture(scope="module")
def service() -> Iterator[AnyService]:
    with running_service(sample=True, in_process=True, speed=1.0) as running:
        yield running


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[LocalCheckpoint]:
    """Return more checkpoints than a task has, with one module less in the middle and two that are equal."""
    top = tmp_path_factory.mktemp("checkpoints")
    start, goal = (adapter(LAYERS, rank=8, width=512, seed=seed) for seed in (0, 1))
    opened = []
    for step in range(20):
        tensors = {name: start[name] + np.float32(min(step, 18) / 1000) * goal[name] for name in start}
        if step == 5:
            tensors = {name: tensor for name, tensor in tensors.items() if "layers.2." not in name}
        opened.append(open_folder(put(top / f"step-{step}", checkpoint_files(tensors, moments=True, rank=8))))
    return opened


def everything(sources: list[LocalCheckpoint], executor: Executor | None) -> str:
    # As text, because NaN does not equal itself; all digits are in it.
    found = (
        compare(sources, executor=executor),
        drift(sources, executor=executor),
        duplicates(sources, executor=executor),
    )
    assert found[0].rows
    return repr(found)


def test_processes_and_threads_give_the_same_rows_to_the_bit(
    monkeypatch: pytest.MonkeyPatch, folders: list[LocalCheckpoint], processes: ProcessPoolExecutor
) -> None:
    expected = everything(folders, None)
    assert everything(folders, Lent(processes)) == expected
    with ThreadPoolExecutor(2) as threads:
        assert everything(folders, threads) == expected
    # Of little more than this, each task has a part of the checkpoints.
    monkeypatch.setattr(executors, "_MOST_BYTES", 100_000)
    monkeypatch.setattr(executors, "_LEAST_BYTES", 100_000)
    counts: list[tuple[int, int]] = []
    lent = Lent(processes)
    rows = compare(folders, baseline=3, executor=lent, progress=lambda *count: counts.append(count)).rows
    assert repr(rows) == repr(compare(folders, baseline=3).rows)
    assert counts[-1] == (2 * 2 * LAYERS, 2 * 2 * LAYERS)
    assert all(len(sent) < 30_000 for sent in lent.pickles)
    assert len(lent.pickles) > 8


def test_dask_reads_with_its_own_key_and_gives_the_same_rows(client: Any, service: AnyService) -> None:
    with loops_nb.Loops(KEY, service.url) as loops:
        run = max(loops.runs.list(), key=lambda run: len(loops.checkpoints.list(run_id=run.id)))
        chosen = loops.checkpoints.resolve(run_id=run.id, target="sampler")[:5]
        assert "signature=" in next(loops.checkpoints.files(chosen[0].id)).url
        methods = [getattr(loops.checkpoints, name) for name in ("compare", "drift", "duplicates", "changes")]
        expected = [method(chosen) for method in methods]
        lent, sharing = Lent(client.get_executor()), Lent(client.get_executor())
        for method, frame in zip(methods, expected, strict=True):
            pd.testing.assert_frame_equal(method(chosen, executor=lent), frame, check_exact=True)
            pd.testing.assert_frame_equal(method(chosen, executor=sharing, share_urls=True), frame, check_exact=True)
        listed = loops.checkpoints.frame(run_id=run.id).query("target == 'sampler'").loops.by_step().head(3)
        # The first time headers are read as well.
        _, here, there = [listed.loops.compare(executor=executor) for executor in (None, None, client)]
        pd.testing.assert_frame_equal(there, here, check_exact=True)
        # What workers read is counted here.
        assert there.attrs == here.attrs
    for executor in (lent, sharing):
        assert executor.pickles
        assert KEY.encode() not in executor.sent
        assert WORKER_KEY.encode() not in executor.sent
    assert b"signature=" not in lent.sent
    assert b"signature=" in sharing.sent
    assert "signature=" not in repr([pickle.loads(one) for one in sharing.pickles])  # noqa: S301 - of our own tasks


def test_a_worker_that_dies_is_a_task_that_dask_repeats(client: Any, folders: list[LocalCheckpoint]) -> None:
    expected = compare(folders).rows
    pids = list(client.run(os.getpid).values())
    killed: list[int] = []

    def kill(done: int, _total: int) -> None:
        if not killed and done:
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    assert repr(compare(folders, executor=client.get_executor(), progress=kill).rows) == repr(expected)
    assert killed


@pytest.fixture
def downloads(tmp_path: Path, service: AnyService) -> Path:
    with loops_nb.Loops(KEY, service.url) as loops:
        run = next(run for run in loops.runs.list() if len(loops.checkpoints.list(run_id=run.id)) > 1)
        refs = loops.checkpoints.resolve(run_id=run.id, target="sampler")[:2]
        loops.checkpoints.download(refs, into=tmp_path, quiet=True)
    return tmp_path


def test_verification_on_processes_finds_the_same_and_says_what_workers_do_not_see(
    downloads: Path, processes: ProcessPoolExecutor, monkeypatch: pytest.MonkeyPatch, service: AnyService
) -> None:
    with loops_nb.Loops(KEY, service.url) as loops:
        verify = loops.checkpoints.verify
        assert verify(downloads, executor=Lent(processes)) == verify(downloads)
        changed = next(downloads.rglob("*.safetensors"))
        changed.write_bytes(changed.read_bytes()[:-1] + b"?")
        with pytest.raises(VerificationError) as here:
            verify(downloads)
        with pytest.raises(VerificationError) as there:
            verify(downloads, executor=processes)
        assert there.value.differences == here.value.differences != {}
        monkeypatch.setattr(executors, "run_payload", without_folders)
        with pytest.raises(ExecutorError, match="does not see"):
            verify(downloads, executor=processes)


def without_folders(payload: executors.Payload) -> executors.Outcome:
    """Do a task as on a machine that has other disks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DiskFolder, "has_manifest", lambda _folder: False)
        return executors.run_payload(payload)


@dataclass(frozen=True)
class Call:
    """A task of the tests."""

    function: Callable[..., Any]
    argument: Any = None
    units: int = 1

    def __call__(self) -> Any:
        return self.function(self.argument)

    def payload(self, *, share_urls: bool, is_renewed: bool) -> Callable[[], Any]:
        return self


def refuse(text: str) -> None:
    raise UnreadableTensorsError(text, hint="See there.")


class UnpicklableError(Exception):
    """Cannot be made again from its arguments."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first + second)


def fail_oddly(_argument: None) -> None:
    raise UnpicklableError("no", "where")


def divide(number: int) -> float:
    return 1 / number


def test_errors_of_tasks_arrive_whole_and_a_dead_process_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with process_pool(1) as pool:
        runner = TaskRunner(pool)
        assert runner.run([Call(divide, 4), Call(divide, 2)]) == [0.25, 0.5]
        with pytest.raises(UnreadableTensorsError) as ours:
            runner.run([Call(refuse, "no header")])
        assert ours.value.message == "no header"
        assert ours.value.hint.startswith("See there. This was on a worker of the executor: ")
        with pytest.raises(ZeroDivisionError) as theirs:
            runner.run([Call(divide, 0)])
        assert "in divide" in theirs.value.__notes__[0]
        with pytest.raises(ExecutorError, match="A task failed: UnpicklableError: nowhere"):
            runner.run([Call(fail_oddly)])
        with pytest.raises(ExecutorError, match="cannot be sent to a worker"):
            runner.run([Call(lambda _: None)])
        assert runner.notes == []
        monkeypatch.setattr(executors, "__version__", "99.0")
        runner.check()
        assert [note.endswith("and here it is 99.0: install the same one there.") for note in runner.notes] == [True]
        with pytest.raises(ExecutorError, match="ended abruptly"):
            runner.run([Call(os._exit, 1), *[Call(divide, 1)] * 20])
        # Before any request, and it is not called a bug.
        with pytest.raises(ExecutorError, match="ended abruptly"):
            runner.check()


def test_keys_are_missed_before_any_request(
    processes: ProcessPoolExecutor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    monkeypatch.delenv("BASETEN_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    # Nothing answers there.
    with (
        process_pool(1) as pool,
        loops_nb.Loops(KEY, "https://loops.invalid") as loops,
    ):
        lent = Lent(pool)
        with pytest.raises(ExecutorError, match="no usable API key, and yours is never sent") as caught:
            loops.checkpoints.compare(["a/1", "a/2"], executor=lent)
        assert "share_urls=True" in caught.value.hint
        assert KEY.encode() not in lent.sent


def kinds_of_errors(kind: type[LoopsError] = LoopsError) -> Iterator[type[LoopsError]]:
    yield kind
    for narrower in kind.__subclasses__():
        if narrower.__module__.startswith("loops_nb"):
            yield from kinds_of_errors(narrower)


def test_all_errors_arrive_with_all_that_they_know() -> None:
    known: dict[str, Any] = {"status": 404, "attempts": 3, "failures": {"a": "gone"}, "code": "NO", "hint": "Look."}
    for kind in kinds_of_errors():
        names = inspect.signature(kind).parameters.keys() & known.keys()
        error = kind("It failed.", **{name: known[name] for name in names})
        again = pickle.loads(pickle.dumps(error))  # noqa: S301 - made in this line
        assert (type(again), str(again), vars(again)) == (kind, "It failed. Look.", vars(error))


class View:
    """Has an executor, as a view of ipyparallel."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor


class Flaky(Executor):
    """Runs a call where it is submitted; fails or waits as it is told."""

    def __init__(self, errors: list[BaseException] | None = None, *, is_waiting: bool = False) -> None:
        self.errors = errors or []
        self.is_waiting = is_waiting
        self.futures: list[Future[Any]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.futures.append(future)
        if self.errors:
            future.set_exception(self.errors.pop())
        elif not self.is_waiting:
            future.set_result(fn(*args, **options))
        return future


def test_a_lost_task_is_tried_once_more_and_an_interrupt_cancels() -> None:
    assert TaskRunner(Flaky([RuntimeError("lost")])).run([Call(divide, 4)]) == [0.25]
    with pytest.raises(ExecutorError, match=r"could not run a task \(RuntimeError: lost\)") as lost:
        TaskRunner(Flaky([RuntimeError("lost"), RuntimeError("lost")])).run([Call(divide, 4)])
    assert "loops_nb" in lost.value.hint
    broken = Flaky([BrokenExecutor("gone")])
    with pytest.raises(ExecutorError, match="ended abruptly"):
        TaskRunner(broken).run([Call(divide, 4)] * 3)
    waiting = Flaky(is_waiting=True)

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    made: list[int] = []
    tasks = (made.append(number) or Call(divide, 1) for number in range(2 * IN_FLIGHT))  # type: ignore[func-returns-value]
    with pytest.raises(KeyboardInterrupt) as interrupt:
        TaskRunner(waiting).run(tasks, total=2 * IN_FLIGHT, progress=stop)
    assert len(made) == len(waiting.futures) == IN_FLIGHT
    assert all(future.cancelled() for future in waiting.futures)
    (note,) = interrupt.value.__notes__
    assert note.startswith("0 of 512 parts were done. What had not begun is cancelled")


@pytest.mark.parametrize("given", [4, ProcessPoolExecutor, multiprocessing.Pool, "pool", object()])
def test_what_is_no_executor_is_refused_before_any_request(given: Any) -> None:
    with loops_nb.Loops(KEY, "https://loops.invalid") as loops:
        for call in (
            lambda: loops.checkpoints.compare(["a/1", "a/2"], executor=given),
            lambda: loops.checkpoints.verify("no such folder", executor=given),
        ):
            with pytest.raises(InvalidArgumentError, match=r"must be a concurrent\.futures\.Executor, not ") as caught:
                call()
            assert "get_executor()" in caught.value.hint
        with pytest.raises(InvalidArgumentError, match="share_urls"):
            loops.checkpoints.drift("a/1", share_urls=True)
        with pytest.raises(InvalidArgumentError, match="not DataFrame"):
            loops.checkpoints.drift("a/1", executor=pd.DataFrame({"executor": [1]}))  # type: ignore[arg-type]
        ended = ThreadPoolExecutor(1)
        ended.shutdown()
        with pytest.raises(ExecutorError, match="after shutdown"):
            loops.checkpoints.compare(["a/1", "a/2"], executor=ended)
        assert as_executor(View(ended)) is ended
