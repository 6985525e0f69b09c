"""The fleet: every run with both its halves, standalone samplers, and what all of it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.drawing.wording import many
from loops_nb.live import Need
from loops_nb.models import RUN_TERMINAL
from loops_nb.panels.content import Content, Memo
from loops_nb.panels.notices import Trouble, run_trouble, sampler_trouble
from loops_nb.panels.rows import cell, gpus_of, is_alive, is_serverless, run_row, sampler_row, serves, state
from loops_nb.panels.stuck import stuck_spans
from loops_nb.panels.view import deployments_of_runs, envelope, frames
from loops_nb.panels.wire import Fact

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd

    from loops_nb.live import Board
    from loops_nb.models import Deployment, Run, Sampler
    from loops_nb.panels.wire import Row, ViewName


class FleetView:
    """Everything that the caller, or with ``scope="org"`` the organisation, has.

    Parameters
    ----------
    scope, team_id
        As in ``loops.runs.list``.
    base_model
        Only runs and samplers of this base model.
    """

    name: ViewName = "fleet"

    def __init__(self, *, scope: str | None = None, team_id: str | None = None, base_model: str | None = None) -> None:
        self._base_model = base_model
        self._runs = Need("runs", scope=scope, team_id=team_id)
        self._samplers = Need("samplers", scope=scope, team_id=team_id)
        self._deployments = Need("deployments", scope=scope)
        self._checkpoints = Need("checkpoints", scope=scope, team_id=team_id)
        self.needs: tuple[Need, ...] = (self._runs, self._deployments, self._samplers, self._checkpoints)
        self.title = "Runs and samplers" if base_model is None else f"Runs and samplers of {base_model}"
        options = (("scope", scope), ("team", team_id), ("base-model", base_model))
        self.line = "%loops watch" + "".join(f" --{flag} {value}" for flag, value in options if value is not None)
        self._run_rows = Memo(run_row)
        self._sampler_rows = Memo(sampler_row)

    def compose(self, board: Board, now: float) -> Content:
        """Return the rows and the summary."""
        runs, deployments, samplers = self._things(board)
        serving = deployments_of_runs(runs, deployments)
        rows = self._run_rows.rows((key, (run, serving[key], board.newest_checkpoint(key))) for key, run in runs.items())
        alone = self._sampler_rows.rows((key, (sampler, None)) for key, sampler in samplers.items())
        facts = _facts(runs, rows, deployments, samplers, serving)
        stuck = [key for key in runs if not cell(rows[key], "runs", "finished") and stuck_spans(board.history(key), now)]
        if stuck:
            named = ", ".join(stuck[:3]) + (f" and {len(stuck) - 3} more" if len(stuck) > 3 else "")  # noqa: PLR2004 - as many as fit
            facts.append(Fact(label="stuck", value=named, tone="bad"))
        return Content({"runs": rows, "samplers": alone}, tuple(facts))

    def troubles(self, board: Board) -> dict[str, Trouble]:
        """Return what is to be said of runs and standalone samplers."""
        runs, deployments, samplers = self._things(board)
        serving = deployments_of_runs(runs, deployments)
        found = {key: run_trouble(run, serving[key], board.newest_checkpoint(key)) for key, run in runs.items()}
        return found | {key: sampler_trouble(sampler) for key, sampler in samplers.items()}

    def frame(self, board: Board) -> pd.DataFrame:
        """Return the runs as ``loops.runs.frame`` would."""
        runs, deployments, _ = self._things(board)
        frame: pd.DataFrame = frames().runs_frame(envelope("runs", runs), deployments=envelope("deployments", deployments))
        return frame

    def _things(self, board: Board) -> tuple[Mapping[str, Run], Mapping[str, Deployment], dict[str, Sampler]]:
        runs, deployments, samplers = board.runs, board.deployments, board.samplers
        if self._base_model is not None:
            runs = {key: run for key, run in runs.items() if run.base_model == self._base_model}
            deployments = {key: found for key, found in deployments.items() if found.base_model == self._base_model}
            samplers = {key: found for key, found in samplers.items() if found.base_model == self._base_model}
        paired = {run.sampler.id for run in runs.values() if run.sampler is not None}
        paired |= {found.sampler.id for found in deployments.values() if found.sampler is not None}
        return runs, deployments, {key: found for key, found in samplers.items() if key not in paired}


def _facts(
    runs: Mapping[str, Run],
    rows: Mapping[str, Row],
    deployments: Mapping[str, Deployment],
    samplers: Mapping[str, Sampler],
    serving: Mapping[str, Deployment | None],
) -> list[Fact]:
    alive = sum(not cell(row, "runs", "finished") for row in rows.values())
    facts = [Fact(label="runs alive", value=f"{alive:,} of {len(rows):,}", tone="good" if alive else None)]
    if samplers:
        up = sum(is_alive(sampler) for sampler in samplers.values())
        facts.append(Fact(label="standalone samplers alive", value=f"{up:,} of {len(samplers):,}", tone="good" if up else None))
    busy, idle, unknown = _gpus(runs, deployments, samplers, serving)
    facts.append(Fact(label="GPUs in use", value=f"{busy:,}"))
    # Held, with nothing active on them: what a person may want to give back.
    facts.append(Fact(label="GPUs idle", value=f"{idle:,}", tone="bad" if idle else None))
    if unknown:
        facts.append(Fact(label="alive on hardware not told", value=f"{unknown:,}"))
    homeless = {key for key, found in deployments.items() if is_alive(found)} - {d.id for d in serving.values() if d is not None}
    if homeless:
        facts.append(Fact(label="alive without a run here", value=many(len(homeless), "deployment"), tone="bad"))
    return facts


def _gpus(
    runs: Mapping[str, Run],
    deployments: Mapping[str, Deployment],
    samplers: Mapping[str, Sampler],
    serving: Mapping[str, Deployment | None],
) -> tuple[int, int, int]:
    """Count GPUs in use, GPUs idle, and halves alive whose hardware is not told."""
    served = {d.id: runs[key] for key, d in serving.items() if d is not None and serves(d, runs[key])}
    held: dict[str, tuple[int | None, bool]] = {}
    for key, deployment in deployments.items():
        run = served.get(key)
        in_use = run is not None and state(run.status) not in RUN_TERMINAL
        halves: Iterable[Deployment | Sampler | None] = (deployment, deployment.sampler or (run.sampler if run else None))
        for half in halves:
            if half is not None and is_alive(half) and not is_serverless(half):
                held[half.id] = (gpus_of(half), in_use)
    for run in runs.values():
        if (
            run.sampler is not None
            and run.sampler.id not in held
            and run.deployment_id is None
            and is_alive(run.sampler)
            and not is_serverless(run.sampler)
        ):
            held[run.sampler.id] = (gpus_of(run.sampler), state(run.status) not in RUN_TERMINAL)
    for key, sampler in samplers.items():
        if is_alive(sampler) and not is_serverless(sampler):
            held[key] = (gpus_of(sampler), True)
    busy = sum(count for count, in_use in held.values() if count is not None and in_use)
    idle = sum(count for count, in_use in held.values() if count is not None and not in_use)
    return busy, idle, sum(count is None for count, _ in held.values())
