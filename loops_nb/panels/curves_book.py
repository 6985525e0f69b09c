"""What a panel of curves knows: which experiments it shows, and all of their points that somebody looked at."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
import numpy as np

from loops_nb.curves.history import AXES, History
from loops_nb.curves.params import compared
from loops_nb.curves.reducing import reduce
from loops_nb.curves.smoothing import HEAVIEST
from loops_nb.curves.wording import nothing_of
from loops_nb.experiments.direction import known_mode
from loops_nb.panels.curves_best import both_bests
from loops_nb.panels.curves_keys import first_of, found_in, in_order
from loops_nb.panels.curves_wire import Curve, CurveHead, CurveLine, CurveMark, CurveRun, LineStats, Look, ParamRow, Tail
from loops_nb.plots.floats import ignore_float_errors
from loops_nb.tracking import in_sight

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from loops_nb.curves.history import Summary
    from loops_nb.curves.source import Floats, Source
    from loops_nb.panels.curves_wire import Number

#: A whole picture is never larger, in bytes; what a notebook keeps of it neither.
MOST_BYTES = 49_000
#: Lines that share the room of a picture; each one more gets some bytes of its own.
_SHARING, _BYTES_A_LINE = 24, 800
#: Experiments that are drawn, when they are named and when they are not.
MOST_NAMED, MOST_NEWEST = 1000, 8
#: A hundred of these would hide the curves.
MOST_MARKS = 60
_FEWEST_COLUMNS, _MOST_COLUMNS = 50, 4000
#: A point in base64, and what is said of a line beside its points.
_POINT_BYTES, _LINE_BYTES = 32 / 3, 320
_MOST_IN_TAIL = 40
#: By so many points may the lines of a view grow, as a share of its columns, before all of it is made anew.
_GROWTH = 1.0
#: What 32 bits can tell: how large a number, how small a one, and how little a part of it.
_LARGEST, _SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
_FINEST = 1e-4


@dataclass(slots=True)
class Shown:
    """What a view has on its page.

    Parameters
    ----------
    look
        What it asked for, its key filled in.
    seq
        Number of the newest message that it was sent.
    origin
        As in the curve that it has.
    span
        Bounds of that curve along the axis.
    sent
        How many points of each experiment it has, those that were reduced away included.
    grown
        How many points came since the whole picture.
    """

    look: Look
    seq: int = 0
    origin: float = 0.0
    span: tuple[float, float] = (0.0, 0.0)
    sent: dict[str, int] = field(default_factory=dict)
    grown: int = 0
    is_stale: bool = True


#: What can load a checkpoint.
LISTED_FOR = ("trainer", "sampler")


class Listed(NamedTuple):
    """A checkpoint that the service lists, as a mark of the store is, with the run that it is of."""

    run_id: str
    step: int | None
    at: float
    text: str
    uri: str
    target: str
    kind: Literal["save"] = "save"


class Book:
    """The experiments of a panel; used by one thread at a time.

    Parameters
    ----------
    source
        Where they are stored.
    wanted
        Ids of experiments or of runs, or names; None for the newest.
    """

    def __init__(self, source: Source, wanted: Sequence[str] | None) -> None:
        self.head = CurveHead(runs=[], keys=[], marks=[], params=[])
        #: Checkpoints that somebody else knows of.
        self.listed: Sequence[Listed] = ()
        self._source = source
        self._wanted = None if wanted is None else list(dict.fromkeys(wanted))
        #: Ids of the newest experiments, as they were chosen; and whether there were none when the panel was opened.
        self._pinned: list[str] = []
        self._opened_empty: bool | None = None
        self._rows: list[Any] = []
        #: What was saved and noted, each with the experiment; as of the last reading, for many views are drawn after it.
        self._recorded: list[tuple[Any, str]] = []
        self._looks: dict[str, int] = {}
        self._histories: dict[tuple[str, str], History] = {}
        self._counts: dict[str, dict[str, int]] = {}
        self._keys: list[str] = []

    def read(self) -> bool:
        """Read what there is, all but the points, and return whether the head is another one."""
        rows, more, newer, missing = self._chosen()
        self._rows = rows
        for row in rows:
            self._looks.setdefault(row.id, len(self._looks))
        self._counts = {row.id: {str(one.key): int(one.count) for one in self._source.keys(row.id)} for row in rows}
        self._keys = in_order(key for counts in self._counts.values() for key in counts)
        keys, more_keys = first_of(self._keys)
        names = Counter(_name(row) for row in rows)
        self._recorded = [(mark, row.id) for row in rows for mark in self._source.marks(row.id)]
        marks, more_marks = self._marks()
        params = compared([row.params or {} for row in rows])
        known = self.names() if missing else []
        head = CurveHead(
            runs=[self._run(row, is_one_of_many=names[_name(row)] > 1) for row in rows],
            keys=keys,
            marks=marks,
            params=[ParamRow(name=row.name, values=row.values) for row in params.differing],
            same_params=params.same,
            more_params=params.left_out,
            more_runs=more,
            more_marks=more_marks,
            more_keys=more_keys,
            newer_runs=newer,
            missing=missing,
            waiting=nothing_of(missing, known) if missing and known else "",
            is_named=self._wanted is not None,
        )
        is_other = bool(_without_times(head) != _without_times(self.head))
        self.head = head
        return is_other

    def place_marks(self) -> bool:
        """Look anew where checkpoints and notes lie, and return whether that is another place than before."""
        marks, more = self._marks()
        if marks == self.head.marks:
            return False
        self.head = msgspec.structs.replace(self.head, marks=marks, more_marks=more)
        return True

    def key(self, asked: str) -> str:
        """Return the key that is drawn when that one was asked for."""
        return asked or next(iter(self.head.keys), "")

    def find_keys(self, text: str) -> tuple[list[str], int]:
        """Return the first keys that a search finds, and how many it finds."""
        return found_in(self._keys, text)

    def all_keys(self) -> list[str]:
        """Return every key of the experiments, what matters most first."""
        return list(self._keys)

    def show_newer(self) -> None:
        """Choose the newest experiments from the next reading on."""
        self._pinned, self._opened_empty = [], False

    def lines(self, key: str) -> list[tuple[int, Summary]]:
        """Return the place of each run that has points of a key, and its series in numbers."""
        found = [(place, self.history(run.id, key)) for place, run in enumerate(self.head.runs)] if key else []
        return [(place, history.summary) for place, history in found if len(history)]

    def names(self) -> list[str]:
        """Return what people can ask for, the newest first: names, and runs that something was recorded of."""
        rows = sorted(self._source.experiments(archived=False), key=_age, reverse=True)
        return list(dict.fromkeys(name for row in rows for name in (row.name, row.run_id) if name))

    def history(self, run: str, key: str) -> History:
        """Return the points of a key, the newest included."""
        row = next(row for row in self._rows if row.id == run)
        found = self._histories.setdefault((run, key), History(int(row.created_at)))
        if self._counts[run].get(key, 0) != len(found):
            found.extend(self._source.series(run, key, after=found.mark))
        return found

    def keep_only(self, keys: Iterable[str]) -> None:
        """Forget the points of keys that nobody looks at, and of experiments that are gone."""
        kept, runs = set(keys), {row.id for row in self._rows}
        for run, key in list(self._histories):
            if key not in kept or run not in runs:
                del self._histories[run, key]

    @ignore_float_errors
    def draw(self, shown: Shown, room: int = MOST_BYTES) -> Curve | None:
        """Make the whole picture of a view; what it was sent is set to that.

        Parameters
        ----------
        shown
            The view.
        room
            Bytes that the picture may take.
        """
        look = checked(shown.look, self.key(shown.look.key))
        shown.look, shown.sent, shown.grown, shown.is_stale = look, {}, 0, False
        histories = [(place, run.id, self.history(run.id, look.key)) for place, run in enumerate(self.head.runs)] if look.key else []
        histories = [one for one in histories if len(one[2])]
        if not histories:
            return None
        spans = [span for _, _, history in histories if (span := _span(history.x(look.axis))) is not None]
        first, last = (min(low for low, _ in spans), max(high for _, high in spans)) if spans else (None, None)
        low = look.low if look.low is not None else first if first is not None else 0.0
        high = look.high if look.high is not None else last if last is not None else 0.0
        shown.origin, shown.span = low if math.isfinite(low) else 0.0, (low, high)
        columns = look.columns
        room += _BYTES_A_LINE * max(0, len(histories) - _SHARING)
        share = (room - _LINE_BYTES * len(histories)) / len(histories) / _POINT_BYTES
        columns = max(4, min(columns, int(share / (3 if look.smoothing else 2))))
        while True:
            lines = [_line(place, history, look, shown, columns) for place, _, history in histories]
            curve = Curve(
                look=look,
                origin=shown.origin,
                first=first,
                last=last,
                lines=lines,
                unknown=len(histories) - len(spans),
                mode=known_mode(look.key),
                best=both_bests(self.lines(look.key), self.head),
            )
            if columns <= 4 or len(msgspec.json.encode(curve)) <= room:  # noqa: PLR2004 - fewer are no curve
                break
            columns = columns * 3 // 4
        shown.sent = {run: len(history) for _, run, history in histories}
        return curve

    @ignore_float_errors
    def tail(self, view: str, shown: Shown, now: float) -> Tail | None:
        """Make what comes to the end of a view's lines; None if nothing does, or if all of it has to be made anew: then it is stale."""
        look, lines, last = shown.look, [], -math.inf
        for place, run in enumerate(self.head.runs):
            history = self.history(run.id, look.key)
            sent = shown.sent.get(run.id, 0)
            if len(history) == sent:
                continue
            if not sent:
                shown.is_stale = True
                return None
            line, points, end = _added(place, history, look, shown, sent)
            lines.append(line)
            last = max(last, end)
            shown.grown += points
            shown.sent[run.id] = len(history)
        if shown.grown > look.columns * _GROWTH * max(1, len(shown.sent)):
            shown.is_stale = True
            return None
        if not lines:
            return None
        shown.seq += 1
        return Tail(
            view=view,
            base=shown.seq - 1,
            seq=shown.seq,
            now=now,
            lines=lines,
            last=last if math.isfinite(last) else None,
            best=both_bests(self.lines(look.key), self.head),
        )

    def _chosen(self) -> tuple[list[Any], int, int, list[str]]:
        """Return the experiments, oldest first, how many there are beyond them, how many are newer, and what was asked for in vain."""
        if self._wanted is None:
            return *self._newest(), []
        rows = list(self._source.experiments(archived=True))
        found: dict[str, Any] = {}
        missing = []
        for word in self._wanted:
            named = [row for row in rows if row.id == word]
            named = named or [row for row in rows if row.run_id == word] or [row for row in rows if row.name == word]
            found |= {row.id: row for row in in_sight(named)}
            if not named:
                missing.append(word)
        chosen = sorted(found.values(), key=_age)
        return chosen[-MOST_NAMED:], max(0, len(chosen) - MOST_NAMED), 0, missing

    def _newest(self) -> tuple[list[Any], int, int]:
        """Return the experiments that were the newest when they were chosen: what is on the page stays there."""
        everything = sorted(self._source.experiments(archived=True), key=_age)
        rows = [row for row in everything if not row.archived]
        if self._opened_empty is None:
            self._opened_empty = not rows
        there = {row.id for row in everything}
        self._pinned = [one for one in self._pinned if one in there]
        fresh = [row.id for row in rows if row.id not in self._pinned]
        if not self._pinned:
            self._pinned = fresh[-MOST_NEWEST:]
        elif self._opened_empty:
            # Opened before anything was recorded, it takes in what comes as long as nothing has to go for it.
            self._pinned += fresh[: MOST_NEWEST - len(self._pinned)]
        shown = [row for row in everything if row.id in self._pinned]
        others = [row for row in rows if row.id not in self._pinned]
        newer = sum(_age(row) > _age(shown[-1]) for row in others)
        return shown, len(others) - newer, newer

    def _run(self, row: Any, *, is_one_of_many: bool) -> CurveRun:
        name = _name(row)
        return CurveRun(
            id=row.id,
            name=f"{name} ({row.id})" if is_one_of_many else name,
            label=name,
            run_id=row.run_id,
            look=self._looks[row.id],
            tags=[*(row.tags or ()), *(["archived"] if row.archived else ())],
            began=float(row.created_at),
            last_at=None if row.last_at is None else float(row.last_at),
        )

    def _marks(self) -> tuple[list[CurveMark], int]:
        found = sorted([*self._recorded, *self._listed()], key=lambda one: one[0].at)
        kept = found[-MOST_MARKS:]
        return [self._mark(mark, run) for mark, run in kept], len(found) - len(kept)

    def _listed(self) -> Iterable[tuple[Listed, str]]:
        """Return the listed checkpoints that nobody recorded, each with the experiment that it is put to."""
        saves = [mark for mark, _ in self._recorded if mark.kind == "save"]
        uris = {mark.uri for mark in saves}
        # Of a checkpoint that was recorded before its URI was told there is only the name.
        names = {
            (mark.text, target) for mark in saves if not mark.uri for target in (LISTED_FOR if mark.target is None else (mark.target,))
        }
        for listed in self.listed:
            rows = [row for row in self._rows if row.run_id == listed.run_id]
            if not rows or listed.uri in uris or (listed.text, listed.target) in names:
                continue
            # A run that was resumed may have several: that which was going on then.
            before = [row for row in rows if row.created_at <= listed.at]
            yield listed, (before[-1] if before else rows[0]).id

    def _mark(self, mark: Any, run: str) -> CurveMark:
        return CurveMark(
            run=run,
            kind=mark.kind,
            step=None if mark.step is None else int(mark.step),
            at=float(mark.at),
            tokens=self._tokens_at(run, mark),
            name=mark.text or mark.uri or "",
            uri=mark.uri or "",
            target=mark.target or "",
        )

    def _tokens_at(self, run: str, mark: Any) -> float | None:
        # The service's clock is another one than that of whoever recorded.
        by_step = isinstance(mark, Listed) and mark.step is not None
        known = (
            history.tokens_at_step(mark.step) if by_step else history.tokens_at(float(mark.at))
            for (of, _), history in self._histories.items()
            if of == run
        )
        return next((tokens for tokens in known if tokens is not None), None)


def _age(row: Any) -> tuple[int, str]:
    return row.created_at, row.id


def _name(row: Any) -> str:
    return str(row.name or row.run_id or row.id)


def checked(look: Look, key: str) -> Look:
    """Return what a page asked for, as far as it makes sense."""
    low, high = (bound if bound is not None and math.isfinite(bound) else None for bound in (look.low, look.high))
    if low is not None and high is not None and low >= high:
        low = high = None
    smoothing = min(max(look.smoothing, 0.0), HEAVIEST) if math.isfinite(look.smoothing) else 0.0
    return Look(
        key=key,
        axis=look.axis if look.axis in AXES else "step",
        smoothing=smoothing,
        low=low,
        high=high,
        columns=min(max(look.columns, _FEWEST_COLUMNS), _MOST_COLUMNS),
    )


def told(value: float) -> Number:
    """Return a number as JSON can hold it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _without_times(head: CurveHead) -> Any:
    return msgspec.structs.replace(head, runs=[msgspec.structs.replace(run, last_at=None) for run in head.runs])


def _span(x: Floats) -> tuple[float, float] | None:
    if not len(x):
        return None
    low, high = float(x.min()), float(x.max())
    if not math.isfinite(low + high):
        known = x[np.isfinite(x)]
        return (float(known.min()), float(known.max())) if len(known) else None
    return low, high


def _line(place: int, history: History, look: Look, shown: Shown, columns: int) -> CurveLine:
    x, breaks, (low, high) = history.x(look.axis), history.breaks(), shown.span
    found = reduce(x, history.y(), breaks=breaks, low=low, high=high, most=2 * columns)
    line = CurveLine(run=place, x=_packed(found.x - shown.origin), stats=_stats(history), wide=_is_wide(history, found.y))
    line.y = _packed(found.y, wide=line.wide)
    line.odd = [(odd.x - shown.origin, odd.kind, odd.many) for odd in found.odd]
    if look.smoothing:
        smooth = reduce(x, history.smoothed(look.smoothing), breaks=breaks, low=low, high=high, most=columns)
        line.sx, line.sy = _packed(smooth.x - shown.origin), _packed(smooth.y, wide=line.wide)
    return line


def _added(place: int, history: History, look: Look, shown: Shown, sent: int) -> tuple[CurveLine, int, float]:
    """Return what is new of a line, how many points that is, and how far along the axis it reaches."""
    # With the last one that the page has, so that a gap between the two is seen.
    x, breaks = history.x(look.axis, sent - 1), history.breaks(sent - 1)
    span = _span(x)
    low, high = span if span is not None else (0.0, 0.0)
    if look.low is not None or look.high is not None:
        low, high = shown.span
    line = CurveLine(run=place, stats=_stats(history))
    found = reduce(x, history.y(sent - 1), breaks=breaks, low=low, high=high, most=_MOST_IN_TAIL)
    old_x, old_y = float(x[0]), float(history.y(sent - 1)[0])
    first = 1 if len(found.x) and found.x[0] == old_x and found.y[0] == old_y else 0
    # The one before was no number: the page must not draw a line over it.
    gap = not first and not math.isfinite(old_y)
    line.wide = _is_wide(history, found.y)
    line.x = _packed(_led(found.x[first:] - shown.origin, gap=gap))
    line.y = _packed(_led(found.y[first:], gap=gap, with_=math.nan), wide=line.wide)
    line.odd = [(odd.x - shown.origin, odd.kind, odd.many) for odd in found.odd if odd.x > old_x or math.isfinite(old_y)]
    if look.smoothing:
        smooth = reduce(x, history.smoothed(look.smoothing, sent - 1), breaks=breaks, low=low, high=high, most=_MOST_IN_TAIL // 2)
        line.sx, line.sy = _packed(smooth.x[1:] - shown.origin), _packed(smooth.y[1:], wide=line.wide)
    return line, len(line.x) // 4 + len(line.sx) // 4, span[1] if span is not None else -math.inf


def _led(values: Floats, *, gap: bool, with_: float | None = None) -> Floats:
    if not gap or not len(values):
        return values
    found: Floats = np.concatenate([[values[0] if with_ is None else with_], values])
    return found


def _packed(values: Floats, *, wide: bool = False) -> bytes:
    return values.astype("<f8").tobytes() if wide else np.clip(values, -_LARGEST, _LARGEST).astype("<f4").tobytes()


def _is_wide(history: History, y: Floats) -> bool:
    """Return whether 32 bits are too few for values of a series: they are too large, too small, or too much alike."""
    low, high = history.summary.low, history.summary.high
    if 0 < high - low < _FINEST * max(abs(low), abs(high)):
        return True
    size = np.abs(y)
    return bool(((size > _LARGEST) | ((size < _SMALLEST) & (size > 0))).any())


def _stats(history: History) -> LineStats:
    found = history.summary
    has = found.odd < found.count
    return LineStats(
        count=found.count,
        odd=found.odd,
        last=told(found.last),
        last_step=found.last_step,
        low=found.low if has else None,
        low_step=found.low_step,
        high=found.high if has else None,
        high_step=found.high_step,
    )
