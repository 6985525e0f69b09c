"""``%loops experiments``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.arguments import int_option
from loops_nb.magics.context import MagicContext
from loops_nb.magics.experiment_arguments import BEGAN_SINCE, PROJECT, TAGS, WHERE, metrics
from loops_nb.magics.grammar import Argument, Values, Verb, option, switch

if TYPE_CHECKING:
    import pandas as pd


def _run(context: MagicContext, values: Values) -> pd.DataFrame:
    frame = metrics().experiments(
        archived=values.archived,
        where=values.where,
        tags=values.tags,
        names=values.names,
        since=values.since,
        project=values.project,
        sort=values.sort,
        limit=values.limit,
    )
    context.cache.add_frame("experiments", frame)
    return frame


VERB = Verb(
    name="experiments",
    summary="experiments recorded on this machine: state, best values, parameters, tags",
    run=_run,
    returns_frame=True,
    kinds=("experiments",),
    arguments=(
        Argument(
            "names",
            "NAME",
            "only experiments whose name, id or run matches; shell patterns such as 'sweep-*'",
            completes="experiment",
            repeated=True,
        ),
    ),
    options=(
        TAGS,
        WHERE,
        PROJECT,
        BEGAN_SINCE,
        option(
            "--sort",
            "COLUMN",
            "sort by a column, a parameter or a metric, e.g. best.loss; -COLUMN for descending order",
            completes="leaderboard_column",
        ),
        int_option("--limit", "only the first N"),
        switch("--archived", "include archived experiments"),
    ),
    notes="Recorded by loops_nb.track(training_client), %loops track --request-log FILE, or loops_nb.experiment(...)."
    " Returns a DataFrame with columns params.NAME, summary.NAME, last.KEY and best.KEY; --where and --sort take them, "
    "and NAME and KEY alone. Needs no connection.",
    examples=(
        "%loops experiments --sort best.loss --limit 10",
        'df = %loops experiments "sweep-*" --where "lr < 1e-3 and lora.rank == 16"',
        "%loops experiments --tag sweep --since 2d --sort -created_at",
        "%loops experiments --project support-bot --sort -summary.test_accuracy",
    ),
)
