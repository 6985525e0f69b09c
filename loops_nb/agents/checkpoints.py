"""Tools about checkpoints."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from loops_nb.agents.answers import AnswerSection, answer, frame_rows, notes_of
from loops_nb.agents.arguments import Experiments, Limit, Metric, Mode
from loops_nb.agents.connection import agent_tool, experiments, verb_texts
from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.verbs import checkpoints as verb

_COLUMNS = (
    "checkpoint_id",
    "id",
    "run_id",
    "target",
    "created_at",
    "base_model",
    "lora_rank",
    "size_bytes",
    "sync_status",
    "uri",
)


@agent_tool
def loops_list_checkpoints(
    run: Annotated[str | None, Field(max_length=255, description="Id of the run, or its name if unique.")] = None,
    base_model: Annotated[
        str | None, Field(max_length=255, description="In place of a run: all of this base model, e.g. Qwen/Qwen3-8B.")
    ] = None,
    target: Annotated[
        Literal["trainer", "sampler"] | None,
        Field(description="Only those that training can resume from (trainer), or that can be served (sampler)."),
    ] = None,
    limit: Limit = 20,
) -> str:
    """List the saved checkpoints of a run or of a base model, newest first, with size and bt:// URI.

    Give exactly one of run and base_model.  Use loops_best_checkpoint to rank them by a metric.
    """
    if (run is None) == (base_model is None):
        raise InvalidArgumentError("Give exactly one of run and base_model.", argument="run")
    frame, _ = verb_texts(verb.VERB, run_id=run, base_model=base_model)
    notes = notes_of(frame)
    if target is not None:
        frame = frame[frame["target"] == target]
    return answer(
        AnswerSection(
            "checkpoints, newest first",
            frame_rows(frame.sort_values("created_at", ascending=False, kind="stable").head(limit), _COLUMNS),
            len(frame),
            "Narrow with run or target, or raise limit (at most 100).",
        ),
        AnswerSection("notes", notes),
    )


@agent_tool
def loops_best_checkpoint(
    metric: Metric = "loss", mode: Mode = None, experiments_matching: Experiments = None, limit: Limit = 5
) -> str:
    """Rank saved checkpoints by a metric that was recorded on this machine, best first, with their bt:// URIs.

    The value of a checkpoint is the last one logged up to its step.
    """
    frame = experiments().best(metric, experiments_matching, mode=mode)
    return answer(
        AnswerSection(
            "checkpoints, best first",
            frame_rows(frame.head(limit)),
            len(frame),
            "Narrow with experiments_matching, or raise limit (at most 100).",
        ),
        AnswerSection("notes", notes_of(frame)),
    )
