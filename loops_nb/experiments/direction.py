"""Which way a metric is better, told by its key: only where a person could not mean the other."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Literal

_WORD = re.compile(r"[fF]1(?!\d)|[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_LOWEST = frozenset(_WORD.findall("loss losses nll perplexity ppl error errors err mse rmse mae wer cer bpb"))
_HIGHEST = frozenset(
    _WORD.findall("accuracy accuracies acc reward rewards return returns score scores f1 auc auroc precision recall bleu rouge success win")
)
# Where one of them stands in a key too, the number tells something else, or is turned round: loss_scale, reward_std, toxicity_score.
_TURNS = frozenset(
    _WORD.findall(
        "std var variance scale scaling weight coef coefficient beta norm grad gradient delta change diff difference gap ratio count num"
        " number seconds time clip clipped threshold target limit improvement reduction drop lag skew negative neg minus inverse inv no non"
        " not penalty cost toxicity toxic hallucination anomaly risk harm harmful refusal bias distance regret"
    )
)


def known_mode(key: str) -> Literal["min", "max"] | None:
    """Return ``min`` or ``max`` for a metric whose name tells which values are better; None where it does not.

    ``loss``, ``eval/nll`` and ``word_error_rate`` are better when lower, ``accuracy``, ``mean_reward`` and ``f1`` when higher.  Words with
    both meanings count as a loss where that is the last of them: ``reward_loss``.
    """
    words = [word.lower() for word in _WORD.findall(key)]
    if any(word in _TURNS for word in words):
        return None
    lowest = any(word in _LOWEST for word in words) or ("cross", "entropy") in pairwise(words)
    highest = any(word in _HIGHEST for word in words)
    if lowest and highest:
        return "min" if words[-1] in _LOWEST else None
    return "min" if lowest else "max" if highest else None
