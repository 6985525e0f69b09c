"""``%loops cost``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.arguments import SCOPE, TEAM, age_or_time, to_float
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb, option, switch

if TYPE_CHECKING:
    import pandas as pd

_MODES = (("prices", "--prices"), ("checkpoints", "--checkpoints"), ("billed", "--billed"))
_DEFAULT_AGE = timedelta(days=31)


def _run(context: MagicContext, values: Values) -> pd.DataFrame:
    modes = [(name, flag) for name, flag in _MODES if getattr(values, name)]
    if len(modes) > 1:
        raise InvalidArgumentError(
            f"%loops cost: {modes[0][1]} and {modes[1][1]} are different tables; give one of them.",
            argument=modes[1][0],
        )
    mode = modes[0][0] if modes else ""
    _refuse_unused(values, mode)
    billing = context.loops.billing
    if mode == "prices":
        return context.listing("prices", billing.prices_frame(), nothing="The service lists no prices.")
    if mode == "billed":
        now = datetime.now(UTC)
        since = _DEFAULT_AGE if values.since is None else values.since
        start = now - since if isinstance(since, timedelta) else since
        # Both ends are given: an age of exactly 31 days fits.
        frame = billing.usage_frame(start, now, daily=values.daily)
        return context.listing("usage", frame, nothing="Nothing was billed since then.")
    if mode == "checkpoints":
        return context.listing(
            "checkpoint_sizes",
            billing.checkpoint_sizes(scope=values.scope, team_id=values.team_id),
            nothing="The listed runs have no checkpoints.",
        )
    settings = context.settings
    return context.listing(
        "costs",
        billing.costs(
            scope=values.scope,
            team_id=values.team_id,
            train_rate=_rate(values.train_rate, settings.train_rate),
            sample_rate=_rate(values.sample_rate, settings.sample_rate),
        ),
        nothing="No runs, samplers or deployments yet: nothing is held.",
    )


def _rate(given: float | None, setting: float) -> float | None:
    """Return the rate of the line, else the setting, whose 0 is none."""
    return setting or None if given is None else given


def _refuse_unused(values: Values, mode: str) -> None:
    """Raise for an option of another table."""
    fits = {
        "--since": (values.since is not None, ("billed",)),
        "--daily": (values.daily, ("billed",)),
        "--scope": (values.scope is not None, ("", "checkpoints")),
        "--team": (values.team_id is not None, ("", "checkpoints")),
        "--train-rate": (values.train_rate is not None, ("",)),
        "--sample-rate": (values.sample_rate is not None, ("",)),
    }
    for flag, (given, modes) in fits.items():
        if given and mode not in modes:
            needs = dict(_MODES).get(modes[0])
            fix = f"needs {needs}" if needs else f"does not go with --{mode}"
            raise InvalidArgumentError(f"%loops cost: {flag} {fix}.", argument=flag.strip("-"))


VERB = Verb(
    name="cost",
    summary="what is held now an hour, what each run has held and saved, and what was billed",
    run=_run,
    returns_frame=True,
    kinds=("costs", "checkpoint_sizes", "prices", "usage"),
    options=(
        SCOPE,
        TEAM,
        option(
            "--train-rate",
            "USD",
            "your rate for a million tokens trained; default the setting train_rate",
            convert=to_float,
            free_text=True,
        ),
        option(
            "--sample-rate",
            "USD",
            "your rate for a million tokens sampled; default the setting sample_rate",
            convert=to_float,
            free_text=True,
        ),
        switch("--checkpoints", "the size of checkpoints by run and age instead"),
        switch("--prices", "the prices of instance types instead"),
        switch("--billed", "the billed usage of the organisation instead, by resource"),
        option(
            "--since",
            "AGE",
            "with --billed: 7d, 36h or a time; at most 31 days, the default",
            convert=age_or_time,
            free_text=True,
        ),
        switch("--daily", "with --billed: one row for each day"),
    ),
    notes="Prices are those that the service lists, without discounts. usd_per_hour is what is held now, usd_at_most"
    " that since the creation, usd_billed what the service has billed in the last 31 days. Tokens are those recorded on"
    " this machine; a price for them is not listed, so it needs your rates. %loops watch shows the sum an hour live.",
    examples=(
        "%loops cost",
        "df = %loops cost --train-rate 0.4 --sample-rate 1.2",
        "%loops cost --checkpoints",
        "%loops cost --billed --since 7d --daily",
    ),
)
