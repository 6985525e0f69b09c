"""The fleet: every run with both its halves, standalone samplers, and what all of it holds."""

from __future__ import annotations

from collections import Counter
from itertools import chain, compress
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from loops_nb.drawing.wording import many
from loops_nb.live import Need
from loops_nb.models import RUN_TERMINAL, SAMPLER_TERMINAL
from loops_nb.panels.content import Content, Memo
from loops_nb.panels.notices import Trouble, run_trouble, sampler_trouble
from loops_nb.panels.rows import gpus_of, is_alive, is_serverless, run_is_finished, run_row, sampler_row, serves, state
from loops_nb.panels.stuck import is_under_way, stuck_spans
from loops_nb.panels.view import deployments_of_runs, envelope, frames
from loops_nb.panels.wire import Fact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import pandas as pd

    from loops_nb.live import Board
    from loops_nb.models import Checkpoint, Deployment, Run, Sampler
    from loops_nb.panels.wire import Row, ViewName

T = TypeVar("T")

_MOST_NAMED = 3


class _Seen(NamedTuple):
    """What is worked out of one run or one standalone sampler, once for as long as it does not change."""

    row: Row
    trouble: Trouble
    is_finished: bool
    is_under_way: bool
    is_served: bool


class _Held(NamedTuple):
    """What one half holds: its GPUs if they are told, and whether something active is behind it."""

    gpus: int | None
    in_use: bool


_row, _trouble = attrgetter("row"), attrgetter("trouble")
_is_finished, _is_under_way, _is_served = attrgetter("is_finished"), attrgetter("is_under_way"), attrgetter("is_served")


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
        self._seen_runs = Memo(_seen_run)
        self._seen_samplers = Memo(_seen_sampler)
        self._held = Memo(_held_by_deployment)
        self._troubles: dict[str, Trouble] = {}

    def compose(self, board: Board, now: float) -> Content:
        """Return the rows and the summary."""
        runs, deployments, samplers = self._things(board)
        serving = deployments_of_runs(runs, deployments)
        of_runs = self._seen_runs.of(runs, runs.values(), serving, map(board.newest_checkpoints.get, runs))
        alone = self._seen_samplers.of(samplers, samplers.values())
        self._troubles = {**_each(_trouble, of_runs), **_each(_trouble, alone)}
        facts = [_count("runs alive", of_runs)]
        if alone:
            facts.append(_count("standalone samplers alive", alone))
        served = compress(zip(serving, runs.values(), strict=True), map(_is_served, of_runs.values()))
        facts += self._gpu_facts(runs, deployments, samplers, serving, served)
        stuck = [key for key in compress(of_runs, map(_is_under_way, of_runs.values())) if stuck_spans(board.history(key), now)]
        if stuck:
            more = f" and {len(stuck) - _MOST_NAMED:,} more" if len(stuck) > _MOST_NAMED else ""
            facts.append(Fact(label="stuck", value=", ".join(stuck[:_MOST_NAMED]) + more, tone="bad"))
        # Rows of what did not change are the same objects as before.
        return Content({"runs": _each(_row, of_runs), "samplers": _each(_row, alone)}, tuple(facts))

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
        if self._base_model is not None:
            runs = {key: run for key, run in runs.items() if run.base_model == self._base_model}
            deployments = {key: found for key, found in deployments.items() if found.base_model == self._base_model}
            samplers = {key: found for key, found in samplers.items() if found.base_model == self._base_model}
        if not samplers:
            return runs, deployments, samplers
        paired = {run.sampler.id for run in runs.values() if run.sampler is not None}
        paired |= {found.sampler.id for found in deployments.values() if found.sampler is not None}
        return runs, deployments, {key: found for key, found in samplers.items() if key not in paired}

    def _gpu_facts(
        self,
        runs: Mapping[str, Run],
        deployments: Mapping[str, Deployment],
        samplers: Mapping[str, Sampler],
        serving: Sequence[Deployment | None],
        served: Iterable[tuple[Deployment | None, Run]],
    ) -> Iterable[Fact]:
        # Of several runs, the first.
        run_of = {deployment.id: run for deployment, run in reversed(list(served)) if deployment is not None}
        by_deployment = self._held.of(deployments, deployments.values(), map(run_of.get, deployments))
        held = dict(chain.from_iterable(by_deployment.values()))
        for run in runs.values():
            if run.deployment_id is None and run.sampler is not None and run.sampler.id not in held:
                held.update(_halves([run.sampler], in_use=state(run.status) not in RUN_TERMINAL))
        held.update(_halves(samplers.values(), in_use=True))
        # Thousands of halves are of few sizes.
        counts = Counter(held.values())
        idle = _gpus(counts, in_use=False)
        yield Fact(label="GPUs in use", value=f"{_gpus(counts, in_use=True):,}")
        # Held, with nothing active on them: what a person may want to give back.
        yield Fact(label="GPUs idle", value=f"{idle:,}", tone="bad" if idle else None)
        untold = sum(count for half, count in counts.items() if half.gpus is None)
        if untold:
            yield Fact(label="alive on hardware not told", value=f"{untold:,}")
        known = {deployment.id for deployment in serving if deployment is not None}
        homeless = sum(bool(by_deployment[key]) for key in by_deployment.keys() - known)
        if homeless:
            yield Fact(label="alive without a run here", value=many(homeless, "deployment"), tone="bad")


def _seen_run(run: Run, deployment: Deployment | None, newest: Checkpoint | None) -> _Seen:
    halves = (deployment, run.sampler)
    finished = run_is_finished(run, deployment)
    moves = not finished and any(is_under_way(state(half.status)) for half in halves if half is not None)
    served = deployment is not None and serves(deployment, run)
    return _Seen(run_row(run, deployment, newest), run_trouble(run, deployment, newest), finished, moves, served)


def _seen_sampler(sampler: Sampler) -> _Seen:
    finished, moves = state(sampler.status) in SAMPLER_TERMINAL, is_under_way(state(sampler.status))
    return _Seen(sampler_row(sampler, None), sampler_trouble(sampler), finished, moves, is_served=False)


def _each(part: Callable[[_Seen], T], seen: Mapping[str, _Seen]) -> dict[str, T]:
    return dict(zip(seen, map(part, seen.values()), strict=True))


def _count(label: str, seen: Mapping[str, _Seen]) -> Fact:
    alive = len(seen) - sum(map(_is_finished, seen.values()))
    return Fact(label=label, value=f"{alive:,} of {len(seen):,}", tone="good" if alive else None)


def _gpus(counts: Mapping[_Held, int], *, in_use: bool) -> int:
    return sum(count * (half.gpus or 0) for half, count in counts.items() if half.in_use is in_use)


def _held_by_deployment(deployment: Deployment, run: Run | None) -> tuple[tuple[str, _Held], ...]:
    in_use = run is not None and state(run.status) not in RUN_TERMINAL
    return tuple(_halves([deployment, deployment.sampler or (run.sampler if run is not None else None)], in_use=in_use))


def _halves(halves: Iterable[Deployment | Sampler | None], *, in_use: bool) -> Iterable[tuple[str, _Held]]:
    for half in halves:
        if half is not None and is_alive(half) and not is_serverless(half):
            # What is on its way down needs nobody any more.
            yield half.id, _Held(gpus_of(half), in_use or state(half.status) == "DEACTIVATING")
