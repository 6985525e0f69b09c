"""Controller of a panel of curves: one thread reads the store and sends each view what is new; no widget."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from loops_nb.charts.metric_source import WithNotice
from loops_nb.errors import InvalidArgumentError
from loops_nb.live import Health
from loops_nb.panels.curves.messages import (
    ChartUpdate,
    CurvesFromPage,
    CurvesSnapshot,
    DropCharts,
    FoundKeys,
    MetadataUpdate,
    SearchKeys,
    SetChart,
    ShowNewest,
)
from loops_nb.panels.curves.model import MOST_BYTES, MOST_NEWEST, ClientView, CurveModel
from loops_nb.panels.protocol import ALL_VIEWS, as_dict
from loops_nb.panels.store_controller import StoreController

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from loops_nb.charts.metric_source import MetricSource
    from loops_nb.panels.curves.messages import ChartSpec, CurvesMetadata
    from loops_nb.panels.curves.model import ListedCheckpoint
    from loops_nb.panels.visibility import Visibility

T = TypeVar("T")
#: So many times as long as an update took of the processor there is none; the wait for a far store is no work.
_REST = 4
#: Charts of views of pages that went away without a message are forgotten beyond these, the oldest first.
_MOST_CHARTS = 400


class CurvesController(StoreController[CurvesFromPage]):
    """The controller of one panel of curves.

    The stream `ALL_VIEWS` is for views that have not asked for a chart of their own, which a busy kernel may not hear.

    Parameters
    ----------
    source : MetricSource
        Where the points are.
    wanted : sequence of str or None
        Ids of experiments or runs, or names; None for the newest.
    send : callable
        Sends a message to the pages.
    visibility : Visibility
        Which views are visible.
    title : str or callable
        As in `CurvesSnapshot`; or what makes it of the metadata that are read first.
    line : str
        As in `CurvesSnapshot`.
    spec : ChartSpec
        What a new view plots first; its baseline may be a name.
    newest, color_by, follows
        As of `CurveModel`.

    Raises
    ------
    InvalidArgumentError
        If there is no such baseline.
    """

    def __init__(
        self,
        source: MetricSource,
        wanted: Sequence[str] | None,
        send: Callable[[dict[str, Any]], None],
        visibility: Visibility,
        *,
        title: str | Callable[[CurvesMetadata], str],
        line: str,
        spec: ChartSpec,
        newest: int = MOST_NEWEST,
        color_by: str = "",
        follows: bool = False,
    ) -> None:
        super().__init__(
            send,
            visibility,
            CurvesFromPage,
            title=title if isinstance(title, str) else "",
            line=line,
            thread_name="loops-nb-curves",
            reading="reading what was recorded",
        )
        self.first_spec: ChartSpec = spec
        self._source = source
        self._model = CurveModel(source, wanted, newest=newest, color_by=color_by, follows=follows)
        #: By the name of the stream.
        self._views: dict[str, ClientView] = {ALL_VIEWS: ClientView(spec)}
        #: Whether the store was read since the messages that are being handled came.
        self._is_fresh = False
        self._version: int | None = None
        self.update()
        if not isinstance(title, str):
            self.title = title(self._model.metadata)
        if spec.baseline and self._health.state == "live":
            self._find_baseline(spec)

    def _find_baseline(self, spec: ChartSpec) -> None:
        found = self._model.baseline(spec.baseline, spec.group_by)
        if found is None:
            raise InvalidArgumentError(
                f"The baseline {spec.baseline!r:.60} is neither a group here nor an experiment on this machine.",
                argument="baseline",
                hint="%loops experiments lists what is recorded.",
            )
        self.first_spec = msgspec.structs.replace(spec, baseline=found)
        self._views[ALL_VIEWS] = ClientView(self.first_spec)
        self._version = None
        self.update()

    # Called from any thread.

    def show_newest(self) -> None:
        """Show the newest experiments in place of the shown ones, where none were named."""
        with self._lock:
            self._model.show_newest()
            self._version = None
            self._guarded(self._update)

    def show(self, wanted: Sequence[str] | None) -> None:
        """Show other experiments in place of the shown ones; None for the newest."""
        with self._lock:
            self._model.show(wanted)
            self._version = None
            self._guarded(self._update)

    def set_listed_checkpoints(self, listed: Sequence[ListedCheckpoint]) -> None:
        """Mark checkpoints that the service lists, except those that were recorded."""
        with self._lock:
            self._model.listed = listed
            self._guarded(self._place_marks)

    def initial_state(self) -> dict[str, Any]:
        return as_dict(self.snapshot())

    def snapshot(self) -> CurvesSnapshot:
        """Return everything; later changes are sent to the views that have not asked for a chart of their own."""
        with self._lock:
            view = self._views.get(ALL_VIEWS) or ClientView(self.first_spec)
            room = MOST_BYTES - 600 - len(msgspec.json.encode(self._model.metadata))
            chart = self._guarded(lambda: self._model.draw(view, max(room, MOST_BYTES // 4)))
            return CurvesSnapshot(
                now=self._now(),
                title=self.title,
                line=self.line,
                metadata=self._model.metadata,
                chart=chart,
                seq=view.seq,
                health=self._health,
                spec=self.first_spec,
                enlarged=self.first_spec.key,
            )

    @property
    def metadata(self) -> CurvesMetadata:
        """Everything that is shown but the points."""
        return self._model.metadata

    def read(self, getter: Callable[[CurveModel], T]) -> T:
        """Return what a function reads from the model while nothing changes it."""
        with self._lock:
            return getter(self._model)

    def version(self) -> tuple[int | None, int]:
        """Return a value that differs whenever there is anything new to show."""
        return self._version, len(self._model.metadata.marks)

    # On the panel's own thread, the writer.

    def _handle_all(self, messages: Sequence[Any]) -> None:
        self._is_fresh = False
        super()._handle_all(messages)

    def _open_view(self, view: str, have: int | None) -> None:
        """Nothing to send: a view asks for its chart when it knows its width."""

    def _close_view(self, view: str) -> None:
        self._drop(stream for stream in self._views if stream == view or stream.startswith(f"{view}/"))

    def _drop(self, streams: Iterable[str]) -> None:
        for stream in list(streams):
            self._views.pop(stream, None)

    def _resend(self, stream: str) -> None:
        if stream in self._views:
            self._guarded(lambda: self._draw(stream))

    def _handle_request(self, message: CurvesFromPage) -> None:
        match message:
            case SetChart():
                self._set_chart(message)
            case DropCharts(view=view, streams=streams):
                self._drop(stream for stream in streams if stream == view or stream.startswith(f"{view}/"))
            case SearchKeys(view=view, text=text):
                keys, total = self._model.search_keys(text)
                self._send(FoundKeys(view=view, text=text, now=self._now(), keys=keys, total=total))
            case ShowNewest():
                self.show_newest()

    def _set_chart(self, message: SetChart) -> None:
        self._visibility.saw(message.view, visible=True)
        self._views.pop(ALL_VIEWS, None)
        if not self._is_fresh:
            # What was recorded while no view was visible.
            self._guarded(self._update)
            self._is_fresh = True
        stream = message.stream or message.view
        former = self._views.pop(stream, None)
        seq = former.seq if former is not None else 0
        self._views[stream] = ClientView(message.spec, seq=seq, charts=max(1, message.charts))
        while len(self._views) > _MOST_CHARTS:
            del self._views[next(iter(self._views))]
        self._guarded(lambda: self._draw(stream))

    def _update(self) -> None:
        version = self._source.version()
        if version == self._version and self._health == self._health_of_source():
            return
        start = time.thread_time()
        has_changed = self._model.read()
        former = self._health
        if former.state != "over":
            self._health = self._health_of_source()
        if has_changed or self._health != former:
            for view in self._views.values():
                view.is_stale = True
            self._send_metadata()
        for stream in list(self._views):
            self._send_new_points(stream)
        self._model.keep_only([view.spec.key for view in self._views.values()])
        self._version = version
        # Groups of many experiments are computed again with each point: most of the processor is for the training.
        self._next_read_at = self._clock() + _REST * (time.thread_time() - start)

    def _health_of_source(self) -> Health:
        """Return how it stands with the source, apart from the store that is read."""
        failure = self._source.failure if isinstance(self._source, WithNotice) else ""
        return Health(state="failing", reason=failure) if failure else Health(state="live")

    def _send_new_points(self, stream: str) -> None:
        view = self._views[stream]
        appended = None if view.is_stale else self._model.append(stream, view, self._now())
        if appended is not None:
            self._send(appended)
        elif view.is_stale:
            self._draw(stream)

    def _draw(self, stream: str) -> None:
        view = self._views[stream]
        chart = self._model.draw(view)
        if view.spec.axis == "tokens":
            # The tokens at a mark are only known now that the points were read.
            self._place_marks()
        view.seq += 1
        self._send(ChartUpdate(stream=stream, seq=view.seq, now=self._now(), chart=chart))

    def _place_marks(self) -> None:
        if self._model.place_marks():
            self._send_metadata()

    def _send_metadata(self) -> None:
        self._send(MetadataUpdate(now=self._now(), metadata=self._model.metadata, health=self._health))

    def _send_health(self) -> None:
        self._send_metadata()

    def _seqs(self) -> Mapping[str, int]:
        return {stream: view.seq for stream, view in self._views.items()}
