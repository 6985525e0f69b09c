"""The panel of curves inside of the panel of a run, with the run's checkpoints as marks."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, ClassVar

from loops_nb.errors import LoopsError
from loops_nb.panels.columns import COLUMNS
from loops_nb.panels.inside import PanelInside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loops_nb.panels.curves.model import ListedCheckpoint
    from loops_nb.panels.curves.panel import CurvesPanel
    from loops_nb.panels.messages import PlotName, Row

_NAMES = tuple(column.name for column in COLUMNS["checkpoints"])


class CurvesInside(PanelInside["CurvesPanel"]):
    """The curves of one run, for the pages of its panel.

    Parameters
    ----------
    run_id
        The run, whether anything was recorded of it or not.
    """

    plot: ClassVar[PlotName] = "curves"
    what: ClassVar[str] = "curves"

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._run_id = run_id
        self._is_recorded = False

    def are_there(self) -> bool:
        """Return whether anything was recorded of the run; read once it was, and never made by reading."""
        with contextlib.suppress(LoopsError):
            if not self._is_recorded:
                from loops_nb.tracking import ExperimentStore  # for those who record

                with ExperimentStore() as store:
                    self._is_recorded = any(row.run_id == self._run_id for row in store.experiments(archived=True))
        return self._is_recorded

    @property
    def line(self) -> str:  # noqa: D102 - as in the base class
        return f"%loops curves {self._run_id}"

    def _make(self) -> CurvesPanel:
        from loops_nb.panels.curves.panel import CurvesPanel  # numpy, for those who look at curves

        return CurvesPanel(self._run_id, inside=True)

    def _show_rows(self, panel: CurvesPanel, rows: Mapping[str, Row]) -> None:
        panel.set_listed_checkpoints(listed_checkpoints(rows))


def listed_checkpoints(rows: Mapping[str, Row]) -> list[ListedCheckpoint]:
    """Return the rows of a table of checkpoints as marks on curves."""
    from loops_nb.panels.curves.model import ListedCheckpoint  # numpy

    found = []
    for row in rows.values():
        cells: dict[str, Any] = dict(zip(_NAMES, row, strict=True))
        if cells["created_at"] is not None:
            run_id, name, uri, target = (
                str(cells[each] or "") for each in ("run_id", "checkpoint_id", "uri", "target")
            )
            found.append(ListedCheckpoint(run_id, cells["step"], float(cells["created_at"]), name, uri, target))
    return found
