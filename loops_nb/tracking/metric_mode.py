"""Whether lower or higher values of a metric are better, inferred from its key where that is unambiguous."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal

from loops_nb.errors import InvalidArgumentError

_WORD = re.compile(r"[fF]1(?!\d)|[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_MIN_WORDS = frozenset(_WORD.findall("loss losses nll perplexity ppl error errors err mse rmse mae wer cer bpb"))
_MAX_WORDS = frozenset(
    _WORD.findall(
        "accuracy accuracies acc reward rewards return returns score scores f1 auc auroc precision recall bleu rouge "
        "success win"
    )
)
# A key with one of these is about something else or inverted: loss_scale, reward_std, toxicity_score.
_OTHER_WORDS = frozenset(
    _WORD.findall(
        "std var variance scale scaling weight coef coefficient beta norm grad gradient delta change diff difference "
        "gap ratio count num number seconds time clip clipped threshold target limit improvement reduction drop lag "
        "skew negative neg minus inverse inv no non not penalty cost toxicity toxic hallucination anomaly risk harm "
        "harmful refusal bias distance regret"
    )
)


def infer_mode(key: str) -> Literal["min", "max"] | None:
    """Return ``min`` or ``max`` for a metric whose key says which values are better; None for any other.

    ``loss``, ``eval/nll`` and ``word_error_rate`` are better when lower, ``accuracy``, ``mean_reward`` and ``f1`` when
    higher.  A key with words of both kinds is a loss if the last word is one: ``reward_loss``.

    Parameters
    ----------
    key : str
        Key of the metric.
    """
    words = [word.lower() for word in _WORD.findall(key)]
    if any(word in _OTHER_WORDS for word in words):
        return None
    is_min = any(word in _MIN_WORDS for word in words) or ("cross", "entropy") in pairwise(words)
    is_max = any(word in _MAX_WORDS for word in words)
    if is_min and is_max:
        return "min" if words[-1] in _MIN_WORDS else None
    if is_min:
        return "min"
    return "max" if is_max else None


def unknown_mode(metric: str) -> InvalidArgumentError:
    """Return the error for a key that does not say which values are better."""
    return InvalidArgumentError(
        f"The name {metric!r:.60} does not tell whether lower or higher values are better.",
        argument="mode",
        hint='Say mode="min" or mode="max".',
    )
