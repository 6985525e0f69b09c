"""The parameters of a sampling request, checked before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from loops_nb.client import checks
from loops_nb.errors import InvalidArgumentError
from loops_nb.sampling.chat import ChatMessage, checked_messages, is_chat

#: The default limit of vLLM, which the hosted samplers run.
MOST_PROMPT_LOGPROBS = 20
_LARGEST_ID = 2**31 - 1


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """Prompt and parameters of one request for completions.

    Parameters
    ----------
    text : str or None
        The prompt as text; None where ``tokens`` are given.
    tokens : tuple of int
        The prompt as token ids; empty where ``text`` or ``messages`` are given.
    body : dict
        All other fields of the request's body.
    messages : tuple of ChatMessage, default ()
        The prompt as a chat.
    """

    text: str | None
    tokens: tuple[int, ...]
    body: dict[str, Any]
    messages: tuple[ChatMessage, ...] = ()

    @classmethod
    def checked(
        cls,
        prompt: Any,
        *,
        n: Any,
        max_tokens: Any,
        temperature: Any,
        top_p: Any,
        top_k: Any,
        seed: Any,
        stop: Any,
        prompt_logprobs: Any,
    ) -> Self:
        """Check the arguments of ``loops.samplers.sample``.

        Raises
        ------
        InvalidArgumentError
            If one cannot be used; the text names it.
        """
        text = prompt if isinstance(prompt, str) else None
        messages = checked_messages(prompt) if is_chat(prompt) else ()
        tokens = () if text is not None or messages else _token_ids("prompt", prompt)
        if not text and not tokens and not messages:
            raise InvalidArgumentError("prompt is empty; a sampler needs at least one token.", argument="prompt")
        body: dict[str, Any] = {
            "n": checks.whole("n", n, least=1),
            "max_tokens": checks.whole("max_tokens", max_tokens, least=1),
            "temperature": _number("temperature", temperature, least=0.0),
            "top_p": _number("top_p", top_p, least=0.0, most=1.0, above=True),
            # Asks for the logprob of each token that was drawn, and of no others.
            "logprobs": 0,
            "return_tokens_as_token_ids": True,
        }
        if top_k is not None and top_k != -1:
            body["top_k"] = checks.whole("top_k", top_k, least=1)
        if seed is not None:
            body["seed"] = checks.whole("seed", seed)
        if prompt_logprobs is not None:
            body["prompt_logprobs"] = checks.whole(
                "prompt_logprobs", prompt_logprobs, least=0, most=MOST_PROMPT_LOGPROBS
            )
        if stop is not None:
            name, value = _stop(stop)
            body[name] = value
        return cls(text, tokens, body, messages)


def _token_ids(argument: str, value: Any) -> tuple[int, ...]:
    if isinstance(value, bytes | bytearray) or not isinstance(value, Iterable):
        raise InvalidArgumentError(
            f"{argument} must be a string or a list of token ids, not {type(value).__name__}.", argument=argument
        )
    return tuple(checks.whole(f"{argument}[{i}]", one, least=0, most=_LARGEST_ID) for i, one in enumerate(value))


def _stop(value: Any) -> tuple[str, Any]:
    if isinstance(value, str):
        if not value:
            raise InvalidArgumentError(
                "stop is an empty string; it would end every completion at once.", argument="stop"
            )
        return "stop", value
    if not isinstance(value, Iterable) or isinstance(value, bytes | bytearray):
        raise InvalidArgumentError(
            f"stop must be a string, a list of strings or a list of token ids, not {value!r}.", argument="stop"
        )
    several = list(value)
    if several and all(isinstance(one, str) and one for one in several):
        return "stop", several
    if not several or any(isinstance(one, str) for one in several):
        raise InvalidArgumentError("stop must be a string, a list of strings or a list of token ids.", argument="stop")
    return "stop_token_ids", list(_token_ids("stop", several))


def _number(argument: str, value: Any, *, least: float, most: float = math.inf, above: bool = False) -> float:
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not (least <= number <= most) or math.isinf(number) or (above and number == least):
        bounds = f"above {least:g}" if above else f"at least {least:g}"
        bounds += "" if math.isinf(most) else f" and at most {most:g}"
        raise InvalidArgumentError(f"{argument} must be a number {bounds}, not {value!r}.", argument=argument)
    return number
