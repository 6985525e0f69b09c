"""The panels by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loops_nb.client import checks
from loops_nb.panels.curves_inside import CurvesInside
from loops_nb.panels.fleet import FleetView
from loops_nb.panels.listings import CheckpointsView, DeploymentsView, SamplersView
from loops_nb.panels.panel import Panel
from loops_nb.panels.run import RunView

if TYPE_CHECKING:
    from loops_nb.panels.panel import Connected


class FleetPanel(Panel):
    """Every run with the state of both halves, standalone samplers below, and what all of it holds.

    Stands on ``GET /v1/loops/runs``, ``/samplers``, ``/deployments`` and ``/checkpoints``, one request each an interval.

    Parameters
    ----------
    loops
        The connection.
    base_model
        Only runs and samplers of this base model.
    scope
        ``org`` for the whole organisation's.
    team_id
        Only those of this team.
    options
        ``notify``, ``time_zone`` and ``interval`` as in `Panel`.
    """

    def __init__(
        self,
        loops: Connected,
        *,
        base_model: str | None = None,
        scope: str | None = None,
        team_id: str | None = None,
        **options: Any,
    ) -> None:
        model, whose = checks.optional_text("base_model", base_model), checks.optional_text("scope", scope)
        view = FleetView(scope=whose, team_id=checks.optional_identifier("team_id", team_id), base_model=model)
        super().__init__(loops, view, **options)


class RunPanel(Panel):
    """One run: its halves, its states since it was first seen, its checkpoints as they appear, and what was recorded of it as curves.

    Stands on ``GET /v1/loops/runs``, ``/deployments`` and ``/checkpoints``; for the curves nothing is asked of the service.

    Parameters
    ----------
    loops
        The connection.
    run_id
        The run.
    scope, team_id
        Of the listing that it is in, as in ``loops.runs.list``; ``scope="org"`` for somebody else's run.
    options
        ``notify``, ``time_zone`` and ``interval`` as in `Panel`.
    """

    def __init__(self, loops: Connected, run_id: str, *, scope: str | None = None, team_id: str | None = None, **options: Any) -> None:
        checks.path_part("run_id", run_id)
        whose, team = checks.optional_text("scope", scope), checks.optional_identifier("team_id", team_id)
        super().__init__(loops, RunView(run_id, scope=whose, team_id=team), curves=CurvesInside(run_id), **options)


class SamplersPanel(Panel):
    """All samplers, paired and standalone.

    Stands on ``GET /v1/loops/samplers``, and on ``GET /v1/loops/runs`` for the run that a sampler is paired with.  Parameters as in
    `FleetPanel`.
    """

    def __init__(self, loops: Connected, *, scope: str | None = None, team_id: str | None = None, **options: Any) -> None:
        whose, team = checks.optional_text("scope", scope), checks.optional_identifier("team_id", team_id)
        super().__init__(loops, SamplersView(scope=whose, team_id=team), **options)


class DeploymentsPanel(Panel):
    """All Loops deployments.

    Stands on ``GET /v1/loops/deployments``.  Parameters as in `FleetPanel`.
    """

    def __init__(self, loops: Connected, *, scope: str | None = None, **options: Any) -> None:
        super().__init__(loops, DeploymentsView(scope=checks.optional_text("scope", scope)), **options)


class CheckpointsPanel(Panel):
    """Checkpoints of one run or of one base model, as they appear.

    Stands on ``GET /v1/loops/checkpoints``.

    Parameters
    ----------
    loops
        The connection.
    run_id, base_model
        Exactly one of them.
    options
        ``notify``, ``time_zone`` and ``interval`` as in `Panel`.

    Raises
    ------
    InvalidArgumentError
        If not exactly one of the two is given.
    """

    def __init__(self, loops: Connected, *, run_id: str | None = None, base_model: str | None = None, **options: Any) -> None:
        run, model = checks.optional_identifier("run_id", run_id), checks.optional_text("base_model", base_model)
        super().__init__(loops, CheckpointsView(run_id=run, base_model=model), **options)
