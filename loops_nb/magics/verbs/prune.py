"""``%loops prune RUN``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.arguments import age_or_time, to_int
from loops_nb.magics.checkpoint_arguments import TARGET
from loops_nb.magics.context import MagicContext
from loops_nb.magics.experiment_arguments import MAX, MIN, mode_of
from loops_nb.magics.grammar import Argument, Values, Verb, option, switch
from loops_nb.magics.verbs.delete import delete_planned, planned_frame

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

_KINDS = ("best", "last")


def _keep(text: str) -> tuple[str, int]:
    kind, colon, count = text.partition(":")
    if "," in text:
        raise InvalidArgumentError(f"takes one rule, not {text[:40]!r}; give it again: --keep best:3 --keep last:2.")
    if kind not in _KINDS or not colon:
        raise InvalidArgumentError(f"must be best:N or last:N, not {text[:40]!r}.")
    number = to_int(count)
    if number < 1:
        raise InvalidArgumentError(f"must keep at least 1, not {number}.")
    return kind, number


def _kept(rules: Sequence[tuple[str, int]]) -> dict[str, int]:
    kept = dict(rules)
    twice = next((kind for kind in kept if sum(rule[0] == kind for rule in rules) > 1), None)
    if twice is not None:
        given = " and ".join(f"{kind}:{count}" for kind, count in rules if kind == twice)
        raise InvalidArgumentError(f"--keep {twice} is given twice: {given}. Nothing was planned.", argument="keep")
    return kept


def _run(context: MagicContext, values: Values) -> pd.DataFrame | None:
    kept = _kept(values.keep or ())
    named = [word for word in (values.what, values.run_id) if word is not None]
    if len(named) != 1:
        raise InvalidArgumentError(
            f"%loops prune needs exactly one run; {'two were' if named else 'none was'} given.",
            argument="run",
            hint="For example %loops prune p2syas8 --keep last:2. %loops runs lists the runs.",
        )
    if values.dry_run and (values.sure or values.ask):
        raise InvalidArgumentError("--dry-run deletes nothing: leave it out, or --ask and -y.", argument="dry_run")
    with context.explain_unknown_id("run", named[0]):
        plan = context.loops.checkpoints.plan_pruning(
            context.resolve_run_id(named[0], exact=True),
            keep_best=kept.get("best", 0),
            keep_last=kept.get("last", 0),
            older_than=values.older_than,
            metric=values.metric,
            mode=mode_of(values),
            target=values.target,
        )
    if not (values.sure or values.ask) or not plan.items:
        if plan.items:
            context.say("This is a plan. Add --ask to be asked and delete, or -y to delete at once.")
        return planned_frame(context, plan)
    return delete_planned(context, plan, sure=values.sure)


VERB = Verb(
    name="prune",
    summary="delete the checkpoints of a run but the best, the newest and the young; shows the plan unless told to",
    run=_run,
    returns_frame=True,
    kinds=("planned_deletions", "deletions"),
    arguments=(Argument("what", "RUN", "the run's id or name (the same as --run RUN)", completes="run"),),
    options=(
        option("--run", "RUN", "the run, by its id or name", name="run_id", completes="run"),
        option(
            "--keep",
            "KIND:N",
            "best:N keeps the N best by the recorded metric, last:N the N newest, of each target",
            convert=_keep,
            keywords=("best:3", "last:2"),
            repeated=True,
        ),
        option(
            "--older-than", "AGE", "only what was saved before: 14d, 36h or a time", convert=age_or_time, free_text=True
        ),
        option(
            "-m --metric", "KEY", "metric that decides which are best; default loss", completes="metric", default="loss"
        ),
        MIN,
        MAX,
        TARGET,
        switch("--dry-run", "only show what would be deleted, as without --ask and -y"),
        switch("--ask", "show the plan, ask, and delete"),
        switch("-y --yes", "delete without a question", name="sure"),
    ),
    notes="Without --ask or -y it only shows what would go; df.loops.delete() deletes what is chosen of that. The best"
    " are those by the values recorded on this machine; without recorded values it refuses, and a checkpoint without a"
    " value is kept. What is in use is kept.",
    examples=(
        "%loops prune p2syas8 --keep best:3 --keep last:2 --older-than 14d",
        "%loops prune --keep best:3 -m eval/accuracy --target sampler --run p2syas8 -y",
    ),
    when_interrupted="See what is left: %loops checkpoints RUN.",
)
