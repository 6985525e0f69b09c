"""The request log of the official SDK (``LOOPS_REQUEST_LOG``), read as the training that it tells of.

A line is a request or its response; `loops_nb.tracking.request_matching` ties them together.  The bodies hold the data of the
training: of those only the lengths are read, and nothing else of them, of headers or of addresses is kept.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from loops_nb.errors import TrackingError, one_line
from loops_nb.tracking.log_file import LogFile, try_open
from loops_nb.tracking.proxies import Watch
from loops_nb.tracking.recorder import Recorder, recorder_for
from loops_nb.tracking.recording import Recording
from loops_nb.tracking.request_lines import PARAMS, Accepted, Body, Line, Made, Outcome, Sampled, Values
from loops_nb.tracking.request_matching import ACCEPTED, DONE, MADE, OPERATION, OTHER, SAMPLE, Matching, Request
from loops_nb.tracking.store import Store
from loops_nb.tracking.tracker import Tracker
from loops_nb.tracking.values import kept_params, kept_text
from loops_nb.tracking.watches import Clock
from loops_nb.tracking.writing import Entry, Followed, Logged, Marked, Opened, Opening

_OPERATION = re.compile(r"(?:/trainers/([^/?]+))?/operations/([^/?]+)")
_CALL = re.compile(r"/([a-z_]+)(?:\?.*)?$")
_MADE = re.compile(r"/v1/loops/(?:runs|trainers)(?:\?.*)?$")
_RUN_HEADER, _KEY_HEADER = "x-run-id", "idempotency-key"
_TRAINS = ("forward_backward", "forward", "optim_step", "save_state", "save_weights_for_sampler", "load_state", "load_state_with_optimizer")
_INIT = "init_trainer_server"
_CALLS = frozenset({*_TRAINS, _INIT, SAMPLE})
# So many entries at most are written in one transaction, so that other writers need not wait for the whole of a long log.
_MOST_ENTRIES = 20_000
_PAUSE_SECONDS = 0.5
# A script may write on to a log after it was renamed.
_MOST_RENAMED = 4


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

    def hand_over(self, file: LogFile) -> None:
        """Give all of it to the recorder, with how far the log was read."""
        self._recorder.add(Followed(file.identity, file.offset, self._entries, file.mark()))
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
        #: What it tells of, by the id of the run.
        self.experiments: dict[str, Recording] = {}
        #: Lines that are no lines of such a log.
        self.odd_lines = 0
        self._file: LogFile | None = None
        # Logs that had its name before, and may still be written to.
        self._renamed: deque[LogFile] = deque(maxlen=_MOST_RENAMED)
        self._reading: LogFile | None = None
        self._clock = _LogClock()
        self._found = _Found(self._recorder)
        self._made: dict[str, dict[str, Any]] = {}
        self._trackers: dict[str, _Replay] = {}
        self._matching = Matching(self._response)
        self._operations: dict[tuple[str | None, str], tuple[Any, _Result, str]] = {}

    def read(self) -> int:
        """Read what has been written since, and return how many lines that were; 0 while there is no such file.

        A log that was renamed, removed or replaced is read to its end, then the one that has its name now.

        Raises
        ------
        OSError
            If it is there and cannot be read.
        TrackingError
            If the experiments cannot be read.
        """
        try:
            return self._read_all()
        except FileNotFoundError:
            return 0

    def _read_all(self) -> int:
        lines = sum(self._read(file) for file in self._renamed)
        if self._file is not None:
            is_rewritten = self._file.is_rewritten()
            lines += 0 if is_rewritten else self._read(self._file)
            if is_rewritten or (not self._file.is_at(self.log) and self.log.exists()):
                before, self._file = self._file, try_open(self.log, self._store, other_than=self._file.identity if is_rewritten else "")
                if not is_rewritten and before.stays_open:
                    self._renamed.append(before)
                return lines + (self._read(self._file) if self._file else 0)
            return lines
        self._file = try_open(self.log, self._store)
        return lines + (self._read(self._file) if self._file else 0)

    def _read(self, file: LogFile) -> int:
        self._reading = file
        began = handed = file.offset
        count = 0
        for line, end in file.lines():
            count += 1
            self._found.offset = end
            self._take(line)
            if len(self._found) >= _MOST_ENTRIES:
                self._hand_over(file, handed)
                handed = file.offset
        if file.offset > began:
            self._hand_over(file, handed)
        return count

    def _hand_over(self, file: LogFile, handed: int) -> None:
        if file.offset > max(handed, file.known):
            self._found.hand_over(file)
        else:
            file.mark()

    def flush(self) -> bool:
        """Write what was read, and tell whether it is in the file."""
        return self._recorder.flush()

    @property
    def trouble(self) -> str:
        """What keeps what was read from the file, in words; empty where nothing does."""
        return self._recorder.trouble

    @property
    def unclear(self) -> int:
        """How many answers were left out, because several processes wrote at once and nothing tells whose they are."""
        return self._matching.unclear

    def _take(self, line: bytes) -> None:
        try:
            found = msgspec.json.decode(line, type=Line)
            self._clock.at = datetime.fromisoformat(found.ts).timestamp()
            if found.kind == "request" and found.seq is not None:
                self._matching.request(found.seq, self._request(found))
            elif found.kind == "response":
                self._matching.response(found, self._clock.at)
        except (msgspec.DecodeError, ValueError, KeyError, TypeError, AttributeError):
            self.odd_lines += 1

    def _request(self, line: Line) -> Request:
        run_id = line.headers.get(_RUN_HEADER)
        found = Request(OTHER, self._clock.at, run_id, key=line.headers.get(_KEY_HEADER))
        operation = _OPERATION.search(line.path) if line.method == "GET" else None
        call = _CALL.search(line.path)
        name = call[1] if call is not None and line.method == "POST" else ""
        if _MADE.search(line.path) and line.method == "POST":
            found.call, found.params = MADE, _body(line).params()
        elif operation is not None:
            found.call, found.operation = OPERATION, operation[2]
            found.run_id = run_id or operation[1]
        elif name in _CALLS:
            body = msgspec.json.decode(line.body, type=Body)
            found.run_id = run_id or body.run_id
            if found.run_id is not None:
                found.call = name
                before = self._matching.retried(found.key) if found.key else None
                found.watch = before.watch if before is not None else self._watch(found.run_id, name, body)
        return found

    def _watch(self, run_id: str, name: str, body: Body) -> Watch | None:
        tracker = self._tracker(run_id, name, body)
        if name == SAMPLE:
            return tracker.sample({})
        if name == _INIT and not tracker.has_begun:
            # The SDK's first word to a new trainer, no return to an earlier state.
            return None
        return tracker.calls()[name](body.arguments())

    def _response(self, request: Request, line: Line, at: float) -> None:
        # What could not be paired at first is recorded with its own time.
        now, self._clock.at = self._clock.at, at
        try:
            self._answer(request, line)
        finally:
            self._clock.at = now

    def _answer(self, request: Request, line: Line) -> None:
        if request.call == MADE:
            if line.status == DONE:
                made = msgspec.json.decode(line.body, type=Made)
                run = made.run or made.trainer or {}
                if isinstance(run.get("id"), str):
                    self._made[run["id"]] = {**request.params, **{name: value for name, value in run.items() if value is not None}}
        elif request.call == OPERATION:
            self._operation(request, line)
        elif request.watch is not None:
            self._answered(request.watch, request, line)

    def _answered(self, watch: Watch, request: Request, line: Line) -> None:
        if line.status == ACCEPTED:
            result = _Result()
            operation = msgspec.json.decode(line.body, type=Accepted).operation_id
            self._operations[request.run_id, operation] = (watch.accepted(result), result, request.call)
        elif line.status == DONE and request.call == SAMPLE:
            watch.accepted(msgspec.json.decode(line.body, type=Sampled).as_sdk())
        else:
            watch.failed()

    def _operation(self, request: Request, line: Line) -> None:
        if line.status != DONE:
            return
        of = [key for key in self._operations if key[1] == request.operation]
        key = next((key for key in of if key[0] == request.run_id), of[0] if len(of) == 1 else None)
        if key is None:
            return
        outcome = msgspec.json.decode(line.body, type=Outcome)
        future, result, call = self._operations.pop(key)
        if outcome.status != "done":
            return
        if call == SAMPLE:
            result.value = msgspec.json.decode(outcome.result, type=Sampled).as_sdk()
        else:
            result.value = msgspec.json.decode(outcome.result, type=Values)
        future.result()

    def _tracker(self, run_id: str, call: str, body: Body) -> Tracker:
        found = self._trackers.get(run_id)
        file = self._reading
        identity = file.identity if file is not None else ""
        # A script that begins again in a log under the same name begins an experiment; one that goes on there goes on with its own.
        if found is None or (call == _INIT and found.identity != identity):
            run = {**body.params(), **self._made.get(run_id, {})}
            params = {name: run[name] for name in PARAMS if run.get(name) is not None}
            # The same log gives the same experiment and the same attempts, however often and by whichever process it is read.
            token = hashlib.blake2b(f"{identity}/{run_id}".encode(), digest_size=8).hexdigest()
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
            found = self._trackers[run_id] = _Replay(recording, self, identity)
        return found

    @property
    def offset(self) -> int:
        """How far it was read, in bytes."""
        return 0 if self._file is None else self._file.offset

    @property
    def clock(self) -> _LogClock:
        """The time of the line that is being read."""
        return self._clock

    @property
    def is_known(self) -> bool:
        """Whether the line that is being read was recorded before."""
        return self._reading is not None and self._found.offset <= self._reading.known


class _Replay(Tracker):
    """A tracker that follows a log, and records only what nobody has recorded from it before."""

    def __init__(self, recording: Recording, log: RequestLog, identity: str) -> None:
        super().__init__(None, recording, clock=log.clock)
        self._log = log
        #: The log that it began in.
        self.identity = identity

    def record(self, place: Any, values: Any) -> None:
        if not self._log.is_known:
            super().record(place, values)

    def mark(self, place: Any, name: str, uri: str | None, target: str) -> None:
        # A save without a URI is one whose result has not been read yet.
        if not self._log.is_known and uri is not None:
            super().mark(place, name, uri, target)


def _body(line: Line) -> Body:
    try:
        return msgspec.json.decode(line.body, type=Body)
    except msgspec.DecodeError:
        return Body()


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
