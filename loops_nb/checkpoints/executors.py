"""Tasks on an executor that the user lends: threads, processes, or the workers of a cluster.

Any `concurrent.futures.Executor` will do; it is never shut down here.  A task travels as bytes that were pickled here,
so that what is in them does not depend on the engine, and an error of a task comes back as a value, so that an
exception of a future is the engine's.
"""

from __future__ import annotations

import logging
import os
import pickle
import platform
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Generic, NamedTuple, NoReturn, Protocol, TypeVar

from loops_nb._version import __version__
from loops_nb.errors import CredentialsError, ExecutorError, InvalidArgumentError, LoopsError, one_line, with_hint

_logger = logging.getLogger(__name__)
#: Longest time between two calls of the progress callback.
TICK_SECONDS = 0.2
#: Tasks that are handed to the executor at a time.  Each worker of a large cluster has one, and an interrupt few to
#: cancel.
IN_FLIGHT = 256
#: A task reads so many bytes: seconds of a connection, so that little is done again if its worker dies.
_MOST_BYTES, _LEAST_BYTES = 256 << 20, 1 << 20
#: Tasks of little work, so that each worker has some.
_LEAST_TASKS = 64
_TRIES = 2
#: Statuses of a presigned URL that has expired.
_REFUSED = frozenset({400, 401, 403})
_EXAMPLES = (
    "For example ProcessPoolExecutor(8), client.get_executor() of Dask, or client.executor() of ipyparallel;"
    " without it, threads of this process do the work."
)
_SAME_VERSION = f"Each worker needs loops_nb {__version__}, as here, and the modules of your own functions."
_KEYS = (
    "Set BASETEN_API_KEY where the workers run, or pass share_urls=True, which hands them presigned URLs of the files"
    " instead."
)

#: Called on the calling thread with the numbers of done and of all units of work, a few times a second.
Progress = Callable[[int, int], None]
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)


class Task(Protocol[ResultT_co]):
    """A piece of work: called where it is done."""

    @property
    def units(self) -> int:
        """How much it counts in the progress."""
        ...

    def __call__(self) -> ResultT_co:
        """Do it."""
        ...

    def payload(self, *, share_urls: bool, is_renewed: bool) -> Callable[[], ResultT_co]:
        """Return what is pickled for a worker: it may not hold a key, and presigned URLs only if they are shared.

        Parameters
        ----------
        share_urls : bool
            Whether it needs no key: presigned URLs are in it.
        is_renewed : bool
            Whether the URLs that were sent before were refused.
        """
        ...


class Outcome(NamedTuple):
    """What became of a task on a worker.

    Parameters
    ----------
    version : str
        Of ``loops_nb`` there.
    place : str
        Host and process.
    result : Any
        What the task returned.
    error : Exception or None
        What it raised.
    """

    version: str
    place: str
    result: Any
    error: Exception | None


class Payload:
    """A pickled task; its ``repr``, which engines log, shows nothing of it.

    Parameters
    ----------
    data : bytes
        The pickled callable.
    """

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __repr__(self) -> str:
        return f"<a task of loops_nb, {len(self._data):,} bytes>"

    def __reduce__(self) -> tuple[Any, ...]:
        return Payload, (self._data,)

    def run(self) -> Any:
        """Do the task."""
        try:
            call = pickle.loads(self._data)  # noqa: S301 - of the user who owns the executor
        except Exception as error:  # noqa: BLE001 - any module may be missing there
            text = one_line(f"{type(error).__name__}: {error}", limit=200)
            raise ExecutorError(f"A worker cannot load its task ({text}).", hint=_SAME_VERSION) from None
        return call()


def run_payload(payload: Payload) -> Outcome:
    """Do a task on a worker; returns its error rather than raising it."""
    outcome = _outcome(payload.run)
    if outcome.error is None:
        return outcome
    return outcome._replace(error=_picklable(outcome.error))


def _outcome(call: Callable[[], Any]) -> Outcome:
    place = f"{platform.node()}, process {os.getpid()}"
    try:
        return Outcome(__version__, place, call(), None)
    except Exception as error:  # noqa: BLE001 - raised again by whom it is for
        return Outcome(__version__, place, None, error)


def _picklable(error: Exception) -> Exception:
    """Return an error that can be sent, with the traceback of the worker if it is none of ours."""
    if not isinstance(error, LoopsError):
        # The lines of the code, without values of variables.
        error.add_note("On a worker:\n" + "".join(traceback.format_tb(error.__traceback__)))
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):  # noqa: S301 - made in this line
            return error
    except Exception:
        _logger.debug("An error of a task cannot be pickled: its text is sent.", exc_info=True)
    return ExecutorError(f"A task failed: {type(error).__name__}: {error}")


@dataclass(frozen=True)
class WorkerCheck:
    """Task that fails where a worker could not work: without a key for the service.

    Parameters
    ----------
    url, scheme : str
        Root of the API and how the key is sent; empty where workers need no key.
    """

    url: str = ""
    scheme: str = ""
    units: int = 1

    def __call__(self) -> None:
        """Look for a key."""
        if not self.url:
            return
        from loops_nb.client.config import ClientConfig  # only workers that read from the service

        try:
            ClientConfig.resolve(None, self.url, auth_scheme=self.scheme)
        except CredentialsError as error:
            raise ExecutorError(
                f"A worker of the executor has no usable API key, and yours is never sent to one. {error.message}",
                hint=_KEYS,
            ) from None

    def payload(self, *, share_urls: bool, is_renewed: bool) -> WorkerCheck:
        """Return the task itself."""
        del share_urls, is_renewed
        return self


class _Flight(NamedTuple, Generic[ResultT]):
    """A task that the executor has."""

    number: int
    task: Task[ResultT]
    tries: int


class TaskRunner:
    """Runs tasks on an executor that it does not own.

    Parameters
    ----------
    executor : concurrent.futures.Executor
        The user's; a client of Dask or ipyparallel is taken by its executor.
    share_urls : bool, default False
        Hand presigned URLs to the workers, for those without an API key.

    Raises
    ------
    InvalidArgumentError
        If it is no executor.
    """

    def __init__(self, executor: Any, *, share_urls: bool = False) -> None:
        self._executor = as_executor(executor)
        self.share_urls = share_urls
        self._is_cancelled = threading.Event()
        #: From each version that is not the one here to a worker that has it.
        self._other_versions: dict[str, str] = {}

    @property
    def shares_memory(self) -> bool:
        """Whether its workers are threads of this process, so that nothing is pickled."""
        return isinstance(self._executor, ThreadPoolExecutor)

    @property
    def notes(self) -> list[str]:
        """What a user should know of the workers, in sentences."""
        return [
            f"A worker ({place}) has loops_nb {version}, and here it is {__version__}: install the same one there."
            for version, place in self._other_versions.items()
        ]

    def cancel(self) -> None:
        """End `run` soon, from another thread."""
        self._is_cancelled.set()

    def check(self, url: str = "", scheme: str = "", *, waiting: Callable[[], None] | None = None) -> None:
        """Run a task that does nothing, so that an executor that cannot work is found before any request.

        Parameters
        ----------
        url, scheme : str, optional
            Root of the API that workers will read from, and how the key is sent.
        waiting : callable, optional
            Called on this thread while no worker has answered.

        Raises
        ------
        ExecutorError
            If it was shut down, its workers have no ``loops_nb``, or they need a key and have none.
        """
        needs_key = url and not self.share_urls and not self.shares_memory
        task = WorkerCheck(url, scheme) if needs_key else WorkerCheck()
        self.run([task], progress=None if waiting is None else lambda _done, _total: waiting())

    def run(
        self,
        tasks: Iterable[Task[ResultT]],
        *,
        total: int = 1,
        progress: Progress | None = None,
        received: Callable[[Task[ResultT], ResultT], None] | None = None,
    ) -> list[ResultT]:
        """Return the results of tasks, in their order; at most `IN_FLIGHT` of them are with the executor at a time.

        On an error or Ctrl-C those that have not begun are cancelled.  A task whose worker died is tried once more.

        Parameters
        ----------
        tasks : iterable of Task
            Made when they are needed.
        total : int, default 1
            Units of all tasks, for the progress.
        progress : callable, optional
            As in `Progress`.
        received : callable, optional
            Called with each task and its result, on this thread.

        Raises
        ------
        ExecutorError
            If the executor cannot run a task.
        Exception
            What a task raised.
        """
        results: dict[int, ResultT] = {}
        flying: dict[Future[Any], _Flight[ResultT]] = {}
        landed: SimpleQueue[Future[Any]] = SimpleQueue()
        waiting = iter(enumerate(tasks))
        done = 0
        try:
            self._fill(waiting, flying, landed)
            while flying:
                with suppress(Empty):
                    future = landed.get(timeout=TICK_SECONDS)
                    flight = flying.pop(future)
                    outcome = self._landed(future, flight)
                    if outcome is None:
                        self._submit(flight._replace(tries=flight.tries + 1), flying, landed)
                    else:
                        results[flight.number] = outcome.result
                        done += flight.task.units
                        if received is not None:
                            received(flight.task, outcome.result)
                        self._fill(waiting, flying, landed)
                if progress is not None:
                    progress(done, total)
                self._check_cancelled()
        except BaseException as stop:
            for future in flying:
                future.cancel()
            if isinstance(stop, KeyboardInterrupt):
                stop.add_note(
                    f"{done:,} of {total:,} parts were done. What had not begun is cancelled on the executor; what was"
                    " running there ends by itself. Nothing was changed."
                )
            raise
        return [results[number] for number in range(len(results))]

    def _check_cancelled(self) -> None:
        if self._is_cancelled.is_set():
            raise ExecutorError("The work on the executor was cancelled.")

    def _fill(
        self,
        waiting: Iterator[tuple[int, Task[ResultT]]],
        flying: dict[Future[Any], _Flight[ResultT]],
        landed: SimpleQueue[Future[Any]],
    ) -> None:
        while len(flying) < IN_FLIGHT and (following := next(waiting, None)) is not None:
            self._submit(_Flight(*following, tries=1), flying, landed)

    def _submit(
        self,
        flight: _Flight[ResultT],
        flying: dict[Future[Any], _Flight[ResultT]],
        landed: SimpleQueue[Future[Any]],
    ) -> None:
        try:
            if self.shares_memory:
                future = self._executor.submit(_outcome, flight.task)
            else:
                future = self._executor.submit(run_payload, self._pickled(flight))
        except LoopsError:
            raise
        except Exception as error:  # noqa: BLE001 - of any engine
            self._give_up(error)
        flying[future] = flight
        future.add_done_callback(landed.put)

    def _pickled(self, flight: _Flight[ResultT]) -> Payload:
        call = flight.task.payload(share_urls=self.share_urls, is_renewed=flight.tries > 1)
        try:
            return Payload(pickle.dumps(call, pickle.HIGHEST_PROTOCOL))
        except Exception as error:  # noqa: BLE001 - whatever an object of the user's raises
            raise ExecutorError(
                f"A task cannot be sent to a worker: {type(error).__name__}: {error}.",
                hint="A ThreadPoolExecutor needs nothing to be sent.",
            ) from None

    def _landed(self, future: Future[Any], flight: _Flight[ResultT]) -> Outcome | None:
        """Return what became of a task; None if it is to be tried once more.

        Raises
        ------
        Exception
            What the task raised, or `ExecutorError`.
        """
        error: BaseException | None
        try:
            error = future.exception()
        except CancelledError as cancelled:
            error = cancelled
        if error is not None:
            if flight.tries >= _TRIES or _is_final(error):
                self._give_up(error)
            return None
        outcome: Outcome = future.result()
        if outcome.version != __version__:
            self._other_versions.setdefault(outcome.version, outcome.place)
        if outcome.error is None:
            return outcome
        if self.share_urls and flight.tries < _TRIES and getattr(outcome.error, "status", None) in _REFUSED:
            return None
        if isinstance(outcome.error, LoopsError) and not self.shares_memory:
            words = [outcome.error.hint, f"This was on a worker of the executor: {outcome.place}.", *self.notes]
            raise with_hint(outcome.error, " ".join(filter(None, words)))
        raise outcome.error

    def _give_up(self, error: BaseException) -> NoReturn:
        """Raise the error for an executor that cannot run a task."""
        name = type(self._executor).__name__
        text = one_line(f"{type(error).__name__}: {error}", limit=300)
        if isinstance(error, BrokenExecutor):
            raise ExecutorError(
                f"A worker of the {name} ended abruptly (killed, out of memory, or a cell that was interrupted), and "
                f"the executor takes no more tasks: {text}. Nothing was changed.",
                hint="Make a new executor and run it again, with fewer workers if memory was short.",
            ) from error
        if isinstance(error, CancelledError):
            raise ExecutorError(
                f"The {name} cancelled a task: it was closed, or lost its cluster. Nothing was changed.",
                hint="Connect to the cluster again, make a new executor and run it again.",
            ) from error
        raise ExecutorError(
            f"The {name} could not run a task ({text}). Nothing was changed.",
            hint=f"Was it shut down? {_SAME_VERSION}",
        ) from error


def bytes_a_task(nbytes: int) -> int:
    """Return how many bytes a task should read of so many."""
    return min(_MOST_BYTES, max(_LEAST_BYTES, nbytes // _LEAST_TASKS))


def _is_final(error: BaseException) -> bool:
    """Whether trying once more is of no use: the executor is gone, or the engine has tried several workers."""
    return isinstance(error, BrokenExecutor | CancelledError) or type(error).__name__ == "KilledWorker"


#: Methods by which a client gives an executor: of Dask, and of ipyparallel.
_METHODS = ("get_executor", "executor")


def is_executor(given: Any) -> bool:
    """Whether it is an executor, or a client or view that has one; nothing is called."""
    if isinstance(given, Executor) or any(callable(getattr(type(given), name, None)) for name in _METHODS):
        return True
    # Not `getattr`: a DataFrame has its columns as attributes.
    return isinstance(getattr(given, "__dict__", {}).get("executor"), Executor)


def as_executor(given: Any) -> Executor:
    """Return the executor that was given, or that of a client of Dask, or of a client or view of ipyparallel.

    Raises
    ------
    InvalidArgumentError
        If it is none of these.
    """
    if isinstance(given, Executor):
        return given
    if is_executor(given):
        found = next(getattr(given, name) for name in _METHODS if hasattr(given, name))
        found = found() if callable(found) else found
        if isinstance(found, Executor):
            return found
    what = f"the class {given.__name__}, which has to be called" if isinstance(given, type) else type(given).__name__
    raise InvalidArgumentError(
        f"executor must be a concurrent.futures.Executor, not {what:.80}. No request was made.",
        argument="executor",
        hint=_EXAMPLES,
    )


def runner_of(executor: Executor | TaskRunner | None) -> TaskRunner | None:
    """Return a checked runner of an executor, or the one that was given.

    Raises
    ------
    InvalidArgumentError, ExecutorError
        If the executor cannot work.
    """
    if executor is None or isinstance(executor, TaskRunner):
        return executor
    runner = TaskRunner(executor)
    runner.check()
    return runner
