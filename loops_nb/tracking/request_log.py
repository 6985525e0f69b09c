"""The request log of the official SDK (``LOOPS_REQUEST_LOG``), replayed as the training that wrote it.

Each line is a request or its response; `loops_nb.tracking.request_log_matching` matches them.  The bodies hold the
training data: of those only the lengths are read, and nothing of the data, headers or addresses is stored.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections import deque
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Protocol

import msgspec

from loops_nb.errors import TrackingError, one_line
from loops_nb.tracking.entries import EndEntry, Entry, OpenEntry, RequestLogChunk, SessionEntry, WriteSession
from loops_nb.tracking.experiment import Experiment
from loops_nb.tracking.location import Location
from loops_nb.tracking.params import kept_params
from loops_nb.tracking.request_log_file import LogFile, try_open
from loops_nb.tracking.request_log_lines import (
    RUN_PARAMS,
    AcceptedOperation,
    CreatedRun,
    OperationResult,
    RequestBody,
    RequestLogLine,
    SampleResult,
    TrainerResult,
)
from loops_nb.tracking.request_log_matching import CREATE_RUN, OTHER, POLL, SAMPLE, LoggedRequest, RequestMatcher
from loops_nb.tracking.sdk_hooks.hook import RecordingClock, SdkHook
from loops_nb.tracking.sdk_hooks.proxies import CallHook
from loops_nb.tracking.store import ExperimentStore
from loops_nb.tracking.values import kept_text
from loops_nb.tracking.writer import WriterThread
from loops_nb.tracking.writers import writer_for

logger: logging.Logger = logging.getLogger(__name__)
_OPERATION_PATH = re.compile(r"(?:/trainers/([^/?]+))?/operations/([^/?]+)")
_CALL_PATH = re.compile(r"/([a-z_]+)(?:\?.*)?$")
_CREATE_PATH = re.compile(r"/v1/loops/(?:runs|trainers)(?:\?.*)?$")
_RUN_HEADER, _KEY_HEADER = "x-run-id", "idempotency-key"
_INIT = "init_trainer_server"
_CALLS = frozenset(
    {
        "forward_backward",
        "forward",
        "optim_step",
        "save_state",
        "save_weights_for_sampler",
        "load_state",
        "load_state_with_optimizer",
        _INIT,
        SAMPLE,
    }
)
# Limit of the entries of one transaction, so that other writers need not wait for the whole of a long log.
_MAX_ENTRIES = 20_000
_PAUSE_SECONDS = 0.5
# A script may keep writing to a log after it was renamed.
_MAX_RENAMED = 4


class _LogClock(RecordingClock):
    """Time at which the current line was written."""

    def __init__(self) -> None:
        self.at = 0.0

    def seconds(self) -> float:
        return self.at

    def millis(self) -> int:
        return round(self.at * 1000)


class _ReplayedFuture:
    """Stands for a future of the SDK; its result is set by the line that has it."""

    def __init__(self) -> None:
        self.value: Any = None

    def result(self) -> Any:
        return self.value


class ChunkCollector:
    """An `EntryWriter` that collects the entries of a log until they are written together with its offset."""

    def __init__(self, writer: WriterThread) -> None:
        #: End of the line that is being read.
        self.offset = 0
        #: Always False: a warning on the thread that follows a log would appear under an unrelated cell.
        self.has_warnings = False
        self.waiting = 0
        self._writer = writer
        self._entries: list[tuple[int, SessionEntry]] = []

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def path(self) -> Path:
        return self._writer.path

    @property
    def location(self) -> Location:
        return self._writer.location

    @property
    def trouble(self) -> str:
        return self._writer.trouble

    def add(self, entry: Entry) -> None:
        if not isinstance(entry, (RequestLogChunk, EndEntry)):
            self._entries.append((self.offset, entry))

    def hand_over(self, file: LogFile) -> None:
        """Give all entries to the writer, with the offset that the log was read up to."""
        self._writer.add(RequestLogChunk(file.identity, file.offset, self._entries, file.fingerprint()))
        self._entries = []

    def emit_warnings(self) -> None:
        """Do nothing; see `has_warnings`."""

    def flush(self) -> bool:
        return self._writer.flush()


class RequestLog:
    """A request log, read as far as it has grown; lines that any process has read before are not recorded twice.

    Several processes may follow one log at the same time: each line is recorded by the first of them.

    Parameters
    ----------
    log : Path
        The log.
    path : Path, optional
        File of experiments; by default `store_path`.
    experiment : str, optional
        Name of the experiments; by default each has the name of its run, or the run's id.

    Attributes
    ----------
    log : Path
        The log.
    experiments : dict of str to Experiment
        Experiments by the id of the run.
    odd_lines : int
        Number of lines that cannot be decoded.

    Examples
    --------
    >>> log = RequestLog(Path("requests.jsonl"))  # doctest: +SKIP
    >>> log.read(), log.flush()  # doctest: +SKIP
    """

    def __init__(self, log: Path, *, path: Path | None = None, experiment: str | None = None) -> None:
        self.log = log
        self.experiments: dict[str, Experiment] = {}
        self.odd_lines: int = 0
        self._store = ExperimentStore(path)
        self._writer = writer_for(self._store.location)
        self._name = experiment
        self._file: LogFile | None = None
        # Logs that had the path before, and may still be written to.
        self._renamed: deque[LogFile] = deque(maxlen=_MAX_RENAMED)
        self._current: LogFile | None = None
        self._clock = _LogClock()
        self._collector = ChunkCollector(self._writer)
        self._created_runs: dict[str, dict[str, Any]] = {}
        self._hooks: dict[str, _ReplayHook] = {}
        self._matcher = RequestMatcher(self._replay)
        #: Accepted operations: the future proxy of the hook, the future in it, and the call.
        self._operations: dict[tuple[str | None, str], tuple[Any, _ReplayedFuture, str]] = {}

    def read(self) -> int:
        """Read the lines written since the last call; 0 while the log does not exist.

        A log that was renamed, removed or replaced is read to its end, then the one at its path.

        Returns
        -------
        int
            Number of lines.

        Raises
        ------
        OSError
            If the log exists and cannot be read.
        TrackingError
            If the file of experiments cannot be read.
        """
        try:
            return self._read_all()
        except FileNotFoundError:
            return 0

    def _read_all(self) -> int:
        lines = sum(self._read_file(file) for file in self._renamed)
        if self._file is None:
            self._file = try_open(self.log, self._store)
        elif self._file.is_rewritten():
            self._file = try_open(self.log, self._store, other_than=self._file.identity)
        else:
            lines += self._read_file(self._file)
            if self._file.is_at(self.log) or not self.log.exists():
                return lines
            if self._file.stays_open:
                self._renamed.append(self._file)
            self._file = try_open(self.log, self._store)
        if self._file is not None:
            lines += self._read_file(self._file)
        return lines

    def _read_file(self, file: LogFile) -> int:
        self._current = file
        began = handed_over = file.offset
        count = 0
        for line, end in file.lines():
            count += 1
            self._collector.offset = end
            self._read_line(line)
            if len(self._collector) >= _MAX_ENTRIES:
                self._hand_over(file, handed_over)
                handed_over = file.offset
        if file.offset > began:
            self._hand_over(file, handed_over)
        return count

    def _hand_over(self, file: LogFile, handed_over: int) -> None:
        if file.offset > max(handed_over, file.known):
            self._collector.hand_over(file)
        else:
            file.fingerprint()

    def flush(self) -> bool:
        """Write what was read, and return whether it is in the file."""
        return self._writer.flush()

    @property
    def trouble(self) -> str:
        """Why values cannot be written at the moment; empty if they can."""
        return self._writer.trouble

    @property
    def unclear(self) -> int:
        """Number of responses skipped so far because several processes write at once and their calls are ambiguous."""
        return self._matcher.unclear

    @property
    def offset(self) -> int:
        """End of what was read, in bytes."""
        return 0 if self._file is None else self._file.offset

    @property
    def clock(self) -> RecordingClock:
        """Time of the line that is being read."""
        return self._clock

    @property
    def is_known(self) -> bool:
        """Whether the line that is being read was recorded before."""
        return self._current is not None and self._collector.offset <= self._current.known

    # Requests

    def _read_line(self, line: bytes) -> None:
        try:
            found = msgspec.json.decode(line, type=RequestLogLine)
            self._clock.at = datetime.fromisoformat(found.ts).timestamp()
            if found.kind == "request" and found.seq is not None:
                self._matcher.add_request(found.seq, self._request(found))
            elif found.kind == "response":
                self._matcher.add_response(found, self._clock.at)
        except (msgspec.DecodeError, ValueError, KeyError, TypeError, AttributeError):
            logger.debug("A line of %s cannot be decoded.", self.log, exc_info=True)
            self.odd_lines += 1

    def _request(self, line: RequestLogLine) -> LoggedRequest:
        run_id = line.headers.get(_RUN_HEADER)
        request = LoggedRequest(OTHER, self._clock.at, run_id, key=line.headers.get(_KEY_HEADER))
        if line.method == "GET":
            operation = _OPERATION_PATH.search(line.path)
            if operation is not None:
                request.call, request.operation = POLL, operation[2]
                request.run_id = run_id or operation[1]
        elif line.method == "POST" and _CREATE_PATH.search(line.path):
            request.call, request.params = CREATE_RUN, _decode_body(line).run_params()
        elif line.method == "POST":
            call = _CALL_PATH.search(line.path)
            if call is not None and call[1] in _CALLS:
                self._trainer_call(request, call[1], msgspec.json.decode(line.body, type=RequestBody))
        return request

    def _trainer_call(self, request: LoggedRequest, call: str, body: RequestBody) -> None:
        request.run_id = request.run_id or body.run_id
        if request.run_id is None:
            return
        request.call = call
        retried = self._matcher.find_retried(request.key) if request.key else None
        request.hook = self._call_hook(request.run_id, call, body) if retried is None else retried.hook

    def _call_hook(self, run_id: str, call: str, body: RequestBody) -> CallHook | None:
        hook = self._hook(run_id, call, body)
        if call == SAMPLE:
            return hook.sample({})
        if call == _INIT and not hook.has_begun:
            # The SDK sends this first to a new trainer; it is no return to an earlier state.
            return None
        return hook.factories()[call](body.arguments())

    def _hook(self, run_id: str, call: str, body: RequestBody) -> _ReplayHook:
        hook = self._hooks.get(run_id)
        identity = self._current.identity if self._current is not None else ""
        # A script that starts again in a new log under the same path begins another experiment; one that continues
        # there continues its own.
        if hook is not None and (call != _INIT or hook.log_identity == identity):
            return hook
        run = {**body.run_params(), **self._created_runs.get(run_id, {})}
        # The same log gives the same experiment and the same attempts, however often and by which process it is read.
        token = hashlib.blake2b(f"{identity}/{run_id}".encode(), digest_size=8).hexdigest()
        session = WriteSession(
            id=token[:8],
            name=kept_text(self._name or _text(run.get("name")) or run_id),
            run_id=run_id,
            session_id=_text(run.get("session_id")),
            created_at=self._clock.millis(),
            params=kept_params({name: run[name] for name in RUN_PARAMS if run.get(name) is not None}),
            token=token,
        )
        experiment = self.experiments[run_id] = Experiment(self._collector, session)
        if not self.is_known:
            self._collector.add(OpenEntry(session, self._clock.millis()))
        hook = self._hooks[run_id] = _ReplayHook(experiment, self, identity)
        return hook

    # Responses

    def _replay(self, request: LoggedRequest, line: RequestLogLine, at: float) -> None:
        # A response that was ambiguous at first is recorded with its own time.
        now, self._clock.at = self._clock.at, at
        try:
            if request.call == CREATE_RUN:
                self._replay_creation(request, line)
            elif request.call == POLL:
                self._replay_poll(request, line)
            elif request.hook is not None:
                self._replay_call(request.hook, request, line)
        finally:
            self._clock.at = now

    def _replay_creation(self, request: LoggedRequest, line: RequestLogLine) -> None:
        if line.status != HTTPStatus.OK:
            return
        created = msgspec.json.decode(line.body, type=CreatedRun)
        run = created.run or created.trainer or {}
        if isinstance(run.get("id"), str):
            given = {name: value for name, value in run.items() if value is not None}
            self._created_runs[run["id"]] = {**request.params, **given}

    def _replay_call(self, hook: CallHook, request: LoggedRequest, line: RequestLogLine) -> None:
        if line.status == HTTPStatus.ACCEPTED:
            future = _ReplayedFuture()
            operation = msgspec.json.decode(line.body, type=AcceptedOperation).operation_id
            self._operations[request.run_id, operation] = (hook.accepted(future), future, request.call)
        elif line.status == HTTPStatus.OK and request.call == SAMPLE:
            hook.accepted(msgspec.json.decode(line.body, type=SampleResult).as_sdk())
        else:
            hook.failed()

    def _replay_poll(self, request: LoggedRequest, line: RequestLogLine) -> None:
        key = self._operation_key(request)
        if line.status != HTTPStatus.OK or key is None:
            return
        polled = msgspec.json.decode(line.body, type=OperationResult)
        proxy, future, call = self._operations.pop(key)
        if polled.status != "done":
            return
        if call == SAMPLE:
            future.value = msgspec.json.decode(polled.result, type=SampleResult).as_sdk()
        else:
            future.value = msgspec.json.decode(polled.result, type=TrainerResult)
        proxy.result()

    def _operation_key(self, request: LoggedRequest) -> tuple[str | None, str] | None:
        keys = [key for key in self._operations if key[1] == request.operation]
        for key in keys:
            if key[0] == request.run_id:
                return key
        return keys[0] if len(keys) == 1 else None


class _ReplayHook(SdkHook):
    """Follows a training by its log, and records only lines that were not recorded before."""

    def __init__(self, experiment: Experiment, log: RequestLog, log_identity: str) -> None:
        super().__init__(None, experiment, clock=log.clock)
        self._log = log
        #: The log that the training began in.
        self.log_identity = log_identity

    def record(self, position: Any, values: Any) -> None:
        if not self._log.is_known:
            super().record(position, values)

    def mark(self, position: Any, name: str, uri: str | None, target: str, *, ttl_seconds: Any = None) -> None:
        # A save without a URI is one whose result has not been read yet.
        if not self._log.is_known and uri is not None:
            super().mark(position, name, uri, target, ttl_seconds=ttl_seconds)


def _decode_body(line: RequestLogLine) -> RequestBody:
    try:
        return msgspec.json.decode(line.body, type=RequestBody)
    except msgspec.DecodeError:
        return RequestBody()


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


class GrowingLog(Protocol):
    """A log that is read as it grows: that of the SDK's requests, or a recipe's metrics."""

    log: Path

    def read(self) -> int:
        """Read what was written since the last call, and return the number of lines."""


class LogFollower:
    """Reads a log as it grows, on a thread of its own, until it is stopped.

    Parameters
    ----------
    log : GrowingLog
        The log.

    Attributes
    ----------
    log : GrowingLog
        The log.
    trouble : str
        Why reading ended; empty while it goes on.
    """

    def __init__(self, log: Any) -> None:
        self.log = log
        self.trouble: str = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="loops-nb-request-log", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for its end."""
        self._stop.set()
        self._thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _follow(self) -> None:
        while not self._stop.wait(_PAUSE_SECONDS):
            try:
                self.log.read()
            except (OSError, TrackingError) as error:
                # Shown by `%loops track`; a message from this thread would appear under an unrelated cell.
                logger.warning("Reading of %s ended.", self.log.log, exc_info=True)
                self.trouble = one_line(str(error))
                return


_followers: dict[Path, LogFollower] = {}


def follow(log: GrowingLog) -> LogFollower:
    """Follow a log as it grows; one follower per file and process.

    Parameters
    ----------
    log : GrowingLog
        The log; another follower of its file is stopped.
    """
    path = log.log.absolute()
    unfollow(path)
    follower = _followers[path] = LogFollower(log)
    follower.start()
    return follower


def unfollow(log: Path) -> bool:
    """Stop following a request log, and return whether it was followed."""
    follower = _followers.pop(log.absolute(), None)
    if follower is not None:
        follower.stop()
    return follower is not None


def followed() -> list[LogFollower]:
    """Return the followers of this process."""
    return list(_followers.values())
