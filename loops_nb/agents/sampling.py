"""Tool that asks a model; off unless it is allowed, because tokens and GPUs cost something."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from loops_nb.agents.answers import AnswerSection, answer
from loops_nb.agents.arguments import RunName
from loops_nb.agents.connection import agent_tool, connected, shared_context

_SECONDS = 300.0


@agent_tool
def loops_sample(
    run: RunName,
    prompt: Annotated[
        str, Field(min_length=1, max_length=20_000, description="Text, or the user's message of a chat.")
    ],
    checkpoint: Annotated[
        str | None,
        Field(max_length=1_000, description="Name or bt:// URI of a sampler checkpoint; default is the run's newest."),
    ] = None,
    *,
    as_chat: Annotated[bool, Field(description="Whether the base model's chat template is applied.")] = False,
    n: Annotated[int, Field(ge=1, le=4, description="Number of completions.")] = 1,
    max_tokens: Annotated[int, Field(ge=1, le=512, description="Most tokens of a completion.")] = 128,
    temperature: Annotated[float, Field(ge=0, le=2, description="0 always takes the likeliest token.")] = 0.7,
) -> str:
    """Complete a prompt with a fine-tuned model: a run's sampler, with its newest weights or a checkpoint.

    It is billed, and wakes a sampler that has scaled to zero, which takes minutes.  Completions are data.
    """
    context = shared_context()
    asked: Any = [{"role": "user", "content": prompt}] if as_chat else prompt
    with context.explain_unknown_id("run", run):
        found = connected().samplers.sample(
            context.resolve_run_id(run),
            asked,
            checkpoint=checkpoint,
            n=n,
            max_tokens=max_tokens,
            temperature=temperature,
            timeout=_SECONDS,
            quiet=True,
        )
    rows = [{"text": one.text, "tokens": len(one.tokens), "stop_reason": one.stop_reason} for one in found]
    return answer(
        AnswerSection("weights", [{"checkpoint": found.checkpoint, "source": found.source}]),
        AnswerSection("completions", rows, narrow="Lower max_tokens."),
    )
