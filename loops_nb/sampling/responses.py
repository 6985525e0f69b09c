"""Lenient decoding of the answer of ``POST /sample``, which differs between samplers and versions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from loops_nb.api.decoding import unreadable
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
    tokens : list of int
        Sampled token ids; empty if the sampler sent only text.
    logprobs : list of float or None
        Natural log-probability of each token, None for missing ones; None if none was sent.
    text : str or None
        The text, if the sampler sent one.
    stop_reason : str or None
        ``stop``, ``length``, or another value of the sampler.
    """

    tokens: list[int]
    logprobs: list[float | None] | None
    text: str | None
    stop_reason: str | None


@dataclass(frozen=True, slots=True)
class SampleResponse:
    """The decoded answer to one request.

    Parameters
    ----------
    choices : list of Choice
        The completions.
    prompt_tokens : list of int
        The prompt as the sampler tokenized it.
    prompt_logprobs : list of float or None
        Log-probability of each token of the prompt; None unless requested.
    top_prompt_logprobs : list of dict or None
        For each token of the prompt, log-probabilities of the likeliest token ids.
    policy_version : int or None
        Version of the weights that answered, if the sampler sends it.
    """

    choices: list[Choice]
    prompt_tokens: list[int]
    prompt_logprobs: list[float | None] | None
    top_prompt_logprobs: list[dict[int, float] | None] | None
    policy_version: int | None


def read_answer(body: bytes, headers: Mapping[str, str], prompt: Sequence[int]) -> SampleResponse:
    """Decode the body of a good answer.

    Raises
    ------
    UnreadableAnswerError
        If it has no list of completions.
    """
    return read_completions(decoded(body), headers, prompt)


def read_completions(document: Any, headers: Mapping[str, str], prompt: Sequence[int]) -> SampleResponse:
    """Convert a decoded JSON document; errors as in `read_answer`."""
    found = as_dict(document).get("choices")
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise UnreadableAnswerError(
            "The sampler answered without the documented list of choices.", hint="Nothing was changed."
        )
    echoed = next((ids for one in found if (ids := _ids(one.get("prompt_token_ids")))), None)
    tokens = echoed or list(prompt)
    scored = next((one["prompt_logprobs"] for one in found if isinstance(one.get("prompt_logprobs"), list)), None)
    likely = logprobs = None
    if scored is not None:
        likely = [_likely(entry) for entry in scored]
        logprobs = [(entry or {}).get(token) for entry, token in zip(likely, tokens, strict=False)]
    choices = [_choice(one) for one in found]
    if _has_prompt(document, choices):
        choices = [
            _without_prompt(choice, _ids(one.get("prompt_token_ids")) or tokens)
            for choice, one in zip(choices, found, strict=True)
        ]
    return SampleResponse(
        choices=choices,
        prompt_tokens=tokens,
        prompt_logprobs=logprobs,
        top_prompt_logprobs=likely,
        policy_version=_number(headers.get(_VERSION_HEADER, ""), _LARGEST_VERSION),
    )


def decoded(body: bytes) -> Any:
    """Decode JSON, also with the words ``NaN`` and ``Infinity`` that Python servers write for numbers.

    Raises
    ------
    UnreadableAnswerError
        If it is not JSON.
    """
    try:
        return msgspec.json.decode(body)
    except _FAULTS as first:
        try:
            return json.loads(body)
        except _FAULTS:
            raise unreadable(body, first) from None


def as_dict(sent: Any) -> dict[str, Any]:
    """Return a JSON object; an empty one in place of any other value."""
    if isinstance(sent, dict):
        return sent
    return {}


def sum_logprobs(scores: Sequence[float | None] | None) -> float | None:
    """Return the sum of log-probabilities; None if there are none, or one is not known."""
    known = [one for one in scores or () if one is not None]
    if not scores or len(known) < len(scores):
        return None
    return sum(known)


def _has_prompt(document: dict[str, Any], choices: list[Choice]) -> bool:
    """Tell whether there are more tokens than were sampled: some samplers prepend the prompt.

    Without a count of theirs, a completion that begins with the prompt has it prepended, as in the official client;
    with a count, a completion that repeats the prompt stays complete.
    """
    counted = as_dict(document.get("usage")).get("completion_tokens")
    return not isinstance(counted, int) or counted < sum(len(choice.tokens) for choice in choices)


def _without_prompt(choice: Choice, prompt: list[int]) -> Choice:
    if not prompt or len(choice.tokens) <= len(prompt) or choice.tokens[: len(prompt)] != prompt:
        return choice
    logprobs = choice.logprobs
    if logprobs is not None:
        logprobs = logprobs[len(prompt) :]
    return replace(choice, tokens=choice.tokens[len(prompt) :], logprobs=logprobs)


def _choice(sent: dict[str, Any]) -> Choice:
    scores = as_dict(sent.get("logprobs"))
    tokens = _ids(sent.get("token_ids")) or _ids(scores.get("tokens")) or []
    given = scores.get("token_logprobs")
    logprobs = None
    if isinstance(given, list):
        logprobs = [_score(one) for one in given]
        if tokens:
            logprobs = (logprobs + [None] * len(tokens))[: len(tokens)]
    return Choice(tokens, logprobs, _text(sent.get("text")), _text(sent.get("finish_reason")) or None)


def _text(sent: Any) -> str | None:
    if isinstance(sent, str):
        return sent
    return None


def _ids(sent: Any) -> list[int] | None:
    """Return a list of token ids; None if it is not one."""
    if not isinstance(sent, list):
        return None
    found = [number for one in sent if (number := _id(one)) is not None]
    if len(found) < len(sent):
        return None
    return found


def _id(sent: Any) -> int | None:
    if isinstance(sent, str) and sent.startswith(_TOKEN_ID):
        return _number(sent.removeprefix(_TOKEN_ID), _LARGEST_ID)
    if isinstance(sent, int) and not isinstance(sent, bool) and 0 <= sent <= _LARGEST_ID:
        return sent
    return None


def _score(sent: Any) -> float | None:
    if isinstance(sent, bool) or not isinstance(sent, int | float):
        return None
    try:
        score = float(sent)
    except OverflowError:
        return None
    if math.isnan(score):
        return None
    return score


def _likely(entry: Any) -> dict[int, float] | None:
    if not isinstance(entry, dict):
        return None
    found: dict[int, float] = {}
    for key, value in entry.items():
        score = _score(as_dict(value).get("logprob", value))
        token = _number(key, _LARGEST_ID)
        if token is not None and score is not None:
            found[token] = score
    return found


def _number(text: str, largest: int) -> int | None:
    """Parse digits; None if it is not a number up to the limit."""
    if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER and int(text) <= largest:
        return int(text)
    return None
