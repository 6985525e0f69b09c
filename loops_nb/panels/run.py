"""One run: its halves, its states since it was first seen, and its checkpoints as they appear."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.drawing.wording import many
from loops_nb.live import Need
from loops_nb.models import RUN_TERMINAL
from loops_nb.panels.content import Content, Memo
from loops_nb.panels.listings import size_facts
from loops_nb.panels.notices import Trouble, run_trouble
from loops_nb.panels.rows import checkpoint_row, gpus_of, is_alive, run_is_finished, state
from loops_nb.panels.stuck import is_under_way, stuck_spans
from loops_nb.panels.view import deployments_of_runs, envelope, frames
from loops_nb.panels.wire import Fact, Half, RunHead, Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from loops_nb import live
    from loops_nb.live import Board
    from loops_nb.models import Checkpoint, Deployment, Run, Sampler
    from loops_nb.panels.wire import ViewName

_SYNCING = "SYNCING"


class RunView:
    """One run.

    Parameters
    ----------
    run_id
        Its id.
    scope, team_id
        Of the listing that it is in, as in ``loops.runs.list``.
    """

    name: ViewName = "run"

    def __init__(self, run_id: str, *, scope: str | None = None, team_id: str | None = None) -> None:
        self._id = run_id
        self._runs = Need("runs", scope=scope, team_id=team_id)
        self._deployments = Need("deployments", scope=scope)
        self._checkpoints = Need("checkpoints", run_id=run_id)
        self.needs: tuple[Need, ...] = (self._runs, self._deployments, self._checkpoints)
        self.title = f"Run {run_id}"
        options = (("scope", scope), ("team", team_id))
        self.line = f"%loops watch {run_id}" + "".join(f" --{flag} {value}" for flag, value in options if value is not None)
        self._rows = Memo(checkpoint_row)

    def compose(self, board: Board, now: float) -> Content:
        """Return the head and the checkpoints."""
        run, deployment = self._run(board)
        checkpoints = board.checkpoints(self._checkpoints)
        rows = self._rows.of(checkpoints)
        if run is None:
            missing = Fact(label="not in the listing", value="the service does not list this run", tone="bad")
            return Content({"checkpoints": rows}, (missing,) if board.known(self._runs) else ())
        history = board.history(self._id)
        spans = [Span(what=s.what, status=s.status, start=s.start, until=s.until, exact=s.exact) for s in history]
        finished = run_is_finished(run, deployment)
        head = RunHead(
            id=run.id,
            name=run.name,
            base_model=run.base_model,
            halves=_halves(run, deployment, spans),
            facts=_links(run, deployment),
            timeline=spans,
            finished=finished,
        )
        facts = [*_on_its_way(run, deployment, checkpoints), *_facts(checkpoints, stuck_spans(history, now))]
        settled = finished and all(board.known(need) for need in self.needs)
        synced = all(checkpoint.sync_status != _SYNCING for checkpoint in checkpoints.values())
        over = "The run has ended and all its checkpoints are saved: nothing will change any more." if settled and synced else ""
        return Content({"checkpoints": rows}, tuple(facts), head, over)

    def troubles(self, board: Board) -> dict[str, Trouble]:
        """Return what is to be said of the run."""
        run, deployment = self._run(board)
        return {} if run is None else {run.id: run_trouble(run, deployment, board.newest_checkpoint(run.id))}

    def frame(self, board: Board) -> pd.DataFrame:
        """Return its checkpoints as ``loops.checkpoints.frame`` would."""
        frame: pd.DataFrame = frames().checkpoints_frame(envelope("checkpoints", board.checkpoints(self._checkpoints)))
        return frame

    def _run(self, board: Board) -> tuple[Run | None, Deployment | None]:
        run = board.runs.get(self._id)
        if run is None:
            return None, None
        return run, deployments_of_runs({run.id: run}, board.deployments)[run.id]


def _halves(run: Run, deployment: Deployment | None, spans: list[Span]) -> list[Half]:
    since = {span.what: span.start for span in spans if span.until is None}
    halves = [Half(what="run", id=run.id, status=state(run.status), since=since.get("run"))]
    if deployment is not None or run.deployment_id is not None:
        name = state(deployment.status) if deployment else None
        halves.append(
            Half(
                what="deployment",
                id=deployment.id if deployment else run.deployment_id,
                status=name,
                since=since.get("deployment"),
                gpus=_gpus(deployment),
            )
        )
    if run.sampler is not None:
        sampler = run.sampler
        halves.append(Half(what="sampler", id=sampler.id, status=state(sampler.status), since=since.get("sampler"), gpus=_gpus(sampler)))
    return halves


def _gpus(half: Deployment | Sampler | None) -> str:
    if half is None or not is_alive(half):
        return ""
    count, kind = gpus_of(half), half.instance_type.gpu_type if half.instance_type else None
    return "" if not count else f"{count} x {kind}" if kind else many(count, "GPU")


def _links(run: Run, deployment: Deployment | None) -> list[Fact]:
    pairs = (
        ("session", run.session_id),
        ("deployment", run.deployment_id or (deployment.id if deployment else None)),
        ("sampler", run.sampler.id if run.sampler else None),
        ("trainer URL", run.base_url),
        ("started from", run.base_checkpoint),
        ("LoRA configuration", run.lora_config_version),
    )
    facts = [Fact(label=label, value=value, code=value) for label, value in pairs if value]
    if run.user is not None and run.user.email:
        facts.append(Fact(label="owner", value=run.user.email))
    if run.deployment_id is None and deployment is None and state(run.status) not in RUN_TERMINAL:
        facts.append(Fact(label="capacity", value="serverless, or not told"))
    return facts


def _on_its_way(run: Run, deployment: Deployment | None, checkpoints: Mapping[str, Checkpoint]) -> list[Fact]:
    """Return in words what is not up yet; since when stands with its state."""
    if state(run.status) in RUN_TERMINAL:
        return []
    halves = (("trainer", deployment), ("sampler", run.sampler))
    coming = [f"{what} ({state(half.status)})" for what, half in halves if half is not None and is_under_way(state(half.status))]
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
