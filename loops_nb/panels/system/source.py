"""Source of points for a panel of curves: system metrics, polled while a page looks, beside training metrics."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from loops_nb.client.system_metrics import DEFAULT_AGE, SystemPart, find_halves, read_parts
from loops_nb.errors import LoopsError
from loops_nb.panels.curves.metric_keys import in_order
from loops_nb.render.formatting import roughly
from loops_nb.tracking.groups import natural_order
from loops_nb.tracking.rows import ExperimentMark, ExperimentRow, KeyRow, Series

if TYPE_CHECKING:
    from loops_nb.client.logs import LogTarget
    from loops_nb.client.transport import Transport
    from loops_nb.frames.system_metrics import SystemPoint
    from loops_nb.tracking import ExperimentStore
    from loops_nb.tracking.curve_groups import Axis

#: Seconds between two polls, and between two points of the trainer.
INTERVAL = 10.0
_STEP_SECONDS = 10
#: So many points of the trainer at most in the first answer; a longer window has longer steps.
_MOST_POINTS = 360
_MILLIS = 1000
#: So many steps may be missing within a line; of more, nothing is known.
_MOST_MISSING = 2
#: No window may be longer.
_MOST_DAYS = 7
#: Training metrics that are drawn beside: the first ones that matter, and what tells how fast it trains.
_MOST_TRAINING_KEYS = 3
_SPEED = ("_seconds", "per_second")
#: What the ids of lines begin with; those of recorded experiments have no slash.
PREFIX = "system/"
_GROUPS = (
    ("gpu_", "gpu"),
    ("cpu_", "cpu"),
    ("ephemeral_storage_", "disk"),
    ("request_", "requests"),
    ("requests_", "requests"),
)


class _Line(NamedTuple):
    """What a line of the charts is of: half, node and GPU, each empty where it is of all."""

    half: str
    node: str
    gpu: str

    @property
    def id(self) -> str:
        return PREFIX + "/".join(self)

    @property
    def rank(self) -> list[list[Any]]:
        """What lines are sorted by: node-2 comes before node-10."""
        return [natural_order(part) for part in self]

    @property
    def name(self) -> str:
        return " ".join(filter(None, [self.half, self.node, f"GPU {self.gpu}" if self.gpu else ""]))


class _Points:
    """The points of one line and key, oldest first."""

    def __init__(self) -> None:
        self.at: list[int] = []
        self.value: list[float] = []
        #: A higher one after a gap: no line is drawn over it.
        self.attempt: list[int] = []
        #: Where the step of the last one ends.
        self.end: float = 0.0


class SystemSource:
    """System metrics of one target as a `MetricSource`: each GPU, node and half is a line, as an experiment is.

    `version` is asked for by the panel while a page looks at it, and begins the next poll when it is due.

    Parameters
    ----------
    transport : Transport
        Used by one thread at a time.
    word : str
        Id or name of a run, id of a deployment, or id of a sampler.
    since : datetime.timedelta, default `DEFAULT_AGE`
        How far back the first poll looks, but not before the target was created.
    store : ExperimentStore or None, default None
        Where the training metrics of the run are; None for none.
    is_patient : bool, default False
        Whether metrics that cannot be read at first are asked for again, as later ones are, in place of an error.
    clock, now : callable
        Monotonic seconds, and the time.

    Raises
    ------
    LoopsError
        If there is no such target, or its metrics cannot be read.
    """

    def __init__(
        self,
        transport: Transport,
        word: str,
        *,
        since: timedelta = DEFAULT_AGE,
        store: ExperimentStore | None = None,
        is_patient: bool = False,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._transport = transport
        self._store = store
        self._clock = clock
        self._now = now
        self._lock = threading.Lock()
        self._points: dict[_Line, dict[str, _Points]] = {}
        self._changes = 0
        self._stored_version: int | None = None
        self._error: LoopsError | None = None
        self._polling: threading.Thread | None = None
        self._closed = False
        self.notes: tuple[str, ...] = ()
        self.target: LogTarget = transport.send_each(find_halves(word))
        self._step = max(_STEP_SECONDS, math.ceil(since.total_seconds() / _MOST_POINTS))
        # Whole steps, so that a point that was read once does not come again with other bounds.
        begin, created = now() - since, self.target.since
        #: How far back it begins; None if at the creation of the target.
        self._since = since if created is None or created < begin else None
        if created is not None:
            # An hour of nothing would squeeze a training of minutes into a line. The service's clock may be ahead.
            begin = max(begin, min(created, now() - timedelta(seconds=self._step)))
        self._begin = self._floor(begin)
        self._first_ms = round(self._begin.timestamp() * _MILLIS)
        #: By recorded series, see `_skipped`.
        self._before: dict[tuple[str, str], int] = {}
        self._read_until: datetime | None = None
        #: When a value of the training was recorded last, as it was read last; in milliseconds.
        self._recorded_until = 0
        self._poll()
        if not is_patient and self._error is not None:
            raise self._error
        self._due = clock() + INTERVAL

    def close(self) -> None:
        """Poll no more, and close the connection."""
        self._closed = True
        thread = self._polling
        if thread is not None:
            thread.join(timeout=1.0)
        self._transport.close()

    # As `MetricSource` has it.

    def experiments(self, *, archived: bool = False) -> list[ExperimentRow]:
        """Return the lines as experiments of the target, and the experiments that were recorded of the run.

        Before anything was measured there is one line without points.
        """
        with self._lock:
            lines = self._points or {_Line(self.target.what, "", ""): {}}
            # Their charts come in the order in which the lines began: GPUs, then nodes, then requests.
            ordered = sorted(lines.items(), key=lambda item: (not item[0].gpu, not item[0].node, item[0].rank))
            rows = [self._row(line, keys, place) for place, (line, keys) in enumerate(ordered)]
        recorded = self._recorded(archived=archived)
        self._recorded_until = max((row.last_at for row in recorded), default=0)
        return [*recorded, *rows]

    def keys(self, experiment_id: str, /) -> list[KeyRow]:
        """Return the metrics of a line, or of a recorded experiment those that belong beside them."""
        with self._lock:
            of = self._of(experiment_id)
            if of is not None:
                return [KeyRow(key, len(points.at), 0, len(points.at) - 1) for key, points in of.items()]
        rows = {row.key: row for row in self._store.keys(experiment_id)} if self._store is not None else {}
        ordered = in_order(rows)
        speed = [key for key in ordered if key.endswith(_SPEED)]
        chosen = dict.fromkeys([*ordered[:1], *speed[: _MOST_TRAINING_KEYS - 1]])
        found = (replace(rows[key], count=rows[key].count - self._skipped(experiment_id, key)) for key in chosen)
        return [row for row in found if row.count > 0]

    def series(self, experiment_id: str, key: str, /, *, after: int = 0) -> Series:
        """Return the points of a line, numbered as steps, or those of a recorded experiment."""
        with self._lock:
            of = self._of(experiment_id)
            if of is not None:
                points = of[key]
                at = np.array(points.at[after:], dtype=np.int64)
                value = np.array(points.value[after:], dtype=np.float64)
                step = np.arange(after, after + len(at), dtype=np.int64)
                tokens = np.full(len(at), np.nan)
                attempt = np.array(points.attempt[after:], dtype=np.int32)
                return Series(step, at, tokens, value, attempt, len(points.at))
        assert self._store is not None  # noqa: S101 - only its experiments are no lines
        found = self._store.series(experiment_id, key, after=after)
        if after:
            return found
        kept = slice(self._skipped(experiment_id, key), None)
        return Series(
            found.step[kept], found.at[kept], found.tokens[kept], found.value[kept], found.attempt[kept], found.mark
        )

    def _skipped(self, experiment_id: str, key: str) -> int:
        """Return how many points of a recorded series lie before the window; read once, as it begins at one time."""
        known = self._before.get((experiment_id, key))
        if known is None:
            assert self._store is not None  # noqa: S101 - only its experiments are asked for
            at = self._store.series(experiment_id, key).at
            known = int(np.count_nonzero(at[: np.searchsorted(np.maximum.accumulate(at), self._first_ms)]))
            self._before[experiment_id, key] = known
        return known

    def marks(self, experiment_id: str, /) -> Sequence[ExperimentMark]:
        """Return the saves and notes of a recorded experiment."""
        with self._lock:
            is_line = self._of(experiment_id) is not None
        return [] if is_line or self._store is None else self._store.marks(experiment_id)

    @property
    def identity(self) -> None:
        """Return nothing: the series are shared with no other panel."""

    def version(self) -> int:
        """Return another number when anything was measured or recorded, or failed, and poll if that is due."""
        if self._polling is None and not self._closed and self._clock() >= self._due:
            self._polling = threading.Thread(target=self._poll_in_background, name="loops-nb-system", daemon=True)
            self._polling.start()
        stored = None if self._store is None else self._store.version()
        with self._lock:
            if stored != self._stored_version:
                self._stored_version = stored
                self._changes += 1
            return self._changes

    @property
    def failure(self) -> str:
        """Why the system metrics are old; empty if they are not."""
        error = self._error
        return "" if error is None else f"GPU, CPU and the other system metrics are not up to date. {error}"

    @property
    def notice(self) -> str:
        """Why there are no system metrics, or old ones, and what the service remarks about them."""
        if self.failure:
            return self.failure
        remarks = [f"{note.rstrip('.')}." for note in self.notes]
        with self._lock:
            if any(points.at for keys in self._points.values() for points in keys.values()):
                return " ".join(remarks)
        return " ".join([self._nothing(), *remarks])

    def _nothing(self) -> str:
        if self._since is None:
            return "No system metrics were measured yet."
        line = f"%loops watch system {self.target.id} --since {_MOST_DAYS}d"
        further = f" Further back: {line}" if self._since < timedelta(days=_MOST_DAYS) else ""
        return f"No system metrics were measured in the last {roughly(self._since.total_seconds())}.{further}"

    @property
    def how(self) -> str:
        """Who measures what, for where nothing was measured."""
        if self._error is not None:
            return "The system metrics could not be read; they are asked for again."
        return (
            "The service measures the machines of a deployment while it runs, and what it measured appears here by "
            "itself. What has ended or failed gets no more of it, and what is on shared (serverless) capacity has none."
        )

    def common_span(self, axis: Axis) -> tuple[float, float] | None:
        """Return the bounds that all charts share along the clock, so that what happened at one time stands below."""
        if axis != "clock":
            return None
        with self._lock:
            ends = [of.at[-1] for keys in self._points.values() for of in keys.values() if of.at]
        if not ends:
            return None
        # In whole steps: not every value that is logged moves all charts.
        step = self._step * _MILLIS
        return (self._first_ms / _MILLIS, max(*ends, math.ceil(self._recorded_until / step) * step) / _MILLIS)

    # Polling.

    def _poll_in_background(self) -> None:
        try:
            self._poll()
        finally:
            self._due = self._clock() + INTERVAL
            self._polling = None

    def _poll(self) -> None:
        end = self._now()
        start = self._floor(self._read_until or self._begin)
        if start < end - timedelta(days=_MOST_DAYS):
            # Of whole steps, or of a pause of days: a longer window is refused.
            start = self._floor(end - timedelta(days=_MOST_DAYS)) + timedelta(seconds=self._step)
        try:
            parts = self._transport.send_each(read_parts(self.target, start, None, self._step))
        except LoopsError as error:
            with self._lock:
                self._changes += str(error) != str(self._error)
                self._error = error
            return
        with self._lock:
            self._changes += self._error is not None
            self._error = None
            self._take(parts, end)

    def _floor(self, moment: datetime) -> datetime:
        return datetime.fromtimestamp(int(moment.timestamp()) // self._step * self._step, UTC)

    def _take(self, parts: Sequence[SystemPart], end: datetime) -> None:
        from loops_nb.frames.system_metrics import system_points  # pandas

        added = False
        for half, metrics in parts:
            step = (getattr(metrics, "step_seconds", None) or self._step) * _MILLIS
            complete = end.timestamp() * _MILLIS - step
            for point in system_points(half, metrics):
                added = self._add(point, step, complete) or added
        self.notes = tuple(dict.fromkeys(metrics.note for _, metrics in parts if metrics.note))
        # A late answer of one step may still come.
        self._read_until = end - timedelta(seconds=3 * self._step)
        self._changes += added

    def _add(self, point: SystemPoint, step: float, complete: float) -> bool:
        at = round(point.time.timestamp() * _MILLIS)
        line = _Line(point.half, point.node or "", "" if point.gpu is None else str(point.gpu))
        found = self._points.setdefault(line, {}).setdefault(_key(point), _Points())
        # The step that is going on is read again when it is whole.
        if at > complete or at < found.end:
            return False
        last = found.attempt[-1] if found.attempt else 1
        found.attempt.append(last + (found.end > 0 and at > found.end + _MOST_MISSING * step))
        found.end = at + step
        found.at.append(at)
        found.value.append(point.value)
        return True

    def _of(self, experiment_id: str) -> dict[str, _Points] | None:
        found = (keys for line, keys in self._points.items() if line.id == experiment_id)
        keys = next(found, {} if experiment_id.startswith(PREFIX) else None)
        return None if keys is None else {key: points for key, points in keys.items() if points.at}

    def _row(self, line: _Line, keys: dict[str, _Points], place: int) -> ExperimentRow:
        begin = self._first_ms + place
        last = max((points.at[-1] for points in keys.values() if points.at), default=begin)
        return ExperimentRow(
            line.id, line.name, self.target.id, None, begin, (), {}, (), archived=False, last_at=max(begin, last)
        )

    def _recorded(self, *, archived: bool) -> list[Any]:
        if self._store is None or self.target.what != "run":
            return []
        found = [row for row in self._store.experiments(archived=archived) if row.run_id == self.target.id]
        # A node has no parameters that could differ from theirs.
        return [row._replace(params={}) for row in found]


def _key(point: SystemPoint) -> str:
    """Return the name of the chart that a point belongs to: metrics of one thing stand together, with their unit."""
    group, name = next(
        ((group, point.metric.removeprefix(start)) for start, group in _GROUPS if point.metric.startswith(start)),
        ("requests", point.metric),
    )
    # What the name does not say.
    unit = point.unit.replace("/", " per ") if point.unit in {"cores", "ms", "s", "bytes"} else ""
    return f"{group}/{name}" + (f" ({unit})" if unit and not name.endswith(unit) else "")
