"""Model of the curves panel: selected experiments and cached series."""

from __future__ import annotations

import math
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
import numpy as np

from loops_nb.charts.downsample import downsample
from loops_nb.charts.ema import MAX_WEIGHT
from loops_nb.charts.floats import ignore_float_errors
from loops_nb.charts.history_cache import HISTORIES
from loops_nb.charts.metric_source import CommonSpan, ReadsTogether, WithNotice
from loops_nb.charts.number_format import nothing_recorded
from loops_nb.charts.param_diff import compare_params
from loops_nb.charts.parameter_colors import MISSING_COLOR, parameter_colors
from loops_nb.charts.series import AXES, MetricHistory, span_of
from loops_nb.errors import InvalidArgumentError
from loops_nb.panels.curves.best import both_bests
from loops_nb.panels.curves.comparison import compared_lines, is_compared
from loops_nb.panels.curves.messages import (
    ChartAppend,
    ChartData,
    ChartSpec,
    ComparedName,
    CurveLine,
    CurveMark,
    CurveRun,
    CurvesMetadata,
    LineStats,
    ParamRow,
)
from loops_nb.panels.curves.metric_keys import first_of, found_in, in_order
from loops_nb.render.formatting import first_and_more, number
from loops_nb.tracking import without_archived
from loops_nb.tracking.bands import MOST_PLACES
from loops_nb.tracking.groups import group_experiments, parameter_values
from loops_nb.tracking.metric_mode import infer_mode

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from loops_nb.charts.metric_source import Floats, MetricSource, SeriesLike
    from loops_nb.charts.series import MetricSummary
    from loops_nb.panels.curves.comparison import ComparedLine
    from loops_nb.panels.curves.messages import Number

#: A whole picture of few lines is never larger, in bytes; what a notebook keeps of it neither.
MOST_BYTES = 49_000
#: Lines that share the room of a picture; each one more gets some bytes of its own, fewer in what a notebook keeps.
_SHARING, _BYTES_A_LINE, _KEPT_BYTES_A_LINE = 24, 4000, 800
#: All charts of a view together.
MOST_VIEW_BYTES = 800_000
#: However many lines and charts there are, a line has so many.
_FEWEST_BYTES_A_LINE = 800
#: Points that are kept of keys that no view plots, so that a chart that is scrolled into sight again is drawn at once.
MOST_UNPLOTTED = 5_000_000
#: Experiments that are drawn, when they are named and when they are not.
MOST_NAMED, MOST_NEWEST = 1000, 8
#: Values of a parameter in the legend of colors.
_MOST_COLORS = 12
#: A hundred of these would hide the curves.
MOST_MARKS = 60
#: Deleted experiments that are named.
_MOST_DELETED = 4
_FEWEST_COLUMNS, _MOST_COLUMNS = 50, 4000
#: A point in base64, and what is said of a line beside its points.
_POINT_BYTES, _LINE_BYTES = 32 / 3, 320
_MOST_IN_TAIL = 40
#: Charts that are kept as they were drawn; each has at most some hundred kilobytes.
_MOST_DRAWN = 32
#: Of larger values a table shows more digits than 32 bits have.
_COUNTED = 1e4
#: By so many points may the lines of a view grow, as a share of its columns, before it is sent as a whole.
_GROWTH = 1.0
#: What 32 bits can tell: how large a number, how small a one, and how little a part of it.
_LARGEST, _SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
_FINEST = 1e-4


@dataclass(slots=True)
class ClientView:
    """What a view has on its page.

    Parameters
    ----------
    spec
        What it asked for, its key filled in.
    seq
        Number of the newest message that it was sent.
    origin
        As in the curve that it has.
    span
        Bounds of that curve along the axis.
    reached
        The end of the axis that the page knows of a curve.
    sent
        How many points of each experiment it has, those that were reduced away included.
    grown
        How many points came since the whole picture.
    charts
        How many charts share the bytes of the view.
    compared
        What it has of groups, or against a baseline.
    """

    spec: ChartSpec
    seq: int = 0
    origin: float = 0.0
    span: tuple[float, float] = (0.0, 0.0)
    reached: float = math.inf
    sent: dict[str, int] = field(default_factory=dict)
    grown: int = 0
    is_stale: bool = True
    charts: int = 1
    compared: ChartData | None = None


class _DrawnChart(NamedTuple):
    """A whole picture, and what it was made of."""

    sizes: dict[str, int]
    metadata: CurvesMetadata
    span: tuple[float, float]
    chart: ChartData


#: What can load a checkpoint.
LISTED_FOR = ("trainer", "sampler")


class ListedCheckpoint(NamedTuple):
    """A checkpoint that the service lists, as a mark of the store is, with the run that it is of."""

    run_id: str
    step: int | None
    at: float
    text: str
    uri: str
    target: str
    kind: Literal["save"] = "save"


class CurveModel:
    """The experiments of a panel; used by one thread at a time.

    Parameters
    ----------
    source
        Where they are stored.
    wanted
        Ids of experiments or of runs, or names; None for the newest.
    newest
        How many of the newest.
    color_by
        A parameter that colors the lines; empty: none does.
    follows
        Newer experiments take the place of the newest ones as they begin, without being asked for.
    """

    def __init__(
        self,
        source: MetricSource,
        wanted: Sequence[str] | None,
        *,
        newest: int = MOST_NEWEST,
        color_by: str = "",
        follows: bool = False,
    ) -> None:
        self.metadata: CurvesMetadata = CurvesMetadata(runs=[], keys=[], marks=[], params=[])
        #: Checkpoints that the service lists.
        self.listed: Sequence[ListedCheckpoint] = ()
        self.source: MetricSource = source
        self._wanted = None if wanted is None else list(dict.fromkeys(wanted))
        self._most_newest = newest
        self._color_by = color_by
        self._follows = follows
        #: By the experiment's id.
        self._colors: dict[str, str] = {}
        #: Ids of the newest experiments, as they were chosen; and whether there were none when the panel was opened.
        self._pinned: list[str] = []
        self._opened_empty: bool | None = None
        self._rows: list[Any] = []
        #: What was saved and noted, each with the experiment; as of the last reading, for many views are drawn after
        #: it.
        self._recorded: list[tuple[Any, str]] = []
        self._styles: dict[str, int] = {}
        #: Names of the experiments that were shown, by whatever may have named them.
        self._shown_names: dict[str, str] = {}
        #: By the experiment's id, and by key.
        self._histories: dict[str, dict[str, MetricHistory]] = {}
        self._by_id: dict[str, Any] = {}
        #: Charts as they were drawn last, the newest at the end: what has not changed is not drawn again.
        self._drawn: dict[tuple[ChartSpec, int | None, int], _DrawnChart] = {}
        #: Keys whose points are in memory, those that were plotted last at the end.
        self._kept: dict[str, None] = {}
        self._counts: dict[str, dict[str, int]] = {}
        #: By what all panels of the process know a series of an experiment, where anything tells it from others.
        self._shared_as: dict[tuple[str, str], Hashable] = {}
        #: New histories that other panels do not know yet.
        self._unshared: dict[tuple[str, str], Hashable] = {}
        self._keys: list[str] = []

    def read(self) -> bool:
        """Read what there is, all but the points, and return whether the head is another one."""
        rows, more, newer, missing = self._chosen()
        self._rows = rows
        self._by_id = {row.id: row for row in rows}
        for row in rows:
            self._styles.setdefault(row.id, len(self._styles))
            self._shown_names.update({word: _name(row) for word in (row.id, row.run_id, row.name) if word})
        ids = [row.id for row in rows]
        together = self.source if isinstance(self.source, ReadsTogether) else None
        keys_of = {one: self.source.keys(one) for one in ids} if together is None else together.keys_of(ids)
        self._counts = {run: {str(one.key): int(one.count) for one in found} for run, found in keys_of.items()}
        store = self.source.identity
        if store is not None:
            self._shared_as = {(run, str(one.key)): (store, run, one.seq) for run, of in keys_of.items() for one in of}
        self._keys = in_order(key for counts in self._counts.values() for key in counts)
        keys, more_keys = first_of(self._keys)
        names = Counter(_name(row) for row in rows)
        marks_of = {one: self.source.marks(one) for one in ids} if together is None else together.marks_of(ids)
        self._recorded = [(mark, one) for one in ids for mark in marks_of[one]]
        marks, more_marks = self._marks()
        params = compare_params([row.params or {} for row in rows])
        legend = self._color()
        head = CurvesMetadata(
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
            waiting=" ".join(filter(None, [self._missing_words(missing), self._notice()])),
            how=self.source.how if isinstance(self.source, WithNotice) else "",
            is_named=self._wanted is not None,
            color_by=self._color_by if legend else "",
            colors=legend,
        )
        is_other = bool(_without_times(head) != _without_times(self.metadata))
        self.metadata = head
        return is_other

    def baseline(self, name: str, group_by: str) -> str | None:
        """Return the id of the experiment of a baseline, which is shown from the next reading on.

        Parameters
        ----------
        name
            Label of a group, or name, id or run of an experiment.
        group_by
            What experiments are grouped by; empty if they are not.
        """
        if group_by:
            with suppress(InvalidArgumentError):
                for group in group_experiments(self._rows, group_by).groups:
                    if group.label == name:
                        return group.ids[0]
        rows = list(self.source.experiments(archived=True))
        found = [row for row in rows if row.id == name] or [row for row in rows if name in (row.run_id, row.name)]
        shown = [row.id for row in found if row.id in self._by_id]
        if shown or not found:
            return shown[-1] if shown else None
        newest: str = max(without_archived(found), key=_age).id
        if self._wanted is None:
            self._pinned.append(newest)
        else:
            self._wanted.append(newest)
        return newest

    def _missing_words(self, missing: Sequence[str]) -> str:
        """Say which of the named experiments were deleted while they were shown, and of which nothing is recorded."""
        deleted = [self._shown_names[word] for word in missing if word in self._shown_names]
        unknown = [word for word in missing if word not in self._shown_names]
        said = [f"Deleted, so no longer drawn: {first_and_more(deleted, _MOST_DELETED)}."] if deleted else []
        if unknown and (known := self.names()):
            said.append(nothing_recorded(unknown, known))
        return " ".join(said)

    def _notice(self) -> str:
        return self.source.notice if isinstance(self.source, WithNotice) else ""

    def _color(self) -> list[tuple[str, str]]:
        """Color the experiments by a parameter, and return the legend."""
        self._colors = {}
        if not self._color_by or not self._rows:
            return []
        try:
            values = parameter_values(self._rows, self._color_by)
        except InvalidArgumentError:
            # The first experiment that has it may be still to come.
            return []
        scale = parameter_colors(values)
        self._colors = {row.id: color for row, color in zip(self._rows, scale.colors, strict=True)}
        is_scale = scale.kind != "categories"
        # Along a scale a value needs no digits that a color cannot tell.
        legend = [
            (tick.color, number(float(tick.label)) if is_scale else tick.label) for tick in scale.ticks[:_MOST_COLORS]
        ]
        return [*legend, (MISSING_COLOR, "none")] if scale.has_missing else legend

    def _color_of(self, members: Sequence[str]) -> str:
        found = {self._colors.get(one, "") for one in members}
        return found.pop() if len(found) == 1 else MISSING_COLOR

    def place_marks(self) -> bool:
        """Locate checkpoints and notes again, and return whether any has moved."""
        marks, more = self._marks()
        if marks == self.metadata.marks:
            return False
        self.metadata = msgspec.structs.replace(self.metadata, marks=marks, more_marks=more)
        return True

    def key(self, asked: str) -> str:
        """Return the key that is drawn when that one was asked for."""
        return asked or next(iter(self.metadata.keys), "")

    def search_keys(self, text: str) -> tuple[list[str], int]:
        """Return the first keys that a search finds, and how many it finds."""
        return found_in(self._keys, text)

    def all_keys(self) -> list[str]:
        """Return every key of the experiments, what matters most first."""
        return list(self._keys)

    def show_newest(self) -> None:
        """Choose the newest experiments from the next reading on."""
        self._pinned, self._opened_empty = [], False

    def show(self, wanted: Sequence[str] | None) -> None:
        """Show other experiments from the next reading on: by id, run or name; None for the newest."""
        self._wanted = None if wanted is None else list(dict.fromkeys(wanted))
        self.show_newest()

    def lines(self, key: str) -> list[tuple[int, MetricSummary]]:
        """Return the place of each run that has points of a key, and its series in numbers."""
        if key:
            self._read_together([run.id for run in self.metadata.runs], key)
        found = [(place, self.history(run.id, key)) for place, run in enumerate(self.metadata.runs)] if key else []
        return [(place, history.summary) for place, history in found if len(history)]

    def names(self) -> list[str]:
        """Return what people can ask for, the newest first: names, and runs that something was recorded of."""
        rows = sorted(self.source.experiments(archived=False), key=_age, reverse=True)
        return list(dict.fromkeys(name for row in rows for name in (row.name, row.run_id) if name))

    def history(self, run: str, key: str) -> MetricHistory:
        """Return the points of a key, the newest included."""
        found = self._known_history(run, key)
        if self._counts[run].get(key, 0) != len(found):
            found.extend(self.source.series(run, key, after=found.mark))
        shared = self._unshared.pop((run, key), None)
        if shared is not None:
            HISTORIES.put(shared, found)
        return found

    def _known_history(self, run: str, key: str) -> MetricHistory:
        """Return the points of a key that are in memory."""
        of_run = self._histories.setdefault(run, {})
        found = of_run.get(key)
        if found is None:
            count = self._counts[run].get(key, 0)
            shared = self._shared_as.get((run, key)) if count else None
            found = None if shared is None else HISTORIES.get(shared)
            if found is None or len(found) > count:
                found = MetricHistory(int(self._by_id[run].created_at))
            of_run[key] = found
            if shared is not None:
                self._unshared[run, key] = shared
        return found

    def _read_together(self, runs: Sequence[str], key: str) -> None:
        """Read the newest points of a key of several runs at once, where the source can do that."""
        if not isinstance(self.source, ReadsTogether):
            return
        known = {run: self._known_history(run, key) for run in runs}
        wanted = [(run, key, of.mark) for run, of in known.items() if self._counts[run].get(key, 0) != len(of)]
        for (run, _, _), newer in zip(wanted, self.source.series_of(wanted) if wanted else (), strict=True):
            known[run].extend(newer)

    def series(self, run: str, key: str) -> SeriesLike | None:
        """Return all points of a key as they are stored; None if the experiment has none."""
        return self.source.series(run, key) if self._counts[run].get(key) else None

    def keep_only(self, keys: Iterable[str]) -> None:
        """Forget the points of experiments that are gone, and of keys that no view plots, beyond those plotted last."""
        for run in [run for run in self._histories if run not in self._by_id]:
            del self._histories[run]
        plotted = set(keys)
        points = Counter[str]()
        for histories in self._histories.values():
            points.update({key: len(history) for key, history in histories.items() if key not in plotted})
        unplotted = points.total()
        for key in [key for key in self._kept if key not in plotted]:
            if unplotted <= MOST_UNPLOTTED:
                break
            unplotted -= points[key]
            del self._kept[key]
            for histories in self._histories.values():
                histories.pop(key, None)

    @ignore_float_errors
    def draw(self, view: ClientView, room: int | None = None) -> ChartData | None:
        """Make the whole picture of a view; what it was sent is set to that.

        Parameters
        ----------
        view
            The view.
        room
            Bytes that the picture may take, and some more for each of many lines; None for as many as its view has for
            it.
        """
        spec = checked(view.spec, self.key(view.spec.key))
        view.spec, view.sent, view.grown, view.is_stale = spec, {}, 0, False
        self._kept.pop(spec.key, None)
        self._kept[spec.key] = None
        if is_compared(spec) and spec.key:
            return self._draw_compared(view, spec, room)
        runs = self.metadata.runs if spec.key else []
        histories = [(place, run.id, self.history(run.id, spec.key)) for place, run in enumerate(runs)]
        histories = [one for one in histories if len(one[2])]
        if not histories:
            return None
        sizes = {run: len(history) for _, run, history in histories}
        wanted = (spec, room, view.charts)
        known = self._drawn.pop(wanted, None)
        if known is not None and known.sizes == sizes and known.metadata is self.metadata:
            self._drawn[wanted] = known
            view.sent, view.origin, view.span = dict(sizes), known.chart.origin, known.span
            view.reached = math.inf if known.chart.last is None else known.chart.last
            return known.chart
        spans = [span for _, _, history in histories if (span := history.span(spec.axis)) is not None]
        spans += self._common_spans(spec)
        first, last = (min(low for low, _ in spans), max(high for _, high in spans)) if spans else (None, None)
        low = (first or 0.0) if spec.low is None else spec.low
        high = (last or 0.0) if spec.high is None else spec.high
        view.origin, view.span = low if math.isfinite(low) else 0.0, (low, high)
        view.reached = math.inf if last is None else last
        columns = spec.columns
        room = _room(room, len(histories), view.charts)
        share = (room - _LINE_BYTES * len(histories)) / len(histories) / _POINT_BYTES
        columns = max(4, min(columns, int(share / (3 if spec.smoothing else 2))))
        while True:
            lines = [_line(place, history, spec, view, columns) for place, _, history in histories]
            curve = ChartData(
                spec=spec,
                origin=view.origin,
                first=first,
                last=last,
                lines=lines,
                unknown=len(histories) - len(spans),
                mode=infer_mode(spec.key),
                best=both_bests(self.lines(spec.key), self.metadata),
            )
            if columns <= 4 or len(msgspec.json.encode(curve)) <= room:  # noqa: PLR2004 - fewer are no curve
                break
            columns = columns * 3 // 4
        view.sent = dict(sizes)
        self._drawn[wanted] = _DrawnChart(sizes, self.metadata, view.span, curve)
        while len(self._drawn) > _MOST_DRAWN:
            del self._drawn[next(iter(self._drawn))]
        return curve

    def _common_spans(self, spec: ChartSpec) -> list[tuple[float, float]]:
        """Return the bounds that all charts of the source share along an axis, if it has any."""
        common = self.source.common_span(spec.axis) if isinstance(self.source, CommonSpan) else None
        return [] if common is None else [common]

    def _draw_compared(self, view: ClientView, spec: ChartSpec, room: int | None) -> ChartData | None:
        """Make the picture of groups, or of differences to a baseline."""
        rows = self._rows
        view.sent = {row.id: len(self.history(row.id, spec.key)) for row in rows}

        def places(lines: int) -> int:
            share = _room(room, lines, view.charts) / max(1, lines) - _LINE_BYTES
            # A place has its value and the two edges of the band.
            return max(4, int(min(spec.columns, MOST_PLACES, share / (2 * _POINT_BYTES))))

        found, notes = compared_lines(rows, self._styles, spec, lambda run: self.history(run, spec.key), places)
        spans = [span for one in found if (span := span_of(one.x)) is not None]
        if not any(view.sent.values()):
            return None
        first, last = (min(low for low, _ in spans), max(high for _, high in spans)) if spans else (None, None)
        view.origin = first or 0.0
        view.compared = ChartData(
            spec=spec,
            origin=view.origin,
            first=first,
            last=last,
            lines=[_compared_line(place, one, view.origin) for place, one in enumerate(found)],
            unknown=len(rows) - len({run for one in found for run in one.members}) if not spans else 0,
            mode=infer_mode(spec.key) if not spec.baseline else None,
            compared=[
                ComparedName(
                    id=one.id,
                    label=one.label,
                    style=one.style,
                    members=one.members,
                    color=self._color_of(one.members),
                )
                for one in found
            ],
            notes=notes,
        )
        return view.compared

    def _append_compared(self, stream: str, view: ClientView, now: float) -> ChartAppend | None:
        """Return what has changed of groups, or of differences to a baseline; None if the view needs all of them."""
        sizes = {run.id: len(self.history(run.id, view.spec.key)) for run in self.metadata.runs}
        if sizes == view.sent:
            return None
        before = view.compared
        after = self._draw_compared(view, view.spec, None)
        lines = None if before is None or after is None else _changed_lines(before, after)
        if lines is None or after is None:
            view.is_stale = True
            return None
        view.seq += 1
        return ChartAppend(stream=stream, base=view.seq - 1, seq=view.seq, now=now, lines=lines, last=after.last)

    @ignore_float_errors
    def append(self, stream: str, view: ClientView, now: float) -> ChartAppend | None:
        """Return what is appended to a view's lines; None if nothing is, or if the view is stale and needs all."""
        spec, lines = view.spec, []
        if is_compared(spec):
            return self._append_compared(stream, view, now)
        # Bounds that all charts share move although nothing came to this one.
        last = max((high for _, high in self._common_spans(spec)), default=-math.inf)
        has_moved = last > view.reached
        self._read_together([run.id for run in self.metadata.runs], spec.key)
        for place, run in enumerate(self.metadata.runs):
            history = self.history(run.id, spec.key)
            sent = view.sent.get(run.id, 0)
            if len(history) == sent:
                continue
            if not sent:
                view.is_stale = True
                return None
            line, points, end = _added(place, history, spec, view, sent)
            lines.append(line)
            last = max(last, end)
            view.grown += points
            view.sent[run.id] = len(history)
        if view.grown > spec.columns * _GROWTH * max(1, len(view.sent)):
            view.is_stale = True
            return None
        if not (lines or has_moved):
            return None
        view.reached = max(view.reached, last)
        view.seq += 1
        return ChartAppend(
            stream=stream,
            base=view.seq - 1,
            seq=view.seq,
            now=now,
            lines=lines,
            last=last if math.isfinite(last) else None,
            best=both_bests(self.lines(spec.key), self.metadata),
        )

    def _chosen(self) -> tuple[list[Any], int, int, list[str]]:
        """Return experiments, oldest first, how many are beyond them, how many are newer, and which were not found."""
        if self._wanted is None:
            return *self._newest(), []
        rows = list(self.source.experiments(archived=True))
        found: dict[str, Any] = {}
        missing = []
        for word in self._wanted:
            named = [row for row in rows if row.id == word]
            named = named or [row for row in rows if row.run_id == word] or [row for row in rows if row.name == word]
            found |= {row.id: row for row in without_archived(named)}
            if not named:
                missing.append(word)
        chosen = sorted(found.values(), key=_age)
        return chosen[-MOST_NAMED:], max(0, len(chosen) - MOST_NAMED), 0, missing

    def _newest(self) -> tuple[list[Any], int, int]:
        """Return the experiments that were the newest when they were chosen: what is on the page stays there."""
        everything = sorted(self.source.experiments(archived=True), key=_age)
        rows = [row for row in everything if not row.archived]
        if self._opened_empty is None:
            self._opened_empty = not rows
        there = {row.id for row in everything}
        self._pinned = [one for one in self._pinned if one in there]
        fresh = [row.id for row in rows if row.id not in self._pinned]
        if not self._pinned or self._follows:
            self._pinned = [row.id for row in rows][-self._most_newest :]
        elif self._opened_empty:
            # Opened before anything was recorded, it takes in what comes as long as nothing has to go for it.
            self._pinned += fresh[: self._most_newest - len(self._pinned)]
        chosen = [row for row in everything if row.id in self._pinned]
        others = [row for row in rows if row.id not in self._pinned]
        newer = sum(_age(row) > _age(chosen[-1]) for row in others)
        return chosen, len(others) - newer, newer

    def _run(self, row: Any, *, is_one_of_many: bool) -> CurveRun:
        name = _name(row)
        return CurveRun(
            id=row.id,
            name=f"{name} ({row.id})" if is_one_of_many else name,
            label=name,
            run_id=row.run_id,
            style=self._styles[row.id],
            tags=[*(row.tags or ()), *(["archived"] if row.archived else ())],
            began=float(row.created_at),
            last_at=None if row.last_at is None else float(row.last_at),
            color=self._colors.get(row.id, ""),
        )

    def _marks(self) -> tuple[list[CurveMark], int]:
        found = sorted([*self._recorded, *self._listed()], key=lambda one: one[0].at)
        kept = found[-MOST_MARKS:]
        return [self._mark(mark, run) for mark, run in kept], len(found) - len(kept)

    def _listed(self) -> Iterable[tuple[ListedCheckpoint, str]]:
        """Return the listed checkpoints that were not recorded, each with the experiment that it is put to."""
        saves = [mark for mark, _ in self._recorded if mark.kind == "save"]
        uris = {mark.uri for mark in saves}
        # Of a checkpoint that was recorded before its URI was told there is only the name.
        names: set[tuple[str, str]] = set()
        for mark in saves:
            if not mark.uri:
                targets = LISTED_FOR if mark.target is None else (mark.target,)
                names.update((mark.text, target) for target in targets)
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
        # The service's clock is another one than the recorder's.
        by_step = isinstance(mark, ListedCheckpoint) and mark.step is not None
        known = (
            history.tokens_at_step(mark.step) if by_step else history.tokens_at(float(mark.at))
            for history in self._histories.get(run, {}).values()
        )
        return next((tokens for tokens in known if tokens is not None), None)


def _room(asked: int | None, lines: int, charts: int) -> int:
    """Return how many bytes a picture may take."""
    more = max(0, lines - _SHARING)
    if asked is not None:
        return asked + _KEPT_BYTES_A_LINE * more
    return min(MOST_BYTES + _BYTES_A_LINE * more, max(MOST_VIEW_BYTES // charts, _FEWEST_BYTES_A_LINE * lines))


def _age(row: Any) -> tuple[int, str]:
    return row.created_at, row.id


def _name(row: Any) -> str:
    return str(row.name or row.run_id or row.id)


def checked(spec: ChartSpec, key: str) -> ChartSpec:
    """Return what a page asked for, as far as it makes sense."""
    low, high = (bound if bound is not None and math.isfinite(bound) else None for bound in (spec.low, spec.high))
    if low is not None and high is not None and low >= high:
        low = high = None
    smoothing = min(max(spec.smoothing, 0.0), MAX_WEIGHT) if math.isfinite(spec.smoothing) else 0.0
    return ChartSpec(
        key=key,
        axis=spec.axis if spec.axis in AXES else "step",
        smoothing=smoothing,
        low=low,
        high=high,
        columns=min(max(spec.columns, _FEWEST_COLUMNS), _MOST_COLUMNS),
        group_by=spec.group_by,
        band=spec.band,
        baseline=spec.baseline,
        against=spec.against,
    )


def json_number(value: float) -> Number:
    """Return a number as JSON can hold it."""
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _without_times(head: CurvesMetadata) -> Any:
    return msgspec.structs.replace(head, runs=[msgspec.structs.replace(run, last_at=None) for run in head.runs])


def _line(place: int, history: MetricHistory, spec: ChartSpec, view: ClientView, columns: int) -> CurveLine:
    low, high = view.span
    found = history.reduced(spec.axis, low=low, high=high, most=2 * columns)
    line = CurveLine(
        run=place, x=_packed(found.x - view.origin), stats=_stats(history), wide=_is_wide(history, found.y)
    )
    line.y = _packed(found.y, wide=line.wide)
    line.odd = [(odd.x - view.origin, odd.kind, odd.times) for odd in found.nonfinite]
    if spec.smoothing:
        smooth = history.reduced(spec.axis, low=low, high=high, most=columns, weight=spec.smoothing)
        line.sx, line.sy = _packed(smooth.x - view.origin), _packed(smooth.y, wide=line.wide)
    return line


def _changed_lines(before: ChartData, after: ChartData) -> list[CurveLine] | None:
    """Return what differs between two charts of the same groups: the ends of lines; None if the whole is needed."""
    if _without_lines(before) != _without_lines(after) or len(before.lines) != len(after.lines):
        return None
    found, changed, total = [], 0, 0
    for old, new in zip(before.lines, after.lines, strict=True):
        if old.wide or new.wide or bool(old.lo) != bool(new.lo):
            return None
        count = len(new.x) // 4
        kept = min(
            _same_points(one, other)
            for one, other in ((old.x, new.x), (old.y, new.y), (old.lo, new.lo), (old.hi, new.hi))
            if other
        )
        total += count
        if kept == count == len(old.x) // 4 and old.stats == new.stats:
            continue
        changed += count - kept
        end = slice(4 * kept, None)
        found.append(
            CurveLine(
                run=new.run, x=new.x[end], y=new.y[end], lo=new.lo[end], hi=new.hi[end], stats=new.stats, keep=kept
            )
        )
    # Where most of it has moved the whole is hardly more.
    return None if changed > total / 2 else found


def _without_lines(chart: ChartData) -> ChartData:
    return msgspec.structs.replace(chart, lines=[], last=None)


def _same_points(one: bytes, other: bytes) -> int:
    """Return how many numbers of 32 bits at the beginning are the same in both."""
    count = min(len(one), len(other)) // 4
    differs = np.frombuffer(one, "<u4", count) != np.frombuffer(other, "<u4", count)
    return int(np.argmax(differs)) if differs.any() else count


def _compared_line(place: int, line: ComparedLine, origin: float) -> CurveLine:
    x, y, low, high = line.x, line.y, line.low, line.high
    wide = bool((np.abs(y) > _LARGEST).any())
    found = CurveLine(run=place, x=_packed(x - origin), y=_packed(y, wide=wide), wide=wide)
    if low is not None and high is not None:
        found.lo, found.hi = _packed(low, wide=wide), _packed(high, wide=wide)
    found.stats = _stats_of(line.summary)
    return found


def _added(
    place: int, history: MetricHistory, spec: ChartSpec, view: ClientView, sent: int
) -> tuple[CurveLine, int, float]:
    """Return what is new of a line, how many points that is, and how far along the axis it reaches."""
    # With the last one that the page has, so that a gap between the two is seen.
    x, breaks = history.x(spec.axis, sent - 1), history.breaks(sent - 1)
    span = span_of(x)
    low, high = span if span is not None else (0.0, 0.0)
    if spec.low is not None or spec.high is not None:
        low, high = view.span
    line = CurveLine(run=place, stats=_stats(history))
    found = downsample(x, history.y(sent - 1), breaks=breaks, low=low, high=high, most=_MOST_IN_TAIL)
    old_x, old_y = float(x[0]), float(history.y(sent - 1)[0])
    first = 1 if len(found.x) and found.x[0] == old_x and found.y[0] == old_y else 0
    # The one before was no number: the page must not draw a line over it.
    gap = not first and not math.isfinite(old_y)
    line.wide = _is_wide(history, found.y)
    line.x = _packed(_led(found.x[first:] - view.origin, gap=gap))
    line.y = _packed(_led(found.y[first:], gap=gap, with_=math.nan), wide=line.wide)
    line.odd = [
        (odd.x - view.origin, odd.kind, odd.times) for odd in found.nonfinite if odd.x > old_x or math.isfinite(old_y)
    ]
    if spec.smoothing:
        smooth = downsample(
            x, history.smoothed(spec.smoothing, sent - 1), breaks=breaks, low=low, high=high, most=_MOST_IN_TAIL // 2
        )
        line.sx, line.sy = _packed(smooth.x[1:] - view.origin), _packed(smooth.y[1:], wide=line.wide)
    new = history.y(sent)
    is_step = spec.axis == "step"
    if len(found.x) - first == len(new) and bool((np.abs(new) < _COUNTED).all()) and (is_step or len(new) == 1):
        # The page counts by itself what it gets as it is.
        line.stats = None
        line.step = None if is_step else history.summary.last_step
    return line, len(line.x) // 4 + len(line.sx) // 4, span[1] if span is not None else -math.inf


def _led(values: Floats, *, gap: bool, with_: float | None = None) -> Floats:
    if not gap or not len(values):
        return values
    found: Floats = np.concatenate([[values[0] if with_ is None else with_], values])
    return found


def _packed(values: Floats, *, wide: bool = False) -> bytes:
    return values.astype("<f8").tobytes() if wide else np.clip(values, -_LARGEST, _LARGEST).astype("<f4").tobytes()


def _is_wide(history: MetricHistory, y: Floats) -> bool:
    """Return whether 32 bits are too few for values of a series: they are too large, too small, or too much alike."""
    low, high = history.summary.low, history.summary.high
    if 0 < high - low < _FINEST * max(abs(low), abs(high)):
        return True
    size = np.abs(y)
    return bool(((size > _LARGEST) | ((size < _SMALLEST) & (size > 0))).any())


def _stats(history: MetricHistory) -> LineStats:
    return _stats_of(history.summary)


def _stats_of(found: MetricSummary) -> LineStats:
    has = found.nonfinite < found.count
    return LineStats(
        count=found.count,
        odd=found.nonfinite,
        last=json_number(found.last),
        last_step=found.last_step,
        low=found.low if has else None,
        low_step=found.low_step,
        high=found.high if has else None,
        high_step=found.high_step,
    )
