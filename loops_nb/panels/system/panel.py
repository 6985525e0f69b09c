"""The panel of a run's system metrics, on one time axis with its training curve."""

from __future__ import annotations

import shlex
from datetime import timedelta
from typing import TYPE_CHECKING

from loops_nb.client.system_metrics import DEFAULT_AGE
from loops_nb.errors import InvalidArgumentError
from loops_nb.panels.curves.panel import CurvesPanel
from loops_nb.panels.system.source import PREFIX, SystemSource
from loops_nb.render.formatting import number
from loops_nb.render.tables import Field, Table, as_text

if TYPE_CHECKING:
    from loops_nb.client.config import HasConfig
    from loops_nb.panels.curves.model import CurveModel


#: Lines of the table in a terminal.
_MOST_ROWS = 40


def _newest(model: CurveModel) -> list[tuple[str, ...]]:
    runs = model.metadata.runs
    return [
        (key, runs[place].name, *(number(value) for value in (found.last, found.low, found.high)))
        for key in model.all_keys()
        for place, found in model.lines(key)
        if runs[place].id.startswith(PREFIX)
    ]


class SystemPanel(CurvesPanel):
    """GPU, CPU, memory, disk and requests of a run, a deployment or a sampler, live.

    The charts are those of `CurvesPanel`, a line for each GPU, node and half, all along the clock with the same bounds.
    Of a run whose training was recorded on this machine, the loss and what tells its speed are beside them.

    Stands on ``POST /v1/loops/deployments/{deployment_id}/metrics`` and ``GET
    /v1/models/{model_id}/deployments/{deployment_id}/metrics``, every 10 seconds while a page looks at it.

    Parameters
    ----------
    loops : Loops or AsyncLoops
        The connection.
    target : str
        Id or name of a run, id of a Loops deployment, or id of a sampler.
    since : datetime.timedelta, default one hour
        How far back it begins, up to seven days, but not before the target was created.
    inside : bool, default False
        It stands in another panel, which says for both how they stand; metrics that cannot be read yet are no error.

    Raises
    ------
    NotFoundError
        If there is no such run, deployment or sampler.
    InvalidArgumentError
        If an argument cannot be used, or it is on shared (serverless) capacity.
    """

    def __init__(self, loops: HasConfig, target: str, *, since: timedelta = DEFAULT_AGE, inside: bool = False) -> None:
        from loops_nb.client.transport import Transport
        from loops_nb.tracking import ExperimentStore

        if not isinstance(since, timedelta) or not timedelta(0) < since <= timedelta(days=7):
            raise InvalidArgumentError("since must be an age of at most seven days.", argument="since")
        self._recorded = ExperimentStore()
        self._system: SystemSource | None = None
        transport = Transport(loops.config)
        try:
            self._system = SystemSource(transport, target, since=since, store=self._recorded, is_patient=inside)
        except BaseException:
            transport.close()
            self._recorded.close()
            raise
        found = self._system.target
        title = f"System of {found.what} {found.id}"
        super().__init__(
            [found.id],
            axis="clock",
            store=self._system,
            title=title,
            line=f"%loops watch system {shlex.quote(target)}",
            inside=inside,
        )

    def told(self, width: int = 120) -> str:
        """Return what is shown now in words, for a terminal: the training curve, and the values of each metric."""
        text = super().told(width)
        rows = self._controller.read(_newest)
        if not rows:
            return text
        metrics, lines, newest, low, high = map(list, zip(*rows[:_MOST_ROWS], strict=True))
        fields = [Field("Metric", metrics), Field("Line", lines)]
        fields += [
            Field(heading, values, is_number=True)
            for heading, values in (("Newest", newest), ("Lowest", low), ("Highest", high))
        ]
        more = [f"And {len(rows) - _MOST_ROWS:,} more: panel.frame(METRIC) has all."] if len(rows) > _MOST_ROWS else []
        return "\n".join([text, "", as_text(Table(fields), width), *more])

    def _let_go(self) -> None:
        super()._let_go()
        if self._system is not None:
            self._system.close()
        self._recorded.close()
