"""``%loops experiments``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.arguments import int_option
from loops_nb.magics.context import MagicContext
from loops_nb.magics.experiment_arguments import AUTHOR, BEGAN_SINCE, PROJECT, TAGS, WHERE, metrics
from loops_nb.magics.experiment_copy import LOCAL, copied, is_copy
from loops_nb.magics.grammar import Argument, Values, Verb, option, switch

if TYPE_CHECKING:
    import pandas as pd


def _run(context: MagicContext, values: Values) -> pd.DataFrame:
    if is_copy(values):
        return copied(context, values)
    frame = metrics().experiments(
        archived=values.archived,
        where=values.where,
        tags=values.tags,
        names=values.names,
        since=values.since,
        project=values.project,
        author=values.author,
        sort=values.sort,
        limit=values.limit,
    )
    context.cache.add_frame("experiments", frame)
    return frame


VERB = Verb(
    name="experiments",
    summary="experiments recorded on this machine or by the team: state, best values, parameters, tags",
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
        AUTHOR,
        BEGAN_SINCE,
        option(
            "--sort",
            "COLUMN",
            "sort by a column, a parameter or a metric, e.g. best.loss; -COLUMN for descending order",
            completes="leaderboard_column",
        ),
        int_option("--limit", "only the first N"),
        switch("--archived", "include archived experiments"),
        option(
            "--from",
            "STORE",
            "with copy: where from; local (the file of this machine), postgresql://... or a file; default as set",
            name="source",
            keywords=(LOCAL,),
        ),
        option("--to", "STORE", "with copy: where to; as --from", name="target", keywords=(LOCAL,)),
    ),
    notes="%loops experiments copy NAME --from local --to postgresql://USER@HOST/DATABASE copies experiments (without a"
    " NAME all of them) between the file of this machine and a team's store; repeated, it copies what is new. "
    "Recorded by loops_nb.track(training_client), %loops track --request-log FILE, or loops_nb.experiment(...)."
    " Returns a DataFrame with columns params.NAME, summary.NAME, last.KEY and best.KEY; --where and --sort take them, "
    "and NAME and KEY alone. Needs no connection.",
    examples=(
        "%loops experiments --sort best.loss --limit 10",
        'df = %loops experiments "sweep-*" --where "lr < 1e-3 and lora.rank == 16"',
        "%loops experiments --tag sweep --since 2d --sort -created_at",
        "%loops experiments --project support-bot --sort -summary.test_accuracy",
        "%loops experiments copy --from local --to postgresql://team@db.example.com/loops",
    ),
)
