"""The interface of views: which listings a panel needs, and what it shows of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from loops_nb.live import Query, Snapshot
    from loops_nb.panels.messages import PlotStatus, ViewName
    from loops_nb.panels.notices import Announcement
    from loops_nb.panels.view_model import ViewModel


class View(Protocol):
    """Content of one kind of panel, independent of notebooks and widgets.

    Attributes
    ----------
    name, title, line : str
        As in `loops_nb.panels.messages.PanelSnapshot`.
    queries : tuple of Query
        The listings that it needs.
    """

    name: ViewName
    title: str
    line: str
    queries: tuple[Query, ...]

    def compose(self, snapshot: Snapshot, now: float) -> ViewModel:
        """Return what to show; unchanged parts are the same objects as before."""

    def announcements(self, snapshot: Snapshot) -> Mapping[str, Announcement]:
        """Return the announcement of each object, by id."""

    def frame(self, snapshot: Snapshot) -> pd.DataFrame:
        """Return the data as the frame of its listing."""


@runtime_checkable
class DashboardContent(View, Protocol):
    """Content that can be narrowed to some runs, and has curves beside its tables.

    Attributes
    ----------
    curves : PlotStatus
        As in `loops_nb.panels.messages.PanelSnapshot`.
    """

    curves: PlotStatus

    def select_runs(self, ids: Sequence[str]) -> None:
        """Narrow it to these runs from the next composing on; to none, for all."""

    def checkpoints_frame(self, snapshot: Snapshot) -> pd.DataFrame:
        """Return the checkpoints that are shown, for their plots."""


def envelope(key: str, things: Mapping[str, Any]) -> bytes:
    """Return objects as the JSON of a listing."""
    return b'{"%s":[%s]}' % (key.encode(), b",".join(bytes(thing.raw_json) for thing in things.values()))
