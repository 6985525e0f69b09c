"""``%loops delete experiment|run|checkpoint ...``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loops_nb.config.time_zone import display_zone
from loops_nb.errors import one_line
from loops_nb.magics.arguments import YES
from loops_nb.magics.checkpoint_arguments import CHECKPOINTS, OF_RUN, TARGET, resolve_checkpoints
from loops_nb.magics.context import MagicContext
from loops_nb.magics.experiment_arguments import metrics
from loops_nb.magics.grammar import Argument, Values, Verb, switch
from loops_nb.render.formatting import many, moment, size

if TYPE_CHECKING:
    from datetime import tzinfo

    import pandas as pd

    from loops_nb.checkpoints.deletion import DeletionItem, DeletionPlan
    from loops_nb.tracking.deletion import ExperimentContents

_MOST_LISTED = 20
DRY_RUN = switch("--dry-run", "only show what would be deleted")


def _experiments(context: MagicContext, values: Values) -> None:
    from loops_nb.tracking.deletion import check_are_closed  # sqlite

    recorded = metrics()
    plan = recorded.deletion_plan(values.names, archived=values.archived)
    if not values.force:
        check_are_closed(plan)
    context.say(_plan_text(plan, display_zone(context.settings.time_zone)))
    if not context.confirm(f"Delete {_these(plan)} for good?", sure=values.sure):
        context.say("Nothing was deleted.")
        return
    ids = [of.row.id for of in plan]
    deleted = recorded.delete(ids, force=values.force)
    gone = len(ids) - len(deleted)
    context.say(f"Deleted {many(len(deleted), 'experiment')}." + (f" {gone:,} had gone meanwhile." if gone else ""))


def _runs(context: MagicContext, values: Values) -> pd.DataFrame | None:
    ids = []
    for word in values.ids:
        with context.explain_unknown_id("run", word):
            ids.append(context.loops.runs.get(context.resolve_run_id(word, exact=True)).id)
    return _delete(context, values, context.loops.runs.plan_deletion(ids))


def _checkpoints(context: MagicContext, values: Values) -> pd.DataFrame | None:
    found = resolve_checkpoints(context, values)
    return _delete(context, values, context.loops.checkpoints.plan_deletion(found))


def _delete(context: MagicContext, values: Values, plan: DeletionPlan) -> pd.DataFrame | None:
    if values.dry_run:
        return planned_frame(context, plan)
    return delete_planned(context, plan, sure=values.sure)


def planned_frame(context: MagicContext, plan: DeletionPlan) -> pd.DataFrame:
    """Return a plan as a frame whose rows ``df.loops.delete()`` deletes."""
    from loops_nb.resources.frames import with_origin  # pandas

    return with_origin(plan.frame(), context.loops.config)


def delete_planned(context: MagicContext, plan: DeletionPlan, *, sure: bool) -> pd.DataFrame | None:
    """Show a plan, ask, and delete what it names."""
    if not sure:
        context.say(_listed(plan))
    if not context.confirm(plan.question, sure=sure):
        context.say("Nothing was deleted.")
        return None
    found = context.loops.checkpoints.delete(plan)
    context.found_problem = bool((found["result"] == "failed").any())
    return found


def _listed(plan: DeletionPlan) -> str:
    lines = [f"  {one_line(item.label, limit=120)}{_details(item)}" for item in plan.items[:_MOST_LISTED]]
    if len(plan.items) > _MOST_LISTED:
        lines.append(f"  and {len(plan.items) - _MOST_LISTED:,} more")
    return "\n".join([*plan.notes, f"{plan.summary}:", *lines])


def _details(item: DeletionItem) -> str:
    parts = [many(len(item.checkpoints), "checkpoint")] if item.kind == "run" else []
    if item.size_bytes is not None:
        parts.append(size(item.size_bytes))
    parts += item.in_use
    return f": {', '.join(parts)}" if parts else ""


def _these(plan: list[ExperimentContents]) -> str:
    return "this experiment" if len(plan) == 1 else f"these {len(plan):,} experiments"


def _plan_text(plan: list[ExperimentContents], zone: tzinfo | None) -> str:
    lines = [f"  {_described(of, zone)}" for of in plan[:_MOST_LISTED]]
    if len(plan) > _MOST_LISTED:
        rest = plan[_MOST_LISTED:]
        lines.append(f"  and {len(rest):,} more with {many(sum(of.points for of in rest), 'value')}")
    points = sum(of.points for of in plan)
    head = f"{many(len(plan), 'experiment')} with {many(points, 'value')}:"
    stays = "Runs and checkpoints of the service stay."
    ways = "%loops export FILE NAME keeps a copy, %loops archive NAME only hides."
    return "\n".join([head, *lines, f"{stays} {ways}"])


def _described(of: ExperimentContents, zone: tzinfo | None) -> str:
    row = of.row
    began = moment(datetime.fromtimestamp(row.created_at / 1000, UTC), zone)
    parts = [f"{many(of.points, 'value')} of {many(of.metrics, 'metric')}"]
    parts += [many(of.checkpoints, "recorded save")] if of.checkpoints else []
    parts += [many(of.samples, "sample")] if of.samples else []
    parts += [many(len(row.notes), "note")] if row.notes else []
    parts += [f"began {began}", of.state]
    parts += ["archived"] if row.archived else []
    parts += [f"project {one_line(row.project, limit=40)}"] if row.project else []
    parts += [f"tags {one_line(', '.join(row.tags), limit=60)}"] if row.tags else []
    return f"{one_line(row.label, limit=60)} [{row.id}]: {', '.join(parts)}"


VERB = Verb(
    name="delete",
    summary="delete runs, checkpoints or recorded experiments for good, after confirmation",
    verbs=(
        Verb(
            name="delete experiment",
            summary="delete what is recorded of experiments on this machine; runs and checkpoints are kept",
            run=_experiments,
            arguments=(
                Argument(
                    "names",
                    "NAME",
                    "id of an experiment, its name or run if only one has it, or a pattern of names (lr-*)",
                    completes="experiment",
                    repeated=True,
                    required=True,
                ),
            ),
            options=(
                YES,
                switch("--force", "also experiments that are running; what they log next begins them again"),
                switch("--archived", "a pattern selects archived experiments, too"),
            ),
            notes="Shows what would go and asks; use -y in scripts. All of them are deleted or none.",
            examples=(
                "%loops delete experiment first-try",
                "%loops delete experiment 'debug-*' --archived -y",
            ),
            when_interrupted="They are deleted all or not at all: see %loops experiments.",
        ),
        Verb(
            name="delete run",
            summary="delete runs with their checkpoints for good; what is recorded on this machine is kept",
            run=_runs,
            returns_frame=True,
            kinds=("deletions", "planned_deletions"),
            arguments=(
                Argument(
                    "ids",
                    "ID",
                    "the run's id, or its name if only one run has it",
                    completes="run",
                    repeated=True,
                    required=True,
                ),
            ),
            options=(YES, DRY_RUN),
            notes="An active run is deactivated first. A checkpoint that is in use, for example deployed, is kept and"
            " usable while it is. Shows what would go and asks; use -y in scripts. The result has a row for each.",
            examples=("%loops delete run p2syas8", "gone = %loops delete run p2syas8 u8rkdjp -y"),
            when_interrupted="See what is left: %loops runs.",
        ),
        Verb(
            name="delete checkpoint",
            summary="delete checkpoints for good, several at a time; what is in use is kept",
            run=_checkpoints,
            returns_frame=True,
            kinds=("deletions", "planned_deletions"),
            arguments=(CHECKPOINTS,),
            options=(OF_RUN, TARGET, YES, DRY_RUN),
            notes="A name that fits two checkpoints deletes neither. Shows what would go and asks; use -y in scripts."
            " The result has a row for each: deleted, kept or failed, and why. df.loops.delete() deletes the rows of a"
            " DataFrame, %loops prune all but the best and the newest of a run.",
            examples=(
                "%loops delete checkpoint h3wy7k5",
                "%loops delete checkpoint p2syas8/step-150 --target trainer -y",
                "%loops delete checkpoint --run p2syas8 --dry-run",
            ),
            when_interrupted="See what is left: %loops checkpoints RUN.",
        ),
    ),
    notes="%loops archive hides experiments and deletes nothing; %loops deactivate ends runs and keeps checkpoints.",
    examples=(
        "%loops delete run p2syas8",
        "%loops delete checkpoint p2syas8/step-150 --target trainer",
        "%loops delete experiment 'debug-*' -y",
    ),
    unknown_hint="Say what it is: %loops delete run {word}, %loops delete checkpoint {word}, or"
    " %loops delete experiment {word} for what is recorded on this machine.",
)
