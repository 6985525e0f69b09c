"""Content of the dashboard: the tables of the fleet, deployments without a run, and checkpoints of selected runs."""

from __future__ import annotations

import logging
from heapq import nlargest
from typing import TYPE_CHECKING, Any

from loops_nb import faults
from loops_nb.frames import checkpoints_frame
from loops_nb.live.listings import created_at
from loops_nb.panels.columns import cell, checkpoint_row, deployment_row
from loops_nb.panels.fleet import FleetView
from loops_nb.panels.listings import size_facts
from loops_nb.panels.messages import Fact
from loops_nb.panels.view import envelope
from loops_nb.panels.view_model import Memo, ViewModel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

    from loops_nb.api.models import Checkpoint
    from loops_nb.live import Snapshot
    from loops_nb.panels.messages import PlotStatus, Row, TableName, ViewName
    from loops_nb.panels.recorded_runs import CheckpointLifetimes

_LOG = logging.getLogger(__name__)
#: Checkpoints that are shown where no run is selected: an overview needs no ten thousand rows.
MOST_CHECKPOINTS = 200


class DashboardView(FleetView):
    """The fleet, the deployments that no listed run has, and checkpoints; narrowed to the selected runs.

    Parameters
    ----------
    curves
        As in `loops_nb.panels.view.DashboardContent`.
    selected
        Ids of the runs that are selected at first.
    lifetimes
        When checkpoints vanish.
    on_change
        Called on the poller's thread with the selected runs and the rows of the checkpoints, when either is another
        one.
    **options
        As of `FleetView`.
    """

    name: ViewName = "dashboard"

    def __init__(
        self,
        curves: PlotStatus,
        *,
        selected: Sequence[str],
        lifetimes: CheckpointLifetimes,
        on_change: Callable[[tuple[str, ...], Mapping[str, Row]], None],
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.curves: PlotStatus = curves
        model = options.get("base_model")
        self.title = "Dashboard" if model is None else f"Dashboard of {model}"
        self._options = self.line.removeprefix("%loops watch")
        self._lifetimes = lifetimes
        self._on_change = on_change
        self._selected: tuple[str, ...] = ()
        self._known: tuple[str, ...] | None = None
        self._deployment_rows = Memo(deployment_row)
        self._checkpoint_rows = Memo(checkpoint_row)
        self._shown: dict[str, Checkpoint] = {}
        self._rows: Mapping[str, Row] = {}
        self._checkpoint_facts: tuple[Fact, ...] = ()
        self.select_runs(selected)

    def select_runs(self, ids: Sequence[str]) -> None:
        """Narrow it to these runs; to none, for all."""
        self._selected = tuple(dict.fromkeys(ids))
        self.line = " ".join(["%loops dashboard", *self._selected]) + self._options

    def compose(self, snapshot: Snapshot, now: float) -> ViewModel:
        """Return the tables and the summary."""
        fleet = super().compose(snapshot, now)
        runs = fleet.tables["runs"]
        if snapshot.is_known(self.queries[0]) and not snapshot.is_refused(self.queries[0]):
            # One that was deleted leaves nothing to narrow to.
            self.select_runs([key for key in self._selected if key in runs])
        known, rows = self._known, self._rows
        try:
            self._look_at_checkpoints(snapshot, runs)
        except Exception as error:  # noqa: BLE001 - the other tables go on
            fault = faults.record(_LOG, "showing the checkpoints of a dashboard", error)
            self._checkpoint_facts = (Fact(label="checkpoints not updated", value=fault.reason, tone="bad"),)
        self._known = self._selected
        if known != self._selected or rows is not self._rows:
            self._on_change(self._selected, self._rows)
        tables: dict[TableName, Mapping[str, Row]] = {
            **fleet.tables,
            "deployments": self._deployments_without_run(snapshot, runs),
            "checkpoints": self._rows,
        }
        return ViewModel(tables, (*fleet.facts, *self._checkpoint_facts), selected_runs=self._selected)

    def checkpoints_frame(self, snapshot: Snapshot) -> pd.DataFrame:  # noqa: ARG002 - `compose` has chosen them
        """Return the checkpoints that are shown as ``loops.checkpoints.frame`` would."""
        return checkpoints_frame(envelope("checkpoints", self._shown))

    def _deployments_without_run(self, snapshot: Snapshot, runs: Mapping[str, Row]) -> Mapping[str, Row]:
        of_runs = {cell(row, "runs", "deployment_id") for row in runs.values()}
        _, deployments, _ = self._things(snapshot)
        return self._deployment_rows.of({key: found for key, found in deployments.items() if key not in of_runs})

    def _look_at_checkpoints(self, snapshot: Snapshot, runs: Mapping[str, Row]) -> None:
        wanted = set(self._selected or runs)
        listed = snapshot.checkpoints(self.queries[3])
        found = {key: checkpoint for key, checkpoint in listed.items() if checkpoint.run_id in wanted}
        total, sizes = len(found), size_facts(found.values())
        if not self._selected and total > MOST_CHECKPOINTS:
            found = {each.id: each for each in nlargest(MOST_CHECKPOINTS, found.values(), key=created_at)}
        count = f"{total:,}" if len(found) == total else f"newest {len(found):,} of {total:,}"
        self._shown = found
        self._rows = self._checkpoint_rows.of(found, self._lifetimes.of(found))
        self._checkpoint_facts = (Fact(label="checkpoints", value=count), *sizes)
