"""The answer of ``POST /sample``, read leniently: samplers of several makes and versions write it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from loops_nb.decoding import unreadable
from loops_nb.errors import UnreadableAnswerError

_VERSION_HEADER = "x-trainers-policy-version"
_TOKEN_ID = "token_id:"  # noqa: S105 - the marker of the documented format
_FAULTS = (ValueError, RecursionError, OverflowError, msgspec.MsgspecError)
#: No vocabulary is larger, and no version higher.
_LARGEST_ID = 2**31 - 1
_LARGEST_VERSION = 2**63 - 1
_LONGEST_NUMBER = 19


@dataclass(frozen=True, slots=True)
class Choice:
    """One completion as the sampler sent it.

    Parameters
    ----------
    tokens
        Ids of the tokens that were drawn; empty where the sampler sent texts only.
    logprobs
        The natural logarithm of each token's probability, None where it was not sent; None where none was.
    text
        Its text, where the sampler sent one.
    stop_reason
        ``stop``, ``length``, or another word of the sampler's; None where it sent none.
    """

    tokens: list[int]
    logprobs: list[float | None] | None
    text: str | None
    stop_reason: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """All that one request gave.

    Parameters
    ----------
    choices
        The completions.
    prompt_tokens
        The prompt as the sampler understood it.
    prompt_logprobs
        For each token of the prompt its log-probability; None where they were not asked for.
    top_prompt_logprobs
        For each token of the prompt the likeliest ones, from id to log-probability.
    policy_version
        The version of the weights that answered, where the sampler tells.
    """

    choices: list[Choice]
    prompt_tokens: list[int]
    prompt_logprobs: list[float | None] | None
    top_prompt_logprobs: list[dict[int, float] | None] | None
    policy_version: int | None


def read_answer(body: bytes, headers: Mapping[str, str], prompt: Sequence[int]) -> Answer:
    """Read the body of a good answer.

    Raises
    ------
    UnreadableAnswerError
        If it holds no completions at all.
    """
    return read_completions(decoded(body), headers, prompt)


def read_completions(document: Any, headers: Mapping[str, str], prompt: Sequence[int]) -> Answer:
    """Read a document that was decoded already; errors as in `read_answer`."""
    found = document.get("choices") if isinstance(document, dict) else None
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise UnreadableAnswerError("The sampler answered without the documented list of choices.", hint="Nothing was changed.")
    echoed = next((ids for one in found if (ids := _ids(one.get("prompt_token_ids")))), None)
    tokens = echoed or list(prompt)
    scored = next((one["prompt_logprobs"] for one in found if isinstance(one.get("prompt_logprobs"), list)), None)
    likely = None if scored is None else [_likely(entry) for entry in scored]
    logprobs = None
    if likely is not None:
        logprobs = [None if entry is None else entry.get(token) for entry, token in zip(likely, tokens, strict=False)]
    choices = [_choice(one) for one in found]
    if _counts_more(document, choices):
        choices = [_without(choice, _ids(one.get("prompt_token_ids")) or tokens) for choice, one in zip(choices, found, strict=True)]
    return Answer(
        choices=choices,
        prompt_tokens=tokens,
        prompt_logprobs=logprobs,
        top_prompt_logprobs=likely,
        policy_version=_version(headers.get(_VERSION_HEADER)),
    )


def decoded(body: bytes) -> Any:
    """Decode JSON, also with the words ``NaN`` and ``Infinity`` that Python servers write for numbers.

    Raises
    ------
    UnreadableAnswerError
        If it is none.
    """
    try:
        return msgspec.json.decode(body)
    except _FAULTS as first:
        try:
            return json.loads(body)
        except _FAULTS:
            raise unreadable(body, first) from None


def _counts_more(document: dict[str, Any], choices: list[Choice]) -> bool:
    """Tell whether there are more tokens than were drawn: some samplers send the prompt along.

    Where they do not count, what begins with the prompt counts as that, as the official client has it; where they do, a completion that
    repeats the prompt stays whole.
    """
    usage = document.get("usage")
    counted = usage.get("completion_tokens") if isinstance(usage, dict) else None
    return not isinstance(counted, int) or counted < sum(len(choice.tokens) for choice in choices)


def _without(choice: Choice, prompt: list[int]) -> Choice:
    if not prompt or len(choice.tokens) <= len(prompt) or choice.tokens[: len(prompt)] != prompt:
        return choice
    logprobs = choice.logprobs[len(prompt) :] if choice.logprobs is not None else None
    return replace(choice, tokens=choice.tokens[len(prompt) :], logprobs=logprobs)


def _choice(sent: dict[str, Any]) -> Choice:
    scores = sent.get("logprobs")
    scores = scores if isinstance(scores, dict) else {}
    tokens = _ids(sent.get("token_ids")) or _ids(scores.get("tokens")) or []
    given = scores.get("token_logprobs")
    logprobs = [_score(one) for one in given] if isinstance(given, list) else None
    if logprobs is not None and tokens:
        logprobs = (logprobs + [None] * len(tokens))[: len(tokens)]
    text, reason = sent.get("text"), sent.get("finish_reason")
    return Choice(tokens, logprobs, text if isinstance(text, str) else None, reason if isinstance(reason, str) and reason else None)


def _ids(sent: Any) -> list[int] | None:
    """Return a list of token ids, None if it is no such list."""
    if not isinstance(sent, list):
        return None
    found = [_id(one) for one in sent]
    return None if None in found else found  # type: ignore[return-value]  # mypy does not see that None is gone


def _id(sent: Any) -> int | None:
    if isinstance(sent, str):
        digits = sent.removeprefix(_TOKEN_ID)
        return _number(digits, _LARGEST_ID) if digits != sent else None
    return sent if isinstance(sent, int) and not isinstance(sent, bool) and 0 <= sent <= _LARGEST_ID else None


def _score(sent: Any) -> float | None:
    if isinstance(sent, bool) or not isinstance(sent, int | float):
        return None
    try:
        score = float(sent)
    except OverflowError:
        return None
    return None if math.isnan(score) else score


def _likely(entry: Any) -> dict[int, float] | None:
    if not isinstance(entry, dict):
        return None
    found: dict[int, float] = {}
    for key, value in entry.items():
        score = _score(value.get("logprob") if isinstance(value, dict) else value)
        token = _number(key, _LARGEST_ID)
        if token is not None and score is not None:
            found[token] = score
    return found


def _version(text: str | None) -> int | None:
    return None if text is None else _number(text, _LARGEST_VERSION)


def _number(text: str, largest: int) -> int | None:
    """Return the number that some digits are; None for what is none, or larger."""
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        return None
    return number if (number := int(text)) <= largest else None
