"""Controller of a panel of experiments: one thread reads the file and sends what changed; no widget."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from loops_nb import faults
from loops_nb.errors import LoopsError
from loops_nb.live import Health
from loops_nb.panels.controller import INITIAL_ROWS
from loops_nb.panels.experiments.messages import (
    Choices,
    Choose,
    ColumnValue,
    ExperimentColumn,
    ExperimentCurves,
    ExperimentsChange,
    ExperimentsFromPage,
    ExperimentsSnapshot,
    FilteredExperiments,
    FilterExperiments,
    OpenCurves,
    ShowRows,
    SortOrder,
)
from loops_nb.panels.experiments.model import ExperimentModel
from loops_nb.panels.protocol import ALL_VIEWS, as_dict
from loops_nb.panels.store_controller import StoreController
from loops_nb.panels.view_model import differing
from loops_nb.tracking.filter_expression import FilterExpression

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loops_nb.panels.messages import Row
    from loops_nb.panels.visibility import Visibility
    from loops_nb.tracking.leaderboard import ExperimentFilter
    from loops_nb.tracking.store import ExperimentStore

logger: logging.Logger = logging.getLogger(__name__)
#: Seconds after which states are decided again although nothing was written: a process may have ended.
STATE_SECONDS = 3.0
#: A reading is followed by a pause of so many times its length: the training that it shows goes on beside it.
_PAUSE_FACTOR = 4.0
_LONGEST_PAUSE_SECONDS = 2.0
#: Where the kernel receives nothing while a cell runs, everything is sent unrequested after these times.
_UNREQUESTED_SECONDS = (1.0, 3.0)
_MOST_VIEWS, _MOST_SHOWN = 12, 200


class ExperimentsController(StoreController[ExperimentsFromPage]):
    """The controller of one panel of experiments.

    Parameters
    ----------
    source : ExperimentStore
        Where the experiments are.
    selection : ExperimentFilter
        Which of them.
    send : callable
        Sends a message to the pages.
    visibility : Visibility
        Which views are visible.
    title, line : str
        As in `ExperimentsSnapshot`.
    metric : str
        Key of the sparklines; empty for the one that matters most.
    choices : Choices
        What the panel starts with.
    keep : callable
        Keeps what the user chooses for the next panel; called on the thread that receives it.
    open_curves : callable
        Makes the curves of experiments on another thread, and returns the widget's id and a text.
    """

    def __init__(
        self,
        source: ExperimentStore,
        selection: ExperimentFilter,
        send: Callable[[dict[str, Any]], None],
        visibility: Visibility,
        *,
        title: str,
        line: str,
        metric: str,
        choices: Choices,
        keep: Callable[[Choices], None],
        open_curves: Callable[[list[str], str], tuple[str, str]],
    ) -> None:
        super().__init__(
            send,
            visibility,
            ExperimentsFromPage,
            title=title,
            line=line,
            thread_name="loops-nb-experiments",
            reading="reading experiments",
        )
        self.choices: Choices = choices
        self.model: ExperimentModel = ExperimentModel(source, selection, metric)
        self._source = source
        self._keep = keep
        self._open_curves = open_curves
        self._health = Health(state="starting")
        self._seq = 0
        self._version: int | None = None
        self._sent: list[str] = []
        self._rows: dict[str, Row] = {}
        #: Columns, shared values, notes, why there is no row, and when the newest value was recorded.
        self._head: tuple[list[ExperimentColumn], list[ColumnValue], list[str], str, float | None] = (
            [],
            [],
            [],
            "",
            None,
        )
        self._metric = ""
        self._sparks: dict[str, str] = {}
        self._are_sparks_due = True
        self._shown: dict[str, list[str]] = {}
        self._filters: dict[str, FilteredExperiments] = {}
        self._read_at = 0.0
        self._unrequested: list[float] = []
        self._initial_seq: int | None = None
        # Before reading: what is written meanwhile is read by the panel's thread, and nothing is read twice.
        self._version = source.version()
        self.model.read()
        self._read_at = self._clock()
        if selection.sort is not None:
            is_down = selection.sort.strip().startswith("-")
            column = self.model.board.column(selection.sort.strip().removeprefix("-").strip())
            self.choices = replace(choices, sort=SortOrder(column=column, down=is_down))
        self._take_in()
        self._health = Health(state="live", looked_at=self._now())

    # Called from any thread.

    def displayed(self) -> None:
        """Take in that a view was put on a page; the kernel may not receive its messages for a while."""
        with self._wake:
            self._unrequested = [self._clock() + seconds for seconds in _UNREQUESTED_SECONDS]
            self._wake.notify()

    def initial_state(self) -> dict[str, Any]:
        with self._lock:
            ids = self.model.first_ids(self.choices, INITIAL_ROWS)
            self._guarded(lambda: self._read_sparks(ids))
            self._initial_seq = self._seq
            return as_dict(self._snapshot(ids))

    def snapshot(self) -> ExperimentsSnapshot:
        """Return everything that is shown now."""
        with self._lock:
            return self._snapshot()

    def shown(self, most: int) -> tuple[ExperimentsSnapshot, list[str]]:
        """Return everything that is shown now, and the ids of the first rows in the chosen order."""
        with self._lock:
            return self._snapshot(), self.model.first_ids(self.choices, most)

    def version(self) -> object:
        """Return a value that differs whenever there is anything new to show."""
        return self._seq

    def _enqueue(self, message: Any) -> None:
        if isinstance(message, Choose):
            # At once: the cell may be run again, which closes this panel before its thread has taken the message.
            self._keep(message.choices)
        super()._enqueue(message)

    # On the panel's own thread, the writer.

    def _look(self, moment: float) -> None:
        if moment < self._next_read_at and self._are_sparks_due:
            self._guarded(self._send_sparks)
        else:
            super()._look(moment)

    def _open_view(self, view: str, have: int | None) -> None:  # noqa: ARG002 - the parent's
        # Without a number the page has a part of the rows at most.
        if have != self._seq:
            self._resend(ALL_VIEWS)

    def _close_view(self, view: str) -> None:
        self._shown.pop(view, None)
        self._filters.pop(view, None)

    def _resend(self, stream: str) -> None:
        if stream == ALL_VIEWS:
            self._send(self._snapshot())

    def _send_unrequested(self, moment: float) -> None:
        if self._heard_page or len(self._rows) <= INITIAL_ROWS:
            self._unrequested = []
        elif self._unrequested and moment >= self._unrequested[0]:
            self._unrequested.pop(0)
            self._resend(ALL_VIEWS)

    def _handle_request(self, message: ExperimentsFromPage) -> None:
        match message:
            case ShowRows(view=view, ids=ids):
                self._remember(self._shown, view, ids[:_MOST_SHOWN])
                self._guarded(self._send_sparks)
            case FilterExperiments(view=view, text=text):
                self._filter(view, text)
            case Choose(choices=choices):
                self._choose(choices)
            case OpenCurves(view=view, ids=ids):
                self._show_curves(view, ids)

    def _remember(self, kept: dict[str, Any], view: str, value: Any) -> None:
        kept.pop(view, None)
        kept[view] = value
        # Views of pages that went away without a message.
        while len(kept) > _MOST_VIEWS:
            del kept[next(iter(kept))]

    def _choose(self, choices: Choices) -> None:
        self.choices = choices
        if self.model.sent_columns(choices) == self._sent:
            # The page waits for it.
            self._send_change(choices=choices)
            return
        self._guarded(self._send_whole)

    def _send_whole(self) -> None:
        self._take_in()
        self._seq += 1
        self._resend(ALL_VIEWS)

    def _filter(self, view: str, text: str) -> None:
        if not text.strip():
            self._filters.pop(view, None)
            return
        found = self._filtered(view, text)
        self._remember(self._filters, view, found)
        self._send(found)

    def _filtered(self, view: str, text: str) -> FilteredExperiments:
        try:
            ids = self.model.matching(FilterExpression(text))
        except LoopsError as error:
            # The box of the panel has no name of an argument.
            message = (
                error.message.replace("where", "The filter", 1) if error.message.startswith("where ") else error.message
            )
            words = f"{message} {error.hint}" if error.hint else message
            return FilteredExperiments(view=view, text=text, ids=[], error=words)
        return FilteredExperiments(view=view, text=text, ids=ids)

    def _show_curves(self, view: str, ids: list[str]) -> None:
        known = self.model.names(ids)
        facts = self.model.facts(known[0]) if len(known) == 1 else []

        def open_them() -> None:
            try:
                widget, text = self._open_curves(known, self.model.metric) if known else ("", "")
            except LoopsError as error:
                widget, text = "", str(error)
            except Exception as error:  # noqa: BLE001 - the table goes on without curves
                widget, text = "", faults.record(logger, "opening curves", error).reason
            self._send(ExperimentCurves(view=view, ids=ids, widget=widget, text=text, facts=facts))

        # Reading long series takes seconds, and the table goes on meanwhile.
        threading.Thread(target=open_them, name="loops-nb-open-curves", daemon=True).start()

    def _update(self) -> None:
        version = self._source.version()
        began = self._clock()
        is_live = self._health.state == "live"
        if version == self._version and is_live and began < self._read_at + STATE_SECONDS:
            if self._are_sparks_due:
                self._send_sparks()
            return
        self.model.read()
        self._version = version
        self._health = Health(state="live", looked_at=self._now())
        sent, metric = self._sent, self._metric
        rows, sparks, head = self._rows, self._sparks, self._head
        self._take_in()
        self._read_sparks(self._wanted_ids())
        if sent != self._sent or metric != self._metric:
            self._seq += 1
            self._resend(ALL_VIEWS)
        else:
            self._send_differences(rows, sparks, head, was_live=is_live)
        for view, former in list(self._filters.items()):
            found = self._filtered(view, former.text)
            if found != former:
                self._filters[view] = found
                self._send(found)
        self._read_at = self._clock()
        pause = min(_PAUSE_FACTOR * (self._read_at - began), _LONGEST_PAUSE_SECONDS)
        self._next_read_at = self._read_at + pause

    def _take_in(self) -> None:
        model = self.model
        if self._metric != model.metric:
            self._metric, self._sparks = model.metric, {}
        self._sent = model.sent_columns(self.choices)
        fresh, former = model.rows(self._sent), self._rows
        # Rows of what did not change are the same objects as before.
        self._rows = {key: former[key] if former.get(key) == row else row for key, row in fresh.items()}
        self._head = (model.columns, model.shared, model.board.notes, model.board.empty, model.last_at)

    def _send_differences(
        self, rows: dict[str, Row], sparks: dict[str, str], head: tuple[Any, ...], *, was_live: bool
    ) -> None:
        fresh, removed = differing(rows, self._rows)
        drawn = {key: text for key, text in self._sparks.items() if sparks.get(key) != text}
        if not fresh and not removed and not drawn and head == self._head and was_live:
            return
        columns, shared, notes, empty, last_at = self._head
        self._seq += 1
        self._send(
            ExperimentsChange(
                base=self._seq - 1,
                seq=self._seq,
                now=self._now(),
                total=len(self._rows),
                rows=[self._rows[key] for key in fresh],
                removed=removed,
                sparks=drawn,
                columns=columns if columns != head[0] else None,
                shared=shared if shared != head[1] else None,
                notes=notes if notes != head[2] else None,
                empty=empty if empty != head[3] else None,
                last_at=last_at if last_at != head[4] else None,
                health=None if was_live else self._health,
            )
        )

    def _send_change(self, **fields: Any) -> None:
        self._seq += 1
        self._send(
            ExperimentsChange(base=self._seq - 1, seq=self._seq, now=self._now(), total=len(self._rows), **fields)
        )

    def _wanted_ids(self) -> list[str]:
        if self._shown:
            return list(dict.fromkeys(key for ids in self._shown.values() for key in ids))
        return self.model.first_ids(self.choices, INITIAL_ROWS)

    def _read_sparks(self, ids: list[str]) -> dict[str, str]:
        found, self._are_sparks_due = self.model.sparks(ids, self._sparks)
        if found:
            self._sparks = {**self._sparks, **found}
        return found

    def _send_sparks(self) -> None:
        if found := self._read_sparks(self._wanted_ids()):
            self._send_change(sparks=found)

    def _snapshot(self, ids: list[str] | None = None) -> ExperimentsSnapshot:
        columns, shared, notes, empty, last_at = self._head
        shown = self._rows if ids is None else {key: self._rows[key] for key in ids if key in self._rows}
        return ExperimentsSnapshot(
            seq=self._seq,
            now=self._now(),
            title=self.title,
            line=self.line,
            columns=columns,
            sent=self._sent,
            rows=list(shown.values()),
            total=len(self._rows),
            shared=shared,
            notes=notes,
            empty=empty,
            metric=self._metric,
            sparks={key: text for key, text in self._sparks.items() if key in shown},
            choices=self.choices,
            health=self._health,
            last_at=last_at,
        )

    def _send_health(self) -> None:
        self._send_change(health=self._health)

    def _failing(self, failure: LoopsError | faults.Fault) -> Health:
        if isinstance(failure, faults.Fault):
            reason, hint = failure.reason, faults.HINT
        else:
            reason, hint = failure.message, failure.hint or ""
        return replace(self._health, state="failing", reason=reason, hint=hint, since=self._now(), next_at=None)

    def _seqs(self) -> Mapping[str, int]:
        return {ALL_VIEWS: self._seq}

    def _looked_at(self) -> float | None:
        return self._health.looked_at if self._health.state != "live" else self._now()
