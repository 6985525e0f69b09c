"""Tools about the workspace as a whole: costs, and whether everything works."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import Field

from loops_nb.agents.answers import AnswerSection, OwnText, answer, frame_rows, notes_of
from loops_nb.agents.arguments import Limit, Scope
from loops_nb.agents.connection import agent_tool, connected, verb_texts
from loops_nb.magics.verbs import doctor

_BILLED_AGE = timedelta(days=31)


@agent_tool
def loops_costs(
    view: Annotated[
        Literal["held", "billed", "checkpoints"],
        Field(
            description="What is held now and its price an hour; what was billed in the last 31 days; or how much the "
            "checkpoints of each run take."
        ),
    ] = "held",
    scope: Scope = "own",
    limit: Limit = 20,
) -> str:
    """Say what runs, samplers and deployed models hold and cost: GPUs, US dollars an hour, tokens, bytes.

    Prices are those that the service lists, without discounts.  billed is always of the whole organisation.
    """
    billing, wide = connected().billing, "org" if scope == "org" else None
    if view == "held":
        frame, name = billing.costs(scope=wide), "runs, samplers and models, the most expensive an hour first"
    elif view == "billed":
        now = datetime.now(UTC)
        frame, name = billing.usage_frame(now - _BILLED_AGE, now), "billed resources"
    else:
        frame, name = billing.checkpoint_sizes(scope=wide), "checkpoints by run and age"
    return answer(
        AnswerSection("sums and remarks", notes_of(frame)),
        AnswerSection(name, frame_rows(frame.head(limit)), len(frame), "Raise limit (at most 100)."),
    )


@agent_tool
def loops_doctor() -> str:
    """Check versions, settings, API key, address and connection, and say what to fix; never shows the key.

    Call it when other tools fail.
    """
    _, lines = verb_texts(doctor.VERB)
    return answer(AnswerSection("lines of the check, the last says what to fix", [OwnText(line) for line in lines]))
