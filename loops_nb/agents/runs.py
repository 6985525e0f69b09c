"""Tools about runs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from loops_nb.agents.answers import AnswerSection, answer, frame_rows, notes_of
from loops_nb.agents.arguments import Limit, RunName, Scope
from loops_nb.agents.connection import agent_tool, connected, experiments, shared_context
from loops_nb.agents.experiments import summary_row
from loops_nb.api.states import DEPLOYMENT_STATUSES, RUN_STATUSES, SAMPLER_STATUSES
from loops_nb.cli.wording import in_shell
from loops_nb.errors import TrackingError
from loops_nb.tracking.leaderboard import ExperimentFilter, leaderboard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loops_nb.client.diagnosis import Diagnosis
    from loops_nb.tracking.leaderboard import ExperimentSummary

_STATUSES = ", ".join(dict.fromkeys((*RUN_STATUSES, *DEPLOYMENT_STATUSES, *SAMPLER_STATUSES)))
_COLUMNS = (
    "id",
    "name",
    "base_model",
    "status",
    "deployment_status",
    "sampler_status",
    "created_at",
    "serverless",
    "gpu_type",
    "gpu_count",
    "owner",
)
_MOST_CHECKPOINTS = 5
_MOST_EXPERIMENTS = 3


@agent_tool
def loops_list_runs(
    name: Annotated[str | None, Field(description="Part of the run's name; * and ? are wildcards.")] = None,
    base_model: Annotated[str | None, Field(description="Part of the base model's name.")] = None,
    status: Annotated[
        str | None,
        Field(description=f"State of the run, its trainer (deployment) or its sampler. One of {_STATUSES}."),
    ] = None,
    scope: Scope = "own",
    limit: Limit = 20,
) -> str:
    """List training runs, newest first: states, base model, hardware, and the last values recorded on this machine.

    A run is ACTIVE or INACTIVE; whether it failed is in deployment_status (its trainer) and sampler_status.  Use
    loops_describe_run for the reason, loops_leaderboard to find the best.
    """
    loops = connected()
    wide = "org" if scope == "org" else None
    frame = loops.runs.frame(scope=wide).sort_values("created_at", ascending=False, kind="stable")
    if not name is base_model is status is None:
        found = loops.runs.find(name=name, base_model=base_model, status=status, scope=wide)
        frame = frame[frame["id"].isin([run.id for run in found])]
    first = frame.head(limit)
    names = first.columns
    notes = []
    recorded = first
    try:
        recorded = first.loops.with_metrics()
    except TrackingError as error:
        # The runs are known all the same.
        notes.append(str(error))
    metrics = [column for column in recorded.columns if column not in names]
    rows = frame_rows(recorded, _COLUMNS)
    for row, values in zip(rows, frame_rows(recorded, metrics), strict=True):
        row["recorded"] = {key: value for key, value in values.items() if value is not None} or None
    return answer(
        AnswerSection(
            "runs, newest first",
            rows,
            len(frame),
            "Narrow with name, base_model or status, or raise limit (at most 100).",
            "Fewer conditions find more." if name or base_model or status else "No run was created yet.",
        ),
        AnswerSection("notes", notes),
    )


@agent_tool
def loops_describe_run(run: RunName) -> str:
    """Describe a run: its states, what it waits for, why it failed and what to do, its checkpoints and experiments.

    The failure has a cause (such as out_of_memory or preempted), the last error lines, advice, and a command that
    resumes the run.  Use loops_logs with window="failure" for more lines.
    """
    loops, context = connected(), shared_context()
    with context.explain_unknown_id("run", run):
        found = loops.runs.get(context.resolve_run_id(run))
        diagnosis = loops.runs.diagnose(found)
        states = loops.runs.waiting(found)
    frame = loops.runs.frame(run_id=found.id)
    saved = loops.checkpoints.frame(run_id=found.id)
    notes = [*notes_of(frame), *notes_of(saved)]
    recorded: Sequence[ExperimentSummary] = ()
    try:
        recorded = leaderboard(experiments().store, ExperimentFilter(names=found.id, archived=True)).rows
    except TrackingError as error:
        # What the service says is known all the same.
        notes.append(str(error))
    newest = saved.sort_values("created_at", ascending=False, kind="stable").head(_MOST_CHECKPOINTS)
    ended = "It has ended and did not fail." if not states else "It did not fail."
    return answer(
        AnswerSection("run", frame_rows(frame)),
        AnswerSection("failure", [] if diagnosis is None else [_failure_row(diagnosis)], empty=ended),
        AnswerSection("states of its halves", [state._asdict() for state in states], empty="It has ended."),
        AnswerSection(
            "experiments of this run, recorded on this machine",
            [summary_row(one) for one in recorded[:_MOST_EXPERIMENTS]],
            len(recorded),
            "loops_leaderboard lists them.",
            "No values were recorded here.",
        ),
        AnswerSection(
            "checkpoints, newest first",
            frame_rows(newest, ("checkpoint_id", "target", "created_at", "size_bytes", "sync_status", "uri")),
            len(saved),
            "loops_list_checkpoints lists them.",
            "It has saved none.",
        ),
        AnswerSection("notes", notes),
    )


def _failure_row(found: Diagnosis) -> dict[str, Any]:
    row = asdict(found) | {
        "lines": [f"{line.at:%Y-%m-%dT%H:%M:%SZ} {line.level or '-'} {line.message}" for line in found.lines]
    }
    row["advice"] = [in_shell(advice) for advice in found.advice]
    row["resume_command"] = in_shell(row.pop("command")) or None
    return row
