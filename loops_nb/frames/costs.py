"""Frames of money: billed usage, what is held now and since when, and the size of checkpoints by age."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.api.costs import HeldMoney, PriceList, dollars, held_an_hour
from loops_nb.api.gpus import GpuUsage, sum_of_known, total_gpus, total_usage, usage_of, usage_of_run
from loops_nb.api.models import (
    Checkpoint,
    Deployment,
    InstanceType,
    ModelDeployment,
    Run,
    Sampler,
    UsageAmounts,
    UsageItem,
    UsageSummary,
)
from loops_nb.api.pairing import deployments_of_runs, serves
from loops_nb.api.states import RUN_TERMINAL, SAMPLER_ALIVE, status_name
from loops_nb.frames.attributes import NOTES_ATTR
from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.computed import computed_frame, register_kind
from loops_nb.render.formatting import many, money, size

if TYPE_CHECKING:
    import pandas as pd

_STRING, _WORD, _COUNT, _NUMBER, _TIME = Dtype.STRING, Dtype.WORD, Dtype.COUNT, Dtype.NUMBER, Dtype.TIME
_PARTS = ("dedicated", "training", "model_apis")
_KINDS = ("MODEL_DEPLOYMENT", "CHAINLET", "TRAINING_JOB", "LOOPS_TRAINER", "LOOPS_SAMPLER")
_MILLION = 1_000_000
_HOUR = timedelta(hours=1)
#: Ages of checkpoints: the name of each group, and the age from which it begins.
_AGES = (("under 1 day", 0), ("1 to 7 days", 1), ("7 to 30 days", 7), ("over 30 days", 30))
_UNKNOWN_AGE = "unknown"

USAGE = register_kind(
    Kind(
        "usage",
        many=(),
        one=(),
        columns=(
            Column("id", _STRING, (), "Id of the billed resource; missing for a model API."),
            Column("part", _WORD, (), "Part of the usage summary that lists it.", _PARTS),
            Column("kind", _WORD, (), "What was billed.", _KINDS),
            Column("name", _STRING, (), "Its name; of a model API, the model."),
            Column("base_model", _STRING, (), "Base model of a Loops trainer or sampler."),
            Column("model_id", _STRING, (), "Model that a deployment belongs to."),
            Column("instance_type", _STRING, (), "Hardware, as the service writes it."),
            Column("date", _STRING, (), "Day in UTC (2026-07-01); only with daily=True, and where the service has it."),
            Column("usd", _NUMBER, (), "US dollars after credits."),
            Column("usd_compute", _NUMBER, (), "The part for hardware."),
            Column("usd_surcharge", _NUMBER, (), "The part for the distribution of models."),
            Column("minutes", _COUNT, (), "Minutes."),
            Column("requests", _COUNT, (), "Inference requests."),
            Column("input_tokens", _COUNT, (), "Input tokens of a model API."),
            Column("output_tokens", _COUNT, (), "Output tokens of a model API."),
            Column("cached_input_tokens", _COUNT, (), "Input tokens that came from a cache."),
            Column("is_deleted", Dtype.FLAG, (), "Whether the resource is gone."),
            Column("team_name", _STRING, (), "Team; only in organisations with several."),
        ),
    )
)
COSTS = register_kind(
    Kind(
        "costs",
        many=(),
        one=(),
        columns=(
            Column(
                "id",
                _STRING,
                (),
                "Id of the run, the standalone sampler, the deployment without a listed run, or the deployed model.",
            ),
            Column("kind", _WORD, (), "What it is.", ("run", "sampler", "deployment", "model")),
            Column("name", _STRING, (), "Name of the run or the model."),
            Column("gpu_count", _COUNT, (), "GPUs that it holds now; missing where the service does not say."),
            Column("usd_per_hour", _NUMBER, (), "Price of what it holds now; missing where a price is not listed."),
            Column(
                "usd_at_most",
                _NUMBER,
                (),
                "usd_per_hour times the hours since it was created: an upper bound, as it may have slept. Missing for"
                " what holds nothing now, because the service does not say when it ended.",
            ),
            Column(
                "usd_billed",
                _NUMBER,
                (),
                "Billed for it in the last 31 days, where the usage summary names it; a deployment that served several"
                " runs counts as a whole for its newest run.",
            ),
            Column("status", _STRING, (), "Its state."),
            Column("base_model", _STRING, (), "Hugging Face id of the base model."),
            Column("created_at", _TIME, (), "When it was created."),
            Column("minutes_billed", _COUNT, (), "The minutes of that."),
            Column("checkpoints", _COUNT, (), "Number of its checkpoints."),
            Column("checkpoint_bytes", _COUNT, (), "Size of those whose size is known, in bytes."),
            Column("oldest_checkpoint", _TIME, (), "When the oldest was saved."),
            Column("tokens_trained", _COUNT, (), "Tokens trained, as recorded on this machine."),
            Column("tokens_sampled", _COUNT, (), "Tokens sampled, as recorded on this machine."),
            Column("usd_tokens", _NUMBER, (), "Those tokens times the rates that were given; missing without a rate."),
        ),
    )
)
CHECKPOINT_SIZES = register_kind(
    Kind(
        "checkpoint_sizes",
        many=(),
        one=(),
        columns=(
            Column("run_id", _STRING, (), "Run that saved them."),
            Column("name", _STRING, (), "Name of the run; missing if the run is not listed."),
            Column("age", _WORD, (), "Time since they were saved.", (*(name for name, _ in _AGES), _UNKNOWN_AGE)),
            Column("checkpoints", _COUNT, (), "How many there are."),
            Column("total_bytes", _COUNT, (), "Size of those whose size is known, in bytes."),
            Column("without_size", _COUNT, (), "How many of them have no size in the listing."),
        ),
    )
)


class TokenCounts(NamedTuple):
    """Tokens of one run as recorded on this machine; None where nothing was recorded."""

    trained: int | None
    sampled: int | None


class TokenRates(NamedTuple):
    """US dollars for a million tokens, as the user set them; None without one."""

    trained: float | None
    sampled: float | None


NO_RATES = TokenRates(None, None)


class DeployedHardware(NamedTuple):
    """A deployed model, and what it runs on.

    Parameters
    ----------
    model_id, name : str
        The model.
    deployment : ModelDeployment
        Its deployment.
    """

    model_id: str
    name: str
    deployment: ModelDeployment


@dataclass(frozen=True)
class CostSources:
    """Everything that a frame of costs is made of.

    Parameters
    ----------
    runs, deployments, samplers : sequence
        The listings.
    prices : PriceList
        By instance type.
    now : datetime
        The present.
    billed : UsageSummary or None, default None
        Usage of the last days; None without permission to see it.
    checkpoints : sequence of Checkpoint or None, default None
        Of all listed runs; None if they were not asked for.
    tokens : mapping of str to TokenCounts
        By run what this machine has recorded.
    rates : TokenRates, default NO_RATES
        As the user set them.
    models : sequence of DeployedHardware, default ()
        Models that were deployed from this machine.
    shapes : mapping of str to InstanceType
        Instance types by name: a model deployment has no id of its own.
    unread : sequence of str, default ()
        Why prices or usage could not be read, for the notes.
    """

    runs: Sequence[Run]
    deployments: Sequence[Deployment]
    samplers: Sequence[Sampler]
    prices: PriceList
    now: datetime
    billed: UsageSummary | None = None
    checkpoints: Sequence[Checkpoint] | None = None
    tokens: Mapping[str, TokenCounts] = field(default_factory=dict)
    rates: TokenRates = NO_RATES
    models: Sequence[DeployedHardware] = ()
    shapes: Mapping[str, InstanceType] = field(default_factory=dict)
    unread: Sequence[str] = ()


def usage_frame(summary: UsageSummary, *, daily: bool = False) -> pd.DataFrame:
    """Return billed usage, one row a resource, or with ``daily`` a resource and day.

    Parameters
    ----------
    summary : UsageSummary
        The answer of ``GET /v1/billing/usage_summary``.
    daily : bool, default False
        One row for each day; a resource without days keeps one row with a missing date.

    Returns
    -------
    pandas.DataFrame
        Columns of `USAGE`, what cost most first unless by day; ``attrs`` has notes with the sums of each part.

    Examples
    --------
    >>> usage_frame(loops.billing.usage(start)).groupby("base_model").usd.sum()  # doctest: +SKIP
    """
    rows = []
    notes = []
    for name, part in _usage_parts(summary):
        total, credits_ = dollars(part.total), dollars(part.credits_used)
        if total is not None:
            spent = f", of which {money(credits_)} were credits" if credits_ else ""
            notes.append(f"{name.replace('_', ' ')}: {money(total)}{spent}.")
        for item in part.breakdown or ():
            days = item.daily if daily and item.daily else [item]
            rows += [_usage_row(name, item, day) for day in days]
    if not daily:
        rows.sort(key=lambda row: -(row["usd"] or 0.0))
    frame = computed_frame(USAGE, {column.name: [row.get(column.name) for row in rows] for column in USAGE.columns})
    frame.attrs[NOTES_ATTR] = notes
    return frame


def _usage_parts(summary: UsageSummary) -> list[tuple[str, Any]]:
    parts = (summary.dedicated_usage, summary.training_usage, summary.model_apis_usage)
    return [(name, part) for name, part in zip(_PARTS, parts, strict=True) if part is not None]


def _usage_row(part: str, item: UsageItem, amounts: UsageAmounts) -> dict[str, Any]:
    what = item.billable_resource
    return {
        "part": part,
        "id": what and what.id,
        "kind": what and what.kind,
        "name": item.model_name if what is None else what.name or what.model_name,
        "base_model": what and what.base_model,
        "model_id": what and what.model_id,
        "instance_type": what and what.instance_type,
        "date": getattr(amounts, "date", None),
        "usd": dollars(amounts.subtotal),
        "usd_compute": dollars(amounts.compute_cost),
        "usd_surcharge": dollars(amounts.surcharge_cost),
        "minutes": amounts.minutes,
        "requests": amounts.inference_requests,
        "input_tokens": amounts.input_tokens,
        "output_tokens": amounts.output_tokens,
        "cached_input_tokens": amounts.cached_input_tokens,
        "is_deleted": what and what.is_deleted,
        "team_name": what and what.team_name,
    }


class _Billed(NamedTuple):
    """Sums of the usage summary for one id; Loops resources only."""

    usd: float
    minutes: int


def _billed_by_id(summary: UsageSummary | None) -> dict[str, _Billed]:
    # The documents do not say which part lists what, nor whose id is given: all parts are read, and joined by any id.
    found: dict[str, _Billed] = {}
    for _, part in _usage_parts(summary) if summary is not None else ():
        for item in part.breakdown or ():
            what = item.billable_resource
            if what is not None and what.id:
                known = found.get(what.id, _Billed(0.0, 0))
                found[what.id] = _Billed(
                    known.usd + (dollars(item.subtotal) or 0.0), known.minutes + (item.minutes or 0)
                )
    return found


def cost_frame(sources: CostSources) -> pd.DataFrame:
    """Return what runs, standalone samplers and deployments without a listed run hold and have cost.

    Parameters
    ----------
    sources : CostSources
        Listings, prices, billed usage, checkpoints and recorded tokens.

    Returns
    -------
    pandas.DataFrame
        Columns of `COSTS`, what costs most an hour first; ``attrs`` has notes with the sums and what is not known.
    """
    runs = {run.id: run for run in sources.runs}
    deployments = {found.id: found for found in sources.deployments}
    paired = deployments_of_runs(runs, deployments)
    billed = _billed_by_id(sources.billed)
    rows = [_run_row(run, paired[key], billed, sources) for key, run in runs.items()]
    owners: list[Run | Deployment] = [*sources.runs, *sources.deployments]
    of_others = {owner.sampler.id for owner in owners if owner.sampler is not None}
    rows += [
        _row("sampler", found, usage_of([found], in_use=True), [found.id], billed, sources)
        for found in sources.samplers
        if found.id not in of_others
    ]
    served = {found.id for key, found in paired.items() if found is not None and serves(found, runs[key])}
    for found in sources.deployments:
        usage = usage_of([found, found.sampler], in_use=None)
        if found.id not in served and usage:
            rows.append(_row("deployment", found, usage, _ids_of(found), billed, sources))
    rows += [_model_row(model, billed, sources) for model in sources.models]
    rows.sort(key=lambda row: -(row["usd_per_hour"] or 0.0))
    frame = computed_frame(COSTS, {column.name: [row.get(column.name) for row in rows] for column in COSTS.columns})
    frame.attrs[NOTES_ATTR] = _notes(rows, sources)
    return frame


def _run_row(
    run: Run, deployment: Deployment | None, billed: Mapping[str, _Billed], sources: CostSources
) -> dict[str, Any]:
    usage = usage_of_run(run, deployment, in_use=status_name(run) not in RUN_TERMINAL)
    ids = [run.id]
    if deployment is not None and serves(deployment, run):
        # A deployment that has served several runs is billed as a whole: its newest run shows it.
        ids += _ids_of(deployment)
    elif run.sampler is not None and deployment is None:
        ids.append(run.sampler.id)
    row = _row("run", run, usage, ids, billed, sources)
    row["name"] = run.name
    saved = None if sources.checkpoints is None else [found for found in sources.checkpoints if found.run_id == run.id]
    if saved is not None:
        times = [found.created_at for found in saved if found.created_at is not None]
        row["checkpoints"] = len(saved)
        row["checkpoint_bytes"] = sum(found.size_bytes or 0 for found in saved)
        row["oldest_checkpoint"] = min(times).isoformat() if times else None
    counts = sources.tokens.get(run.id)
    if counts is not None:
        row["tokens_trained"], row["tokens_sampled"] = counts
        row["usd_tokens"] = _token_cost(counts, sources.rates)
    return row


def _model_row(model: DeployedHardware, billed: Mapping[str, _Billed], sources: CostSources) -> dict[str, Any]:
    found = model.deployment
    shape = sources.shapes.get(found.instance_type_name or "")
    # While it comes up, the service counts no replica yet.
    nodes = found.active_replica_count or 1
    usage: tuple[GpuUsage, ...] = ()
    if found.status in SAMPLER_ALIVE:
        gpus = None if shape is None else total_gpus(shape.gpu_count, nodes)
        held_by, shape_id = found.id or model.model_id, None if shape is None else shape.id
        usage = (GpuUsage(held_by, gpus, in_use=True, instance_type_id=shape_id, nodes=nodes),)
    ids = [model.model_id, *([] if found.id is None else [found.id])]
    return {**_row("model", found, usage, ids, billed, sources), "id": model.model_id, "name": model.name}


def _row(
    kind: str,
    thing: Run | Sampler | Deployment | ModelDeployment,
    usage: tuple[GpuUsage, ...],
    ids: Sequence[str],
    billed: Mapping[str, _Billed],
    sources: CostSources,
) -> dict[str, Any]:
    money_now = held_an_hour(usage, sources.prices)
    per_hour = None if money_now.without_price else money_now.per_hour
    bills = [billed[key] for key in dict.fromkeys(ids) if key in billed]
    return {
        "id": thing.id,
        "kind": kind,
        "base_model": None if isinstance(thing, ModelDeployment) else thing.base_model,
        "status": thing.status if isinstance(thing, ModelDeployment) else status_name(thing),
        "gpu_count": sum_of_known(part.gpus for part in usage),
        "usd_per_hour": per_hour,
        "created_at": None if thing.created_at is None else thing.created_at.isoformat(),
        "usd_at_most": _since(thing.created_at, per_hour, sources.now) if usage else None,
        "usd_billed": sum(bill.usd for bill in bills) if bills else None,
        "minutes_billed": sum(bill.minutes for bill in bills) if bills else None,
        "usages": usage,
    }


def _ids_of(deployment: Deployment) -> list[str]:
    sampler = deployment.sampler
    return [deployment.id, *([] if sampler is None else [sampler.id, *filter(None, [sampler.deployment_id])])]


def _since(created_at: datetime | None, per_hour: float | None, now: datetime) -> float | None:
    if created_at is None or per_hour is None:
        return None
    return max(timedelta(0), now - created_at) / _HOUR * per_hour


def _token_cost(counts: TokenCounts, rates: TokenRates) -> float | None:
    parts = [
        count / _MILLION * rate
        for count, rate in zip(counts, rates, strict=True)
        if count is not None and rate is not None
    ]
    return math.fsum(parts) if parts else None


def _notes(rows: Sequence[dict[str, Any]], sources: CostSources) -> list[str]:
    usages = [usage for row in rows for usage in row["usages"]]
    held: HeldMoney = held_an_hour(usages, sources.prices)
    totals = total_usage(usages)
    least = "at least " if totals.parts_without_count else ""
    gpus = least + many(totals.in_use + totals.idle + totals.unexplained, "GPU")
    if not sources.prices.per_minute:
        why = "The service lists no prices for this key that can be read, so no cost is known."
        notes = [f"Held now: {gpus}. {why}"]
    else:
        notes = [f"Held now: {gpus}, {money(held.per_hour)} an hour."]
    if held.without_price and sources.prices.per_minute:
        parts = (
            "a trainer, sampler or model"
            if held.without_price == 1
            else f"{held.without_price:,} trainers, samplers or models"
        )
        notes.append(f"Not in that sum: {parts} on hardware without a listed price.")
    if sources.prices.note:
        notes.append(sources.prices.note)
    notes += sources.unread
    if sources.models:
        notes.append(
            "Of deployed models those are counted that were deployed from this machine: %loops deploy status lists all."
        )
    if any(row["usd_at_most"] for row in rows):
        notes.append(
            "usd_at_most is an upper bound: the service does not say how long something slept. When something ended is"
            " not listed either, so it is missing for what holds nothing now."
        )
    if sources.billed is None:
        why = "." if sources.unread else ": this key may not see the billed usage."
        notes.append(f"What was billed is not known{why}")
    if sources.checkpoints is not None:
        total = sum(found.size_bytes or 0 for found in sources.checkpoints)
        unknown = sum(found.size_bytes is None for found in sources.checkpoints)
        without = f" and {unknown:,} of unknown size" if unknown else ""
        notes.append(f"Checkpoints: {size(total)}{without}; their price is not listed.")
    if sources.tokens and sources.rates == NO_RATES:
        notes.append(
            "usd_tokens needs your rates in US dollars for a million tokens: --train-rate and --sample-rate, or"
            " train_rate and sample_rate in Python."
        )
    return notes


def checkpoint_sizes_frame(
    checkpoints: Iterable[Checkpoint], names: Mapping[str, str | None], now: datetime
) -> pd.DataFrame:
    """Return the size of checkpoints by run and age, biggest run first.

    Parameters
    ----------
    checkpoints : iterable of Checkpoint
        The listing.
    names : mapping of str to str or None
        Names of runs by id.
    now : datetime
        The present.

    Returns
    -------
    pandas.DataFrame
        Columns of `CHECKPOINT_SIZES`, one row a run and age that has checkpoints.
    """
    groups: dict[str, dict[str, list[int | None]]] = {}
    for found in checkpoints:
        age = _UNKNOWN_AGE
        if found.created_at is not None:
            days = (now - found.created_at) / timedelta(days=1)
            age = [name for name, least in _AGES if days >= least or least == 0][-1]
        groups.setdefault(found.run_id, {}).setdefault(age, []).append(found.size_bytes)
    totals = {
        run_id: sum(count or 0 for sizes in by_age.values() for count in sizes) for run_id, by_age in groups.items()
    }
    order = [*(name for name, _ in _AGES), _UNKNOWN_AGE]
    rows = [
        (run_id, names.get(run_id), age, groups[run_id][age])
        for run_id in sorted(groups, key=lambda key: -totals[key])
        for age in order
        if age in groups[run_id]
    ]
    frame = computed_frame(
        CHECKPOINT_SIZES,
        {
            "run_id": [row[0] for row in rows],
            "name": [row[1] for row in rows],
            "age": [row[2] for row in rows],
            "checkpoints": [len(row[3]) for row in rows],
            "total_bytes": [sum(count or 0 for count in row[3]) for row in rows],
            "without_size": [row[3].count(None) for row in rows],
        },
    )
    frame.attrs[NOTES_ATTR] = [f"In all {size(sum(totals.values()))} in {many(len(groups), 'run')}."]
    return frame
