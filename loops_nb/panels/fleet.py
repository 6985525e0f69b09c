"""The fleet: every run with both its halves, standalone samplers, and what all of it holds."""

from __future__ import annotations

from itertools import compress
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.drawing.wording import many
from loops_nb.live import Need
from loops_nb.models import RUN_TERMINAL, SAMPLER_TERMINAL
from loops_nb.panels.content import Content, Derived, Memo
from loops_nb.panels.held import Holdings, halves_of
from loops_nb.panels.notices import Trouble, run_trouble, sampler_trouble
from loops_nb.panels.rows import run_is_finished, run_row, sampler_row, serves, state
from loops_nb.panels.stuck import is_under_way, stuck_spans
from loops_nb.panels.view import Pairing, envelope, frames
from loops_nb.panels.wire import Fact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd

    from loops_nb.live import Board
    from loops_nb.models import Checkpoint, Deployment, Run, Sampler
    from loops_nb.panels.held import Halves, Held
    from loops_nb.panels.wire import Row, ViewName

_MOST_NAMED = 3


class _Seen(NamedTuple):
    """What is worked out of one run or one standalone sampler, once for as long as it does not change.

    Parameters
    ----------
    serves
        The deployment that is there for the run.
    halves
        What is held for it.
    """

    row: Row
    trouble: Trouble
    is_finished: bool
    is_under_way: bool
    serves: str | None
    halves: Halves


#: By name of what is seen, by id.
_Columns = dict[str, dict[str, Any]]


class _Table:
    """What is shown of one table, part by part."""

    def __init__(self, seen: Callable[..., _Seen]) -> None:
        self._seen = Memo(seen)
        self._parts = {name: Derived(attrgetter(name)) for name in _Seen._fields}

    def of(self, *parts: Mapping[str, Any]) -> _Columns:
        """Return the rows, the troubles and so on, each by id."""
        seen = self._seen.of(*parts)
        return {name: part.of(seen, self._seen.fresh) for name, part in self._parts.items()}


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
        self.needs: tuple[Need, ...] = (
            Need("runs", scope=scope, team_id=team_id),
            Need("deployments", scope=scope),
            Need("samplers", scope=scope, team_id=team_id),
            Need("checkpoints", scope=scope, team_id=team_id),
        )
        self.title = "Runs and samplers" if base_model is None else f"Runs and samplers of {base_model}"
        options = (("scope", scope), ("team", team_id), ("base-model", base_model))
        self.line = "%loops watch" + "".join(f" --{flag} {value}" for flag, value in options if value is not None)
        self._runs, self._samplers = _Table(_seen_run), _Table(_seen_sampler)
        self._pairing = Pairing()
        self._claimed_by_deployments = Memo(_halves_of_deployment)
        self._holdings = Holdings()
        self._troubles: dict[str, Trouble] = {}

    def compose(self, board: Board, now: float) -> Content:
        """Return the rows and the summary."""
        runs, deployments, samplers = self._things(board)
        serving = self._pairing.of(runs, deployments)
        of_runs, alone = self._runs.of(runs, serving, board.newest_checkpoints), self._samplers.of(samplers)
        self._troubles = {**of_runs["trouble"], **alone["trouble"]}
        facts = [_count("runs alive", of_runs["is_finished"])]
        if samplers:
            facts.append(_count("standalone samplers alive", alone["is_finished"]))
        facts += self._gpu_facts(deployments, serving, of_runs, alone)
        moving = list(compress(runs, of_runs["is_under_way"].values()))
        if moving:
            facts.append(Fact(label="deploying", value=many(len(moving), "run"), tone="busy"))
        stuck = [key for key in moving if stuck_spans(board.history(key), now)]
        if stuck:
            more = f" and {len(stuck) - _MOST_NAMED:,} more" if len(stuck) > _MOST_NAMED else ""
            facts.append(Fact(label="stuck", value=", ".join(stuck[:_MOST_NAMED]) + more, tone="bad"))
        # Rows of what did not change are the same objects as before.
        return Content({"runs": of_runs["row"], "samplers": alone["row"]}, tuple(facts))

    def troubles(self, board: Board) -> dict[str, Trouble]:  # noqa: ARG002 - `compose` has just looked at it
        """Return what is to be said of runs and standalone samplers."""
        return self._troubles

    def frame(self, board: Board) -> pd.DataFrame:
        """Return the runs as ``loops.runs.frame`` would."""
        runs, deployments, _ = self._things(board)
        frame: pd.DataFrame = frames().runs_frame(envelope("runs", runs), deployments=envelope("deployments", deployments))
        return frame

    def _things(self, board: Board) -> tuple[Mapping[str, Run], Mapping[str, Deployment], dict[str, Sampler]]:
        runs, deployments, samplers = board.runs, board.deployments, board.samplers
        # Before anything is left out: a sampler of a run that is not shown does not stand alone.
        paired = {run.sampler.id for run in runs.values() if run.sampler is not None} if samplers else set()
        paired |= {found.sampler.id for found in deployments.values() if found.sampler is not None} if samplers else set()
        if self._base_model is not None:
            runs = {key: run for key, run in runs.items() if run.base_model == self._base_model}
            deployments = {key: found for key, found in deployments.items() if found.base_model == self._base_model}
            samplers = {key: found for key, found in samplers.items() if found.base_model == self._base_model}
        if not samplers:
            return runs, deployments, samplers
        return runs, deployments, {key: found for key, found in samplers.items() if key not in paired}

    def _gpu_facts(
        self,
        deployments: Mapping[str, Deployment],
        serving: Mapping[str, Deployment | None],
        of_runs: _Columns,
        alone: _Columns,
    ) -> Iterable[Fact]:
        served = set(of_runs["serves"].values())
        unserved = {key: deployments[key] for key in deployments if key not in served} if deployments.keys() - served else {}
        claimed = self._claimed_by_deployments.of(unserved)
        held = self._holdings.count(of_runs["halves"], claimed, alone["halves"])
        idle = _gpus(held, in_use=False)
        yield Fact(label="GPUs in use", value=f"{_gpus(held, in_use=True):,}")
        # Held, and known to have nothing active on them: what may be given back.
        yield Fact(label="GPUs idle", value=f"{idle:,}", tone="bad" if idle else None)
        unexplained = _gpus(held, in_use=None)
        if unexplained:
            yield Fact(label="GPUs that no listed run explains", value=f"{unexplained:,}")
        untold = sum(count for half, count in held.items() if half.gpus is None)
        if untold:
            yield Fact(label="alive on hardware not told", value=f"{untold:,}")
        ownerless = [key for key, halves in claimed.items() if halves]
        known = {found.id for found in serving.values() if found is not None} if ownerless else set()
        homeless = sum(key not in known for key in ownerless)
        if homeless:
            yield Fact(label="alive without a run here", value=many(homeless, "deployment"))


def _seen_run(run: Run, deployment: Deployment | None, newest: Checkpoint | None) -> _Seen:
    finished = run_is_finished(run, deployment)
    moves = not finished and any(is_under_way(state(half.status)) for half in (deployment, run.sampler) if half is not None)
    serves_it = deployment.id if deployment is not None and serves(deployment, run) else None
    halves: list[Deployment | Sampler | None] = []
    if deployment is not None and serves_it is not None:
        halves = [deployment, deployment.sampler or run.sampler]
    elif run.deployment_id is None:
        halves = [run.sampler]
    held = halves_of(halves, in_use=_is_in_use(run, deployment))
    return _Seen(run_row(run, deployment, newest), run_trouble(run, deployment, newest), finished, moves, serves_it, held)


def _is_in_use(run: Run, deployment: Deployment | None) -> bool | None:
    if state(run.status) not in RUN_TERMINAL:
        return True
    # Where the service does not say which run a deployment serves, it may serve one that is not listed.
    return None if deployment is not None and deployment.active_run_id is None and deployment.latest_run_id is None else False


def _seen_sampler(sampler: Sampler) -> _Seen:
    finished, moves = state(sampler.status) in SAMPLER_TERMINAL, is_under_way(state(sampler.status))
    held = halves_of([sampler], in_use=True)
    return _Seen(sampler_row(sampler, None), sampler_trouble(sampler), finished, moves, None, held)


def _halves_of_deployment(deployment: Deployment) -> Halves:
    return halves_of([deployment, deployment.sampler], in_use=None)


def _count(label: str, finished: Mapping[str, bool]) -> Fact:
    alive = len(finished) - sum(finished.values())
    return Fact(label=label, value=f"{alive:,} of {len(finished):,}", tone="good" if alive else None)


def _gpus(held: Mapping[Held, int], *, in_use: bool | None) -> int:
    return sum(count * (half.gpus or 0) for half, count in held.items() if half.in_use is in_use)
