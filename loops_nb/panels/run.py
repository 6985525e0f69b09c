"""Panel of one run: its parts, its states since it was first seen, and its checkpoints as they appear."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from loops_nb.api.gpus import SERVERLESS_WORDS, gpus_of, is_alive, is_serverless_run, run_is_finished
from loops_nb.api.pairing import deployment_of_run
from loops_nb.api.serving import run_page
from loops_nb.api.states import RUN_TERMINAL, is_in_transition, status_name
from loops_nb.client import checks
from loops_nb.client.teams import team_id_of
from loops_nb.frames import checkpoints_frame
from loops_nb.live import Query, stuck_spans
from loops_nb.panels.columns import DELETED, checkpoint_row
from loops_nb.panels.curves.tab import CurvesInside
from loops_nb.panels.listings import size_facts
from loops_nb.panels.messages import Fact, RunPart, RunSummary
from loops_nb.panels.notices import Announcement, GoneCheckpoints, deletion_announcement, run_announcement
from loops_nb.panels.panel import FIRST_LOOK_SECONDS, Panel
from loops_nb.panels.recorded_runs import CheckpointLifetimes
from loops_nb.panels.run_failure import RunFailure
from loops_nb.panels.samples.tab import SamplesInside
from loops_nb.panels.system.tab import SystemInside
from loops_nb.panels.view import envelope
from loops_nb.panels.view_model import Memo, ViewModel
from loops_nb.render.formatting import many

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from loops_nb import live
    from loops_nb.api.models import Checkpoint, Deployment, Run, Sampler
    from loops_nb.client.config import HasConfig
    from loops_nb.live import Snapshot
    from loops_nb.panels.messages import PanelSnapshot, ViewName

_SYNCING = "SYNCING"


class RunView:
    """One run.

    Parameters
    ----------
    run_id
        Its id.
    scope, team_id
        Of the listing that it is in, as in ``loops.runs.list``.
    failure
        Finds out why it failed; None shows its states alone.
    page
        Address of its page in the dashboard of the hosted service; None shows none.
    lifetimes
        When its checkpoints vanish; None shows nothing of it.
    """

    name: ViewName = "run"

    def __init__(
        self,
        run_id: str,
        *,
        scope: str | None = None,
        team_id: str | None = None,
        failure: RunFailure | None = None,
        page: str | None = None,
        lifetimes: CheckpointLifetimes | None = None,
    ) -> None:
        self._id = run_id
        self._lifetimes = lifetimes
        self._gone = GoneCheckpoints()
        self._checkpoint_announcements: dict[str, Announcement] = {}
        self._page = page
        self._failure = failure
        self._runs = Query("runs", scope=scope, team_id=team_id)
        self._deployments = Query("deployments", scope=scope)
        self._checkpoints = Query("checkpoints", run_id=run_id)
        self.queries: tuple[Query, ...] = (self._runs, self._deployments, self._checkpoints)
        self.title: str = f"Run {run_id}"
        options = (("scope", scope), ("team", team_id))
        self.line: str = f"%loops watch {run_id}" + "".join(
            f" --{flag} {value}" for flag, value in options if value is not None
        )
        self._rows = Memo(checkpoint_row)
        self._last_seen: Run | None = None

    def compose(self, snapshot: Snapshot, now: float) -> ViewModel:
        """Return the head and the checkpoints."""
        run, deployment = self._run(snapshot)
        checkpoints = snapshot.checkpoints(self._checkpoints)
        ends = self._lifetimes.of(checkpoints) if self._lifetimes is not None else {}
        rows = self._rows.of(checkpoints, ends)
        if snapshot.is_known(self._checkpoints) and not snapshot.is_refused(self._checkpoints):
            self._checkpoint_announcements = self._gone.look(checkpoints, ends, now)
        if run is not None:
            self._last_seen = run
        elif self._last_seen is not None and self._is_deleted(snapshot):
            gone = Fact(label="deleted", value="the service lists this run no longer", tone="bad")
            kept = Fact(label="checkpoints kept", value=f"{len(checkpoints):,}")
            over = "The run was deleted. What was recorded of it on this machine stays."
            facts = [gone, kept] if checkpoints else [gone]
            return ViewModel({"checkpoints": rows}, tuple(facts), _deleted(self._last_seen), over)
        if run is None:
            missing = Fact(label="not in the listing", value="the service does not list this run", tone="bad")
            return ViewModel({"checkpoints": rows}, (missing,) if snapshot.is_known(self._runs) else ())
        history = snapshot.history(self._id)
        spans = list(history)
        finished = run_is_finished(run, deployment)
        head = RunSummary(
            id=run.id,
            name=run.name,
            base_model=run.base_model,
            parts=_parts(run, deployment, spans),
            facts=_links(run, deployment, self._page),
            timeline=spans,
            finished=finished,
        )
        stuck = stuck_spans(history, now)
        facts = [*_on_its_way(run, deployment, checkpoints), *_facts(checkpoints, stuck)]
        if self._failure is not None:
            facts += self._failure.facts(run, deployment, _stuck_half(stuck))
        settled = finished and all(snapshot.is_known(query) for query in self.queries)
        synced = all(checkpoint.sync_status != _SYNCING for checkpoint in checkpoints.values())
        over = (
            "The run has ended and all its checkpoints are saved: nothing will change any more."
            if settled and synced
            else ""
        )
        return ViewModel({"checkpoints": rows}, tuple(facts), head, over)

    def announcements(self, snapshot: Snapshot) -> dict[str, Announcement]:
        """Return the announcements of the run and its checkpoints."""
        run, deployment = self._run(snapshot)
        if self._last_seen is not None and self._is_deleted(snapshot):
            return {self._id: deletion_announcement(self._last_seen)}
        if run is None:
            return {}
        mine = {run.id: run_announcement(run, deployment, snapshot.newest_checkpoint(run.id))}
        return mine | self._checkpoint_announcements

    def frame(self, snapshot: Snapshot) -> pd.DataFrame:
        """Return its checkpoints as ``loops.checkpoints.frame`` would."""
        return checkpoints_frame(envelope("checkpoints", snapshot.checkpoints(self._checkpoints)))

    def _is_deleted(self, snapshot: Snapshot) -> bool:
        """Return whether a run that was listed is in a complete listing no more: only its deletion does that."""
        return self._last_seen is not None and snapshot.is_known(self._runs) and self._id not in snapshot.runs

    def _run(self, snapshot: Snapshot) -> tuple[Run | None, Deployment | None]:
        run = snapshot.runs.get(self._id)
        if run is None:
            return None, None
        return run, deployment_of_run(run, snapshot.deployments)


def _deleted(run: Run) -> RunSummary:
    part = RunPart(what="run", id=run.id, status=DELETED, since=None)
    return RunSummary(
        id=run.id, name=run.name, base_model=run.base_model, parts=[part], facts=[], timeline=[], finished=True
    )


def _stuck_half(stuck: list[live.Span]) -> tuple[str, str] | None:
    halves = {"deployment": "trainer", "sampler": "sampler"}
    return next(((halves[span.what], span.status) for span in stuck if span.what in halves and span.status), None)


def _parts(run: Run, deployment: Deployment | None, spans: list[live.Span]) -> list[RunPart]:
    since = {span.what: span.start for span in spans if span.until is None}
    parts = [RunPart(what="run", id=run.id, status=status_name(run), since=since.get("run"))]
    if deployment is not None or run.deployment_id is not None:
        name = status_name(deployment)
        parts.append(
            RunPart(
                what="deployment",
                id=deployment.id if deployment else run.deployment_id,
                status=name,
                since=since.get("deployment"),
                gpus=_gpus(deployment),
            )
        )
    if run.sampler is not None:
        sampler = run.sampler
        parts.append(
            RunPart(
                what="sampler",
                id=sampler.id,
                status=status_name(sampler),
                since=since.get("sampler"),
                gpus=_gpus(sampler),
            )
        )
    return parts


def _gpus(half: Deployment | Sampler | None) -> str:
    if half is None or not is_alive(half):
        return ""
    count, kind = gpus_of(half), half.instance_type.gpu_type if half.instance_type else None
    return "" if not count else f"{count} x {kind}" if kind else many(count, "GPU")


def _links(run: Run, deployment: Deployment | None, page: str | None) -> list[Fact]:
    pairs = (
        ("session", run.session_id),
        ("deployment", run.deployment_id or (deployment.id if deployment else None)),
        ("sampler", run.sampler.id if run.sampler else None),
        ("dashboard", page),
        ("trainer URL", run.base_url),
        ("started from", run.base_checkpoint),
        ("LoRA configuration", run.lora_config_version),
    )
    facts = [Fact(label=label, value=value, code=value) for label, value in pairs if value]
    if run.user is not None and run.user.email:
        facts.append(Fact(label="owner", value=run.user.email))
    if is_serverless_run(run, deployment):
        facts.append(Fact(label="capacity", value=SERVERLESS_WORDS))
    return facts


def _on_its_way(run: Run, deployment: Deployment | None, checkpoints: Mapping[str, Checkpoint]) -> list[Fact]:
    """Return in words what is not up yet; since when stands with its state."""
    if status_name(run) in RUN_TERMINAL:
        return []
    parts = (("trainer", deployment), ("sampler", run.sampler))
    coming = [
        f"{what} ({status_name(half)})"
        for what, half in parts
        if half is not None and is_in_transition(status_name(half))
    ]
    if not coming:
        return []
    nothing_yet = "" if checkpoints else "; no checkpoint yet"
    return [Fact(label="deploying", value=f"the {' and the '.join(coming)}, not up yet{nothing_yet}", tone="busy")]


def _facts(checkpoints: Mapping[str, Checkpoint], stuck: list[live.Span]) -> list[Fact]:
    facts = [Fact(label="checkpoints", value=f"{len(checkpoints):,}")]
    facts += size_facts(checkpoints.values())
    syncing = sum(found.sync_status == _SYNCING for found in checkpoints.values())
    if syncing:
        facts.append(Fact(label="still syncing", value=f"{syncing:,}", tone="busy"))
    facts += [Fact(label="stuck", value=f"{span.what} in {span.status}", tone="bad") for span in stuck]
    return facts


class RunPanel(Panel):
    """One run: its halves, its states since it was first seen, its checkpoints, curves, samples and system metrics.

    Stands on ``GET /v1/loops/runs``, ``/deployments`` and ``/checkpoints``; for curves and samples nothing is asked of
    the service, for system metrics what `SystemPanel` says, while their tab is shown.

    Parameters
    ----------
    loops : Loops or AsyncLoops
        The connection.
    run_id : str
        The run.
    scope, team_id : str or None, default None
        Of the listing that it is in, as in ``loops.runs.list``; ``scope="org"`` for another user's run.
    **options
        ``notify``, ``time_zone`` and ``interval`` as in `Panel`.
    """

    def __init__(
        self, loops: HasConfig, run_id: str, *, scope: str | None = None, team_id: str | None = None, **options: Any
    ) -> None:
        checks.path_part("run_id", run_id)
        whose, team = checks.optional_text("scope", scope), team_id_of(loops.config, team_id)
        self._failure = RunFailure(loops.config, options.get("time_zone", "local"))
        page = run_page(run_id, loops.config.address.url)
        lifetimes = CheckpointLifetimes()
        view = RunView(run_id, scope=whose, team_id=team, failure=self._failure, page=page, lifetimes=lifetimes)
        self._curves = CurvesInside(run_id)
        self._system = SystemInside(loops, run_id)
        super().__init__(
            loops, view, inside=[self._curves, SamplesInside(run_id), self._system], recorded=lifetimes, **options
        )
        self._failure.on_found = self._controller.recompose

    def snapshot_now(self) -> PanelSnapshot:  # noqa: D102 - as in the base class
        self._before_opening()
        return super().snapshot_now()

    def _lines_of_report(self) -> dict[str, str]:
        lines = {"Curves": self._curves.line} if self._curves.are_there() else {}
        run = self._controller.state.content.run
        if run is not None and any(part.what == "deployment" for part in run.parts):
            lines["System metrics"] = self._system.line
        return lines

    def _before_opening(self) -> None:
        super()._before_opening()
        if not self._failure.wait(FIRST_LOOK_SECONDS):
            return
        # What was found on another thread is composed on the poller's.
        composed = threading.Event()
        self._controller.recompose(composed.set)
        composed.wait(FIRST_LOOK_SECONDS)
