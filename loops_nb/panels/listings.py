"""Panels of one listing each: samplers, deployments, checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loops_nb.api.gpus import gpus_of, is_alive, is_serverless
from loops_nb.client import checks
from loops_nb.client.teams import team_id_of
from loops_nb.errors import InvalidArgumentError
from loops_nb.frames import checkpoints_frame, deployments_frame, samplers_frame
from loops_nb.live import Query
from loops_nb.panels.columns import checkpoint_row, deployment_row, sampler_row
from loops_nb.panels.messages import Fact
from loops_nb.panels.notices import (
    Announcement,
    GoneCheckpoints,
    deployment_announcement,
    sampler_announcement,
)
from loops_nb.panels.panel import Panel
from loops_nb.panels.recorded_runs import CheckpointLifetimes
from loops_nb.panels.view import envelope
from loops_nb.panels.view_model import Memo, ViewModel
from loops_nb.render.formatting import size

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from loops_nb.api.models import Checkpoint, Deployment, Sampler
    from loops_nb.client.config import HasConfig
    from loops_nb.live import Snapshot
    from loops_nb.panels.messages import ViewName


class SamplersView:
    """All samplers, paired and standalone; parameters as in ``loops.samplers.list``."""

    name: ViewName = "samplers"

    def __init__(self, *, scope: str | None = None, team_id: str | None = None) -> None:
        self._samplers = Query("samplers", scope=scope, team_id=team_id)
        # A sampler does not say which run it is paired with; the run does.
        self._runs = Query("runs", scope=scope, team_id=team_id)
        self.queries: tuple[Query, ...] = (self._samplers, self._runs)
        self.title = "Samplers"
        self.line: str = _line("samplers", scope=scope, team=team_id)
        self._rows = Memo(sampler_row)

    def compose(self, snapshot: Snapshot, now: float) -> ViewModel:  # noqa: ARG002 - as every view
        """Return the rows."""
        samplers = snapshot.samplers
        run_of = {run.sampler.id: key for key, run in reversed(snapshot.runs.items()) if run.sampler is not None}
        rows = self._rows.of(samplers, run_of)
        alive = [sampler for sampler in samplers.values() if is_alive(sampler)]
        facts = (
            Fact(label="alive", value=f"{len(alive):,} of {len(samplers):,}", tone="good" if alive else None),
            *gpu_facts(alive),
        )
        return ViewModel({"samplers": rows}, facts)

    def announcements(self, snapshot: Snapshot) -> dict[str, Announcement]:
        """Return the announcement of each sampler."""
        return {key: sampler_announcement(sampler) for key, sampler in snapshot.samplers.items()}

    def frame(self, snapshot: Snapshot) -> pd.DataFrame:
        """Return them as ``loops.samplers.frame`` would."""
        return samplers_frame(envelope("samplers", snapshot.samplers))


class DeploymentsView:
    """All Loops deployments; parameters as in ``loops.deployments.list``."""

    name: ViewName = "deployments"

    def __init__(self, *, scope: str | None = None) -> None:
        self._deployments = Query("deployments", scope=scope)
        self.queries: tuple[Query, ...] = (self._deployments,)
        self.title = "Deployments"
        self.line: str = _line("deployments", scope=scope)
        self._rows = Memo(deployment_row)

    def compose(self, snapshot: Snapshot, now: float) -> ViewModel:  # noqa: ARG002 - as every view
        """Return the rows."""
        deployments = snapshot.deployments
        rows = self._rows.of(deployments)
        halves = [half for d in deployments.values() for half in (d, d.sampler) if half is not None and is_alive(half)]
        alive = sum(is_alive(deployment) for deployment in deployments.values())
        facts = (
            Fact(label="alive", value=f"{alive:,} of {len(deployments):,}", tone="good" if alive else None),
            *gpu_facts(halves),
        )
        return ViewModel({"deployments": rows}, facts)

    def announcements(self, snapshot: Snapshot) -> dict[str, Announcement]:
        """Return the announcement of each deployment."""
        return {key: deployment_announcement(deployment) for key, deployment in snapshot.deployments.items()}

    def frame(self, snapshot: Snapshot) -> pd.DataFrame:
        """Return them as ``loops.deployments.frame`` would."""
        return deployments_frame(envelope("deployments", snapshot.deployments))


class CheckpointsView:
    """Checkpoints of one run, or of one base model.

    Raises
    ------
    InvalidArgumentError
        If not exactly one of the two is given: the API lists checkpoints by one of them.
    """

    name: ViewName = "checkpoints"

    def __init__(
        self,
        *,
        run_id: str | None = None,
        base_model: str | None = None,
        lifetimes: CheckpointLifetimes | None = None,
    ) -> None:
        if (run_id is None) == (base_model is None):
            raise InvalidArgumentError(
                "Checkpoints are watched by run or by base model: give exactly one of run_id and base_model.",
                argument="run_id",
                hint="For example: %loops watch checkpoints --run RUN",
            )
        self._checkpoints = Query("checkpoints", run_id=run_id, base_model=base_model)
        self.queries: tuple[Query, ...] = (self._checkpoints,)
        self.title: str = f"Checkpoints of {'run ' if run_id else ''}{run_id or base_model}"
        self.line: str = f"%loops watch checkpoints {'--run' if run_id else '--base-model'} {run_id or base_model}"
        self._rows = Memo(checkpoint_row)
        self._lifetimes = lifetimes
        self._gone = GoneCheckpoints()
        self._announcements: dict[str, Announcement] = {}

    def compose(self, snapshot: Snapshot, now: float) -> ViewModel:
        """Return the rows."""
        checkpoints = snapshot.checkpoints(self._checkpoints)
        ends = self._lifetimes.of(checkpoints) if self._lifetimes is not None else {}
        rows = self._rows.of(checkpoints, ends)
        if snapshot.is_known(self._checkpoints) and not snapshot.is_refused(self._checkpoints):
            self._announcements = self._gone.look(checkpoints, ends, now)
        facts = [Fact(label="checkpoints", value=f"{len(checkpoints):,}")]
        facts += size_facts(checkpoints.values())
        return ViewModel({"checkpoints": rows}, tuple(facts))

    def announcements(self, snapshot: Snapshot) -> dict[str, Announcement]:  # noqa: ARG002 - `compose` has just looked at it
        """Return the announcements of checkpoints that are gone."""
        return self._announcements

    def frame(self, snapshot: Snapshot) -> pd.DataFrame:
        """Return them as ``loops.checkpoints.frame`` would."""
        return checkpoints_frame(envelope("checkpoints", snapshot.checkpoints(self._checkpoints)))


def gpu_facts(halves: Iterable[Deployment | Sampler]) -> list[Fact]:
    """Return how many GPUs the living halves hold, and for how many that is unknown; shared capacity holds none."""
    counts = [gpus_of(half) for half in halves if not is_serverless(half)]
    facts = [Fact(label="GPUs held", value=f"{sum(count or 0 for count in counts):,}")]
    untold = counts.count(None)
    return [*facts, Fact(label="alive on hardware not told", value=f"{untold:,}")] if untold else facts


def size_facts(checkpoints: Iterable[Checkpoint]) -> list[Fact]:
    """Return the total size of some checkpoints; a lower bound where the service does not tell all of them."""
    sizes = [found.size_bytes for found in checkpoints]
    known = [found for found in sizes if found is not None]
    if not known:
        return []
    return [Fact(label="in all", value=f"{'' if len(known) == len(sizes) else 'at least '}{size(sum(known))}")]


def _line(what: str, **options: str | None) -> str:
    return f"%loops watch {what}" + "".join(
        f" --{flag} {value}" for flag, value in options.items() if value is not None
    )


class SamplersPanel(Panel):
    """All samplers, paired and standalone.

    Stands on ``GET /v1/loops/samplers``, and on ``GET /v1/loops/runs`` for the run that a sampler is paired with.
    Parameters as in `FleetPanel`.
    """

    def __init__(
        self, loops: HasConfig, *, scope: str | None = None, team_id: str | None = None, **options: Any
    ) -> None:
        whose, team = checks.optional_text("scope", scope), team_id_of(loops.config, team_id)
        super().__init__(loops, SamplersView(scope=whose, team_id=team), **options)


class DeploymentsPanel(Panel):
    """All Loops deployments.

    Stands on ``GET /v1/loops/deployments``.  Parameters as in `FleetPanel`.
    """

    def __init__(self, loops: HasConfig, *, scope: str | None = None, **options: Any) -> None:
        super().__init__(loops, DeploymentsView(scope=checks.optional_text("scope", scope)), **options)


class CheckpointsPanel(Panel):
    """Checkpoints of one run or of one base model, as they appear.

    Stands on ``GET /v1/loops/checkpoints``.

    Parameters
    ----------
    loops : Loops or AsyncLoops
        The connection.
    run_id, base_model : str or None, default None
        Exactly one of them.
    **options
        ``notify``, ``time_zone`` and ``interval`` as in `Panel`.

    Raises
    ------
    InvalidArgumentError
        If not exactly one of the two is given.
    """

    def __init__(
        self, loops: HasConfig, *, run_id: str | None = None, base_model: str | None = None, **options: Any
    ) -> None:
        run, model = checks.optional_identifier("run_id", run_id), checks.optional_text("base_model", base_model)
        lifetimes = CheckpointLifetimes()
        view = CheckpointsView(run_id=run, base_model=model, lifetimes=lifetimes)
        super().__init__(loops, view, recorded=lifetimes, **options)
