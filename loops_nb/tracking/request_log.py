"""The request log of the official SDK (``LOOPS_REQUEST_LOG``), read as the training that it tells of.

A line is a request or its response, tied together by a number that begins again with every process.  The bodies hold the data of the
training: of those only the lengths are read, and nothing else of them, of headers or of addresses is kept.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from loops_nb.errors import TrackingError, one_line
from loops_nb.tracking.proxies import Watch
from loops_nb.tracking.recorder import Recorder, recorder_for
from loops_nb.tracking.recording import Recording
from loops_nb.tracking.request_lines import Accepted, Body, Line, Made, Outcome, Sampled, Values
from loops_nb.tracking.store import Store
from loops_nb.tracking.tracker import Tracker
from loops_nb.tracking.values import kept_params, kept_text
from loops_nb.tracking.watches import Clock
from loops_nb.tracking.writing import Entry, Followed, Logged, Marked, Opened, Opening

_OPERATION = re.compile(r"/operations/([^/?]+)")
_CALL = re.compile(r"/([a-z_]+)(?:\?.*)?$")
_MADE = re.compile(r"/v1/loops/(?:runs|trainers)(?:\?.*)?$")
_RUN_HEADER = "x-run-id"
_ACCEPTED, _DONE = 202, 200
_TRAINS = ("forward_backward", "forward", "optim_step", "save_state", "save_weights_for_sampler", "load_state", "load_state_with_optimizer")
_INIT = "init_trainer_server"
_SAMPLE = "sample"
_CALLS = frozenset({*_TRAINS, _INIT, _SAMPLE})
_AT_ONCE = 8 << 20
# So many entries at most are written in one transaction, so that other writers need not wait for the whole of a long log.
_MOST_ENTRIES = 20_000
_PAUSE_SECONDS = 0.5


class _Request(NamedTuple):
    """A request whose response has not been read yet."""

    call: str
    run_id: str | None
    watch: Watch | None
    operation: str | None


class _LogClock(Clock):
    """The time at which a line was written."""

    def __init__(self) -> None:
        self.at = 0.0

    def seconds(self) -> float:
        return self.at

    def millis(self) -> int:
        return round(self.at * 1000)


class _Result:
    """What a future of the SDK is: here its result is set when the line that has it is read."""

    def __init__(self) -> None:
        self.value: Any = None

    def result(self) -> Any:
        """Return it."""
        return self.value


class _Found:
    """What was found in a log, line by line, until it is handed to the recorder in one piece, together with how far that is."""

    def __init__(self, recorder: Recorder) -> None:
        #: The end of the line that is being read.
        self.offset = 0
        self._recorder = recorder
        self._entries: list[tuple[int, Logged | Marked | Opened]] = []

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def path(self) -> Path:
        """The file of experiments."""
        return self._recorder.path

    @property
    def trouble(self) -> str:
        """What keeps the recorder from writing, in words."""
        return self._recorder.trouble

    @property
    def waiting(self) -> int:
        """Always none that anybody has to be warned of; see `untold`."""
        return 0

    @property
    def untold(self) -> bool:
        """Always false: nobody waits for a thread that reads a log, and a warning of it would land under a stranger's cell."""
        return False

    def add(self, entry: Entry) -> None:
        """Take what the line says."""
        if not isinstance(entry, Followed):
            self._entries.append((self.offset, entry))

    def hand_over(self, log: str) -> None:
        """Give all of it to the recorder."""
        self._recorder.add(Followed(log, self.offset, self._entries))
        self._entries = []

    def tell(self) -> None:
        """Do nothing; see `untold`."""

    def flush(self) -> bool:
        """Write what was handed over."""
        return self._recorder.flush()


class RequestLog:
    """One request log, read as far as it has grown; what was read before is not recorded twice, whichever process read it.

    Several processes may follow one log at the same time: what a line says is written by the first of them and by no other.

    Parameters
    ----------
    log
        The log.
    path
        The file of experiments.
    experiment
        Name for what it tells of; without it each run has its own, or its id.
    """

    def __init__(self, log: Path, *, path: Path | None = None, experiment: str | None = None) -> None:
        self.log = log
        self._store = Store(path)
        self._recorder: Recorder = recorder_for(self._store.path)
        self._name = experiment
        self._begin()

    def _begin(self) -> None:
        #: What it tells of, by the id of the run.
        self.experiments: dict[str, Recording] = {}
        #: Lines that are no lines of such a log.
        self.odd_lines = 0
        self._clock = _LogClock()
        self._identity = ""
        self._found = _Found(self._recorder)
        self._known = 0
        self._made: dict[str, dict[str, Any]] = {}
        self._trackers: dict[str, Tracker] = {}
        self._requests: dict[int, _Request] = {}
        self._operations: dict[str, tuple[Any, _Result, str]] = {}

    def read(self) -> int:
        """Read what has been written since, and return how many lines that were; 0 while there is no such file.

        Raises
        ------
        OSError
            If it is there and cannot be read.
        TrackingError
            If the experiments cannot be read.
        """
        count = 0
        try:
            with self.log.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._found.offset:
                    # Begun anew: another log under the same name.
                    self._begin()
                for line, end in self._lines(file):
                    count += 1
                    self._found.offset = end
                    self._take(line)
                    if len(self._found) >= _MOST_ENTRIES:
                        self._hand_over()
        except FileNotFoundError:
            return 0
        self._hand_over()
        return count

    def _hand_over(self) -> None:
        if self._found.offset > self._known:
            self._found.hand_over(self._identity)
            self._known = self._found.offset

    def flush(self) -> bool:
        """Write what was read, and tell whether it is in the file."""
        return self._recorder.flush()

    @property
    def trouble(self) -> str:
        """What keeps what was read from the file, in words; empty where nothing does."""
        return self._recorder.trouble

    def _lines(self, file: Any) -> Iterator[tuple[bytes, int]]:
        if not self._identity:
            first = file.readline()
            if not first.endswith(b"\n"):
                return
            # The first line has a time and an address: no other log begins alike, wherever this one is moved to.
            self._identity = hashlib.blake2b(first, digest_size=16).hexdigest()
            self._known = self._store.followed(self._identity)
        at = self._found.offset
        file.seek(at)
        while lines := file.readlines(_AT_ONCE):
            for line in lines:
                if not line.endswith(b"\n"):
                    # Being written at this moment.
                    return
                at += len(line)
                yield line, at

    def _take(self, line: bytes) -> None:
        try:
            found = msgspec.json.decode(line, type=Line)
            self._clock.at = datetime.fromisoformat(found.ts).timestamp()
            if found.kind == "request":
                self._request(found)
            elif found.kind == "response" and found.seq in self._requests:
                self._response(self._requests.pop(found.seq), found)
        except (msgspec.DecodeError, ValueError, KeyError, TypeError, AttributeError):
            self.odd_lines += 1

    def _request(self, line: Line) -> None:
        if line.seq is None:
            return
        run_id = line.headers.get(_RUN_HEADER)
        operation = _OPERATION.search(line.path) if line.method == "GET" else None
        call = _CALL.search(line.path)
        name = call[1] if call is not None and line.method == "POST" else ""
        if _MADE.search(line.path) and line.method == "POST":
            self._requests[line.seq] = _Request("made", None, None, None)
        elif operation is not None:
            self._requests[line.seq] = _Request("operation", run_id, None, operation[1])
        elif name in _CALLS:
            body = msgspec.json.decode(line.body, type=Body)
            run_id = run_id or body.run_id
            if run_id is not None:
                self._requests[line.seq] = _Request(name, run_id, self._watch(run_id, name, body), None)

    def _watch(self, run_id: str, name: str, body: Body) -> Watch | None:
        tracker = self._tracker(run_id)
        if name == _SAMPLE:
            return tracker.sample({})
        if name == _INIT and not tracker.has_begun:
            # The SDK's first word to a new trainer, no return to an earlier state.
            return None
        return tracker.calls()[name](body.arguments())

    def _response(self, request: _Request, line: Line) -> None:
        if request.call == "made":
            if line.status == _DONE:
                made = msgspec.json.decode(line.body, type=Made)
                run = made.run or made.trainer or {}
                if isinstance(run.get("id"), str):
                    self._made[run["id"]] = run
        elif request.call == "operation":
            self._operation(str(request.operation), line)
        elif request.watch is not None:
            self._answered(request.watch, request, line)

    def _answered(self, watch: Watch, request: _Request, line: Line) -> None:
        if line.status == _ACCEPTED:
            result = _Result()
            operation = msgspec.json.decode(line.body, type=Accepted).operation_id
            self._operations[operation] = (watch.accepted(result), result, request.call)
        elif line.status == _DONE and request.call == _SAMPLE:
            watch.accepted(msgspec.json.decode(line.body, type=Sampled).as_sdk())
        else:
            watch.failed()

    def _operation(self, operation: str, line: Line) -> None:
        if line.status != _DONE or operation not in self._operations:
            return
        outcome = msgspec.json.decode(line.body, type=Outcome)
        future, result, call = self._operations.pop(operation)
        if outcome.status != "done":
            return
        if call == _SAMPLE:
            result.value = msgspec.json.decode(outcome.result, type=Sampled).as_sdk()
        else:
            result.value = msgspec.json.decode(outcome.result, type=Values)
        future.result()

    def _tracker(self, run_id: str) -> Tracker:
        found = self._trackers.get(run_id)
        if found is None:
            run = self._made.get(run_id, {})
            params = {name: run.get(name) for name in ("base_model", "lora_rank", "max_seq_len") if run.get(name) is not None}
            # The same log gives the same experiment and the same attempts, however often and by whomever it is read.
            token = hashlib.blake2b(f"{self._identity}/{run_id}".encode(), digest_size=8).hexdigest()
            opening = Opening(
                id=token[:8],
                name=kept_text(self._name or _text(run.get("name")) or run_id),
                run_id=run_id,
                session_id=_text(run.get("session_id")),
                created_at=self._clock.millis(),
                params=kept_params(params),
                token=token,
            )
            recording = self.experiments[run_id] = Recording(self._found, opening)
            if not self.is_known:
                self._found.add(Opened(opening, self._clock.millis()))
            found = self._trackers[run_id] = _Replay(recording, self)
        return found

    @property
    def offset(self) -> int:
        """How far it was read, in bytes."""
        return self._found.offset

    @property
    def clock(self) -> _LogClock:
        """The time of the line that is being read."""
        return self._clock

    @property
    def is_known(self) -> bool:
        """Whether the line that is being read was recorded before."""
        return self._found.offset <= self._known


class _Replay(Tracker):
    """A tracker that follows a log, and records only what nobody has recorded from it before."""

    def __init__(self, recording: Recording, log: RequestLog) -> None:
        super().__init__(None, recording, clock=log.clock)
        self._log = log

    def record(self, place: Any, values: Any) -> None:
        if not self._log.is_known:
            super().record(place, values)

    def mark(self, place: Any, name: str, uri: str | None, target: str) -> None:
        # A save without a URI is one whose result has not been read yet.
        if not self._log.is_known and uri is not None:
            super().mark(place, name, uri, target)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


class Follower:
    """Reads a request log as it grows, on a thread of its own, until it is stopped.

    Parameters
    ----------
    log
        The log.
    """

    def __init__(self, log: RequestLog) -> None:
        self.log = log
        #: Why it had to stop, if it had to.
        self.trouble = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="loops-nb-request-log", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait until it has."""
        self._stop.set()
        self._thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether it still reads."""
        return self._thread.is_alive()

    def _follow(self) -> None:
        while not self._stop.wait(_PAUSE_SECONDS):
            try:
                self.log.read()
            except (OSError, TrackingError) as error:
                # Nobody waits for this thread: what is wrong is said when somebody asks.
                self.trouble = one_line(str(error))
                return


_followers: dict[Path, Follower] = {}


def follow(log: RequestLog) -> Follower:
    """Read a request log from now on as it grows; one reader a file and process."""
    path = log.log.absolute()
    unfollow(path)
    made = _followers[path] = Follower(log)
    made.start()
    return made


def unfollow(log: Path) -> bool:
    """Stop reading a request log; tell whether it was read."""
    found = _followers.pop(log.absolute(), None)
    if found is not None:
        found.stop()
    return found is not None


def followed() -> list[Follower]:
    """Return what this process reads."""
    return list(_followers.values())
