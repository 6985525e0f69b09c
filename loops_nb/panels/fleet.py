"""Panel of all runs with their trainers and samplers, standalone samplers, and the GPUs that they hold."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.api.gpus import (
    GpuUsage,
    is_serverless,
    is_serverless_run,
    run_is_finished,
    total_usage,
    usage_of,
    usage_of_run,
)
from loops_nb.api.pairing import deployments_of_runs, serves
from loops_nb.api.states import RUN_TERMINAL, SAMPLER_TERMINAL, is_in_transition, status_name
from loops_nb.client import checks
from loops_nb.client.teams import team_id_of
from loops_nb.frames import runs_frame
from loops_nb.live import Query, stuck_spans
from loops_nb.panels.columns import run_row, sampler_row
from loops_nb.panels.listed_prices import ListedPrices, money_facts
from loops_nb.panels.messages import Fact
from loops_nb.panels.notices import Announcement, deletion_announcement, run_announcement, sampler_announcement
from loops_nb.panels.panel import Panel
from loops_nb.panels.recorded_runs import RunRecords
from loops_nb.panels.view import envelope
from loops_nb.panels.view_model import Memo, ViewModel
from loops_nb.render.formatting import first_and_more, many

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd

    from loops_nb.api.costs import PriceList
    from loops_nb.api.models import Checkpoint, Deployment, Run, Sampler
    from loops_nb.client.config import HasConfig
    from loops_nb.live import Snapshot
    from loops_nb.panels.columns import RecordedRun
    from loops_nb.panels.messages import Row, ViewName

_MOST_NAMED = 3
#: How long a panel that has its listings waits for the prices before it is shown without.
PRICES_SECONDS = 0.5


class _Entry(NamedTuple):
    """What is derived from one run or one standalone sampler alone; kept until the run or the sampler changes.

    Parameters
    ----------
    serving_id : str or None
        The deployment that is there for the run.
    usage : tuple of GpuUsage
        The GPUs that it holds.
    is_serverless : bool
        Whether it is on shared capacity.
    """

    row: Row
    announcement: Announcement
    is_finished: bool
    is_in_transition: bool
    serving_id: str | None
    usage: tuple[GpuUsage, ...]
    is_serverless: bool


class FleetView:
    """Everything that the caller, or with ``scope="org"`` the organisation, has.

    Parameters
    ----------
    scope, team_id
        As in ``loops.runs.list``.
    base_model
        Only runs and samplers of this base model.
    recorded
        Returns what is recorded of runs on this machine, by their ids; None where nothing is.
    prices
        Returns the prices of instance types, or None as long as they are not known.
    """

    name: ViewName = "fleet"

    def __init__(
        self,
        *,
        scope: str | None = None,
        team_id: str | None = None,
        base_model: str | None = None,
        recorded: Callable[[], Mapping[str, RecordedRun]] | None = None,
        prices: Callable[[], PriceList | None] = lambda: None,
    ) -> None:
        self._base_model = base_model
        self._prices = prices
        self._recorded = recorded
        self.queries: tuple[Query, ...] = (
            Query("runs", scope=scope, team_id=team_id),
            Query("deployments", scope=scope),
            Query("samplers", scope=scope, team_id=team_id),
            Query("checkpoints", scope=scope, team_id=team_id),
        )
        self.title: str = "Runs and samplers" if base_model is None else f"Runs and samplers of {base_model}"
        options = (("scope", scope), ("team", team_id), ("base-model", base_model))
        self.line: str = "%loops watch" + "".join(f" --{flag} {value}" for flag, value in options if value is not None)
        self._runs, self._samplers = Memo(_run_entry), Memo(_sampler_entry)
        self._announcements: dict[str, Announcement] = {}
        self._listed: dict[str, Run] = {}
        self._deleted: dict[str, Announcement] = {}

    def compose(self, snapshot: Snapshot, now: float) -> ViewModel:
        """Return the rows and the summary."""
        runs, deployments, samplers = self._things(snapshot)
        paired = deployments_of_runs(runs, deployments)
        # Only what is derived from a single run is kept between looks; sums over a thousand runs take a millisecond.
        recorded = self._recorded() if self._recorded is not None else {}
        of_runs = self._runs.of(runs, paired, snapshot.newest_checkpoints, recorded)
        alone = self._samplers.of(samplers)
        self._note_deletions(snapshot, runs)
        self._announcements = self._deleted | {
            key: entry.announcement for entries in (of_runs, alone) for key, entry in entries.items()
        }
        facts = [_count_of_alive("runs alive", of_runs)]
        if samplers:
            facts.append(_count_of_alive("standalone samplers alive", alone))
        facts += _gpu_facts(deployments, paired, of_runs, alone, self._prices())
        shared = sum(entry.is_serverless and not entry.is_finished for of in (of_runs, alone) for entry in of.values())
        if shared:
            facts.append(Fact(label="serverless, billed by tokens", value=f"{shared:,}"))
        moving = [key for key, entry in of_runs.items() if entry.is_in_transition]
        if moving:
            facts.append(Fact(label="deploying", value=many(len(moving), "run"), tone="busy"))
        stuck = [key for key in moving if stuck_spans(snapshot.history(key), now)]
        if stuck:
            facts.append(Fact(label="stuck", value=first_and_more(stuck, _MOST_NAMED), tone="bad"))
        # Rows of what did not change are the same objects as before.
        return ViewModel({"runs": _rows(of_runs), "samplers": _rows(alone)}, tuple(facts))

    def announcements(self, snapshot: Snapshot) -> dict[str, Announcement]:  # noqa: ARG002 - `compose` has just looked at it
        """Return the announcements of runs and standalone samplers."""
        return self._announcements

    def frame(self, snapshot: Snapshot) -> pd.DataFrame:
        """Return the runs as ``loops.runs.frame`` would."""
        runs, deployments, _ = self._things(snapshot)
        return runs_frame(envelope("runs", runs), deployments=envelope("deployments", deployments))

    def _note_deletions(self, snapshot: Snapshot, runs: Mapping[str, Run]) -> None:
        """Take note of runs that were listed and are in a complete listing no more: only their deletion does that."""
        listing = self.queries[0]
        if not snapshot.is_known(listing) or snapshot.is_refused(listing):
            return
        gone = {key: deletion_announcement(run) for key, run in self._listed.items() if key not in runs}
        self._deleted = {key: said for key, said in (self._deleted | gone).items() if key not in runs}
        self._listed = dict(runs)

    def _things(self, snapshot: Snapshot) -> tuple[Mapping[str, Run], Mapping[str, Deployment], dict[str, Sampler]]:
        runs, deployments, samplers = snapshot.runs, snapshot.deployments, snapshot.samplers
        # Before anything is left out: a sampler of a run that is not shown does not stand alone.
        owners: list[Run | Deployment] = [*runs.values(), *deployments.values()]
        paired = {owner.sampler.id for owner in owners if owner.sampler is not None}
        samplers = {key: found for key, found in samplers.items() if key not in paired}
        model = self._base_model
        if model is not None:
            runs = {key: run for key, run in runs.items() if run.base_model == model}
            deployments = {key: found for key, found in deployments.items() if found.base_model == model}
            samplers = {key: found for key, found in samplers.items() if found.base_model == model}
        return runs, deployments, samplers


def _gpu_facts(
    deployments: Mapping[str, Deployment],
    paired: Mapping[str, Deployment | None],
    of_runs: Mapping[str, _Entry],
    alone: Mapping[str, _Entry],
    prices: PriceList | None,
) -> Iterable[Fact]:
    served = {entry.serving_id for entry in of_runs.values()}
    unserved = {
        key: usage_of([found, found.sampler], in_use=None) for key, found in deployments.items() if key not in served
    }
    claims = [entry.usage for entry in of_runs.values()]
    claims += unserved.values()
    claims += [entry.usage for entry in alone.values()]
    usages = [usage for claim in claims for usage in claim]
    totals = total_usage(usages)
    yield Fact(label="GPUs in use", value=f"{totals.in_use:,}")
    # Held, and known to have nothing active on them: what may be given back.
    yield Fact(label="GPUs idle", value=f"{totals.idle:,}", tone="bad" if totals.idle else None)
    if totals.unexplained:
        yield Fact(label="GPUs that no listed run explains", value=f"{totals.unexplained:,}")
    if totals.parts_without_count:
        yield Fact(label="alive on hardware not told", value=f"{totals.parts_without_count:,}")
    yield from money_facts(usages, prices)
    known = {found.id for found in paired.values() if found is not None}
    without_run = sum(bool(usage) and key not in known for key, usage in unserved.items())
    if without_run:
        yield Fact(label="alive without a run here", value=many(without_run, "deployment"))


def _run_entry(
    run: Run, deployment: Deployment | None, newest: Checkpoint | None, recorded: RecordedRun | None
) -> _Entry:
    finished = run_is_finished(run, deployment)
    moving = not finished and any(is_in_transition(status_name(part)) for part in (deployment, run.sampler))
    serving_id = deployment.id if deployment is not None and serves(deployment, run) else None
    usage = usage_of_run(run, deployment, in_use=_is_in_use(run, deployment))
    announcement = run_announcement(run, deployment, newest)
    row = run_row(run, deployment, newest, recorded)
    return _Entry(row, announcement, finished, moving, serving_id, usage, is_serverless_run(run, deployment))


def _is_in_use(run: Run, deployment: Deployment | None) -> bool | None:
    if status_name(run) not in RUN_TERMINAL:
        return True
    if deployment is not None and deployment.active_run_id is None and deployment.latest_run_id is None:
        # Where the service does not say which run a deployment serves, it may serve one that is not listed.
        return None
    return False


def _sampler_entry(sampler: Sampler) -> _Entry:
    status = status_name(sampler)
    usage = usage_of([sampler], in_use=True)
    row, announcement = sampler_row(sampler, None), sampler_announcement(sampler)
    finished, moving = status in SAMPLER_TERMINAL, is_in_transition(status)
    return _Entry(row, announcement, finished, moving, None, usage, is_serverless(sampler))


def _rows(entries: Mapping[str, _Entry]) -> dict[str, Row]:
    return {key: entry.row for key, entry in entries.items()}


def _count_of_alive(label: str, entries: Mapping[str, _Entry]) -> Fact:
    alive = sum(not entry.is_finished for entry in entries.values())
    return Fact(label=label, value=f"{alive:,} of {len(entries):,}", tone="good" if alive else None)


class FleetPanel(Panel):
    """All runs with the states of trainer and sampler, standalone samplers below, the GPUs held and their price.

    Of a run that this machine has recorded also the last loss, the last step and a sparkline.

    Stands on ``GET /v1/loops/runs``, ``/samplers``, ``/deployments`` and ``/checkpoints``, one request each an
    interval, and on one ``GET /v1/instance_type_prices``.

    Parameters
    ----------
    loops : Loops or AsyncLoops
        The connection.
    base_model : str or None, default None
        Only runs and samplers of this base model.
    scope : str or None, default None
        ``org`` for the whole organisation's.
    team_id : str or None, default None
        Only those of this team.
    **options
        ``notify``, ``time_zone`` and ``interval`` as in `Panel`.
    """

    def __init__(
        self,
        loops: HasConfig,
        *,
        base_model: str | None = None,
        scope: str | None = None,
        team_id: str | None = None,
        **options: Any,
    ) -> None:
        model, whose = checks.optional_text("base_model", base_model), checks.optional_text("scope", scope)
        team = team_id_of(loops.config, team_id)
        recorded = RunRecords()
        self._prices = ListedPrices()
        view = self._view(scope=whose, team_id=team, base_model=model, recorded=recorded.read, prices=self._prices.read)
        super().__init__(loops, view, recorded=recorded, **options)
        self._prices.on_news = self._controller.recompose
        # They may have arrived a moment ago.
        self._controller.recompose()

    def _view(self, **options: Any) -> FleetView:
        """Return what is shown."""
        return FleetView(**options)

    def _before_opening(self) -> None:
        self._prices.request(self._poller)
        super()._before_opening()
        self._prices.wait(PRICES_SECONDS)
        composed = threading.Event()
        self._controller.recompose(composed.set)
        composed.wait(PRICES_SECONDS)
