"""Tools that change something; off unless they are allowed.

Each says what it would do first, and does it only with ``confirmed``: the texts are those of the verb's question.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from loops_nb.agents.answers import AnswerSection, answer, frame_rows
from loops_nb.agents.arguments import Confirmed, Texts
from loops_nb.agents.connection import agent_tool, verb_texts
from loops_nb.magics.grammar import Verb
from loops_nb.magics.verbs import deactivate, delete, deploy, note

_RunId = Annotated[str, Field(min_length=1, max_length=255, description="Id of the run, or its exact name if unique.")]


@agent_tool
def loops_note(
    experiment: Annotated[str, Field(min_length=1, max_length=500, description="Experiment by id, name or run id.")],
    text: Annotated[str, Field(min_length=1, max_length=2_000, description="The note.")],
    step: Annotated[int | None, Field(ge=0, description="Step that it is about.")] = None,
) -> str:
    """Add a note to an experiment on this machine; curves show it at its step, and nothing else changes."""
    return _done(note.VERB, run=experiment, text=(text,), step=step)


@agent_tool
def loops_deploy_checkpoint(
    checkpoint: Annotated[
        str, Field(min_length=1, max_length=1_000, description="Sampler checkpoint: id, bt:// URI, or RUN/NAME.")
    ],
    name: Annotated[str, Field(min_length=1, max_length=255, description="Name of the new model.")],
    instance_type: Annotated[
        str | None, Field(max_length=255, description="Id of the hardware; without it the answer lists what there is.")
    ] = None,
    secret: Annotated[
        str | None, Field(max_length=255, description="Name of the service's secret with a Hugging Face token.")
    ] = None,
    *,
    confirmed: Confirmed = False,
) -> str:
    """Deploy a sampler checkpoint as an inference model.  It is billed until it is deactivated."""
    return _done(
        deploy.VERB,
        checkpoints=(checkpoint,),
        name=name,
        instance_type=instance_type,
        secret=secret,
        no_wait=True,
        sure=confirmed,
    )


@agent_tool
def loops_deactivate_run(run: _RunId, *, confirmed: Confirmed = False) -> str:
    """End a run, its trainer and its sampler for good.  Its checkpoints are kept, and training can resume from them."""
    return _done(_of(deactivate.VERB, "run"), id=run, sure=confirmed)


@agent_tool
def loops_delete_run(run: _RunId, *, confirmed: Confirmed = False) -> str:
    """Delete a run and its checkpoints for good; this cannot be undone.  Checkpoints that something uses are kept."""
    return _done(_of(delete.VERB, "run"), ids=(run,), sure=confirmed)


@agent_tool
def loops_delete_checkpoints(
    checkpoints: Annotated[
        Texts, Field(min_length=1, max_length=50, description="Checkpoints by id, bt:// URI, or RUN/NAME.")
    ],
    target: Annotated[
        Literal["trainer", "sampler"] | None, Field(description="Which one, where a name was saved for both.")
    ] = None,
    *,
    confirmed: Confirmed = False,
) -> str:
    """Delete checkpoints for good; this cannot be undone.  Those that something uses are kept, with the reason."""
    return _done(_of(delete.VERB, "checkpoint"), checkpoints=tuple(checkpoints), target=target, sure=confirmed)


def _done(verb: Verb, **given: Any) -> str:
    found, lines = verb_texts(verb, **given)
    rows = frame_rows(found) if hasattr(found, "columns") else []
    if rows == [] and hasattr(found, "id"):
        rows = [{"id": found.id}]
    name = "what was done"
    if given.get("sure") is False:
        name = "NOTHING WAS DONE; what would happen, to show to the user, who may agree to a call with confirmed=true"
    return answer(
        AnswerSection(name, lines, empty="All of it." if not rows else ""),
        AnswerSection("results", rows),
    )


def _of(group: Verb, word: str) -> Verb:
    return next(verb for verb in group.verbs if verb.word == word)
