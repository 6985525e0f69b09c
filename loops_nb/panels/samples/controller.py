"""Controller of a panel of samples: one thread reads the store and sends each view what is new; no widget."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from loops_nb.live import Health
from loops_nb.panels.protocol import ALL_VIEWS, as_dict
from loops_nb.panels.samples.messages import (
    GridUpdate,
    ReadSample,
    SamplesFromPage,
    SamplesMetadataUpdate,
    SampleSpec,
    SamplesSnapshot,
    SampleText,
    SetSamples,
)
from loops_nb.panels.samples.model import SampleModel, SampleView
from loops_nb.panels.store_controller import StoreController

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from loops_nb.panels.samples.messages import SampleGridData
    from loops_nb.panels.visibility import Visibility
    from loops_nb.tracking import ExperimentStore

T = TypeVar("T")
_MOST_VIEWS = 12


class SamplesController(StoreController[SamplesFromPage]):
    """The controller of one panel of samples.

    The stream `ALL_VIEWS` is for views that have not asked for anything yet, which a busy kernel may not hear.

    Parameters
    ----------
    store : ExperimentStore
        Where the samples are.
    wanted : sequence of str or None
        As in `SampleModel`.
    send : callable
        Sends a message to the pages.
    visibility : Visibility
        Which views are visible.
    title, line : str
        Heading, and the line of code that opens the panel.
    spec : SampleSpec
        What a new view shows first.
    """

    def __init__(
        self,
        store: ExperimentStore,
        wanted: Sequence[str] | None,
        send: Callable[[dict[str, Any]], None],
        visibility: Visibility,
        *,
        title: str,
        line: str,
        spec: SampleSpec,
    ) -> None:
        super().__init__(
            send,
            visibility,
            SamplesFromPage,
            title=title,
            line=line,
            thread_name="loops-nb-samples",
            reading="reading the recorded samples",
        )
        self.first_spec: SampleSpec = spec
        self._store = store
        self._model = SampleModel(store, wanted)
        self._views: dict[str, SampleView] = {ALL_VIEWS: SampleView(spec)}
        self._version: int | None = None
        self.update()

    # Called from any thread.

    def initial_state(self) -> dict[str, Any]:
        return as_dict(self.snapshot())

    def snapshot(self) -> SamplesSnapshot:
        """Return everything; later changes are sent to the views that have not asked for anything yet."""
        with self._lock:
            view = self._views.get(ALL_VIEWS) or SampleView(self.first_spec)
            grid: SampleGridData | None = self._guarded(lambda: self._model.grid(view.spec))
            _remember(view, grid)
            return SamplesSnapshot(
                now=self._now(),
                title=self.title,
                line=self.line,
                metadata=self._model.metadata,
                grid=grid,
                seq=view.seq,
                health=self._health,
            )

    def read(self, getter: Callable[[SampleModel], T]) -> T:
        """Return what a function reads from the model while nothing changes it."""
        with self._lock:
            return getter(self._model)

    def version(self) -> int | None:
        """Return a value that differs whenever there is anything new to show."""
        return self._version

    # On the panel's own thread, the writer.

    def _open_view(self, view: str, have: int | None) -> None:
        """Nothing to send: a view asks for what it shows when it knows its width."""

    def _close_view(self, view: str) -> None:
        self._views.pop(view, None)

    def _resend(self, stream: str) -> None:
        if stream in self._views:
            self._guarded(lambda: self._send_grid(stream, is_whole=True))

    def _handle_request(self, message: SamplesFromPage) -> None:
        match message:
            case SetSamples(view=view, spec=spec):
                self._set_spec(view, spec)
            case ReadSample(view=view, id=sample_id):
                found = self._model.sample(sample_id)
                prompt, completion = ("", "") if found is None else (found.prompt, found.completion)
                self._send(SampleText(view=view, now=self._now(), id=sample_id, prompt=prompt, completion=completion))

    def _set_spec(self, view: str, spec: SampleSpec) -> None:
        self._visibility.saw(view, visible=True)
        self._views.pop(ALL_VIEWS, None)
        # What was recorded while no view was visible.
        self._guarded(self._update)
        former = self._views.pop(view, None)
        self._views[view] = SampleView(spec, seq=former.seq if former is not None else 0)
        # Views of pages that went away without a message.
        while len(self._views) > _MOST_VIEWS:
            del self._views[next(iter(self._views))]
        self._guarded(lambda: self._send_grid(view, is_whole=True))

    def _update(self) -> None:
        version = self._store.version()
        if version == self._version and self._health.state == "live":
            return
        was_failing = self._health.state == "failing"
        has_changed = self._model.read()
        if was_failing:
            self._health = Health(state="live")
        if has_changed or was_failing:
            self._send_metadata()
        for stream in list(self._views):
            self._send_grid(stream, is_whole=False)
        self._model.keep_only(view.grid.spec for view in self._views.values() if view.grid is not None)
        self._version = version

    def _send_grid(self, stream: str, *, is_whole: bool) -> None:
        view = self._views[stream]
        grid = self._model.grid(view.spec)
        new = None
        if grid is not None:
            sent = {} if is_whole else view.sent
            new = msgspec.structs.replace(grid, cells=[cell for cell in grid.cells if sent.get(cell.id) != cell])
            if not is_whole and view.grid is not None and not new.cells and _without_cells(grid) == view.grid:
                return
        elif not is_whole and view.grid is None:
            return
        if is_whole:
            view.sent = {}
        _remember(view, grid)
        base, view.seq = view.seq, view.seq + 1
        self._send(GridUpdate(stream=stream, seq=view.seq, base=-1 if is_whole else base, now=self._now(), grid=new))

    def _send_metadata(self) -> None:
        self._send(SamplesMetadataUpdate(now=self._now(), metadata=self._model.metadata, health=self._health))

    def _send_health(self) -> None:
        self._send_metadata()

    def _seqs(self) -> Mapping[str, int]:
        return {stream: view.seq for stream, view in self._views.items()}


def _without_cells(grid: SampleGridData) -> SampleGridData:
    return msgspec.structs.replace(grid, cells=[])


def _remember(view: SampleView, grid: SampleGridData | None) -> None:
    """Take in what a view has now, and keep the experiment that it shows: a newer one must not replace it."""
    if grid is None:
        view.grid, view.sent = None, {}
        return
    view.grid = _without_cells(grid)
    view.spec = msgspec.structs.replace(view.spec, experiment=grid.spec.experiment)
    # A page forgets the cells that are not shown, too.
    shown = {cell for row in grid.rows for cell in row.cells}
    view.sent = {key: cell for key, cell in view.sent.items() if key in shown} | {cell.id: cell for cell in grid.cells}
