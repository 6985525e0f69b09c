"""The training step in a checkpoint's name."""

from __future__ import annotations

import re

#: Suffix that the serverless service appends to a saved name, once or more.
_SUFFIX = re.compile(r"(?:-[0-9a-f]{32})+\Z")
_AFTER_WORD = re.compile(
    r"(?<![A-Za-z])(?:global[-_]?steps?|steps?|checkpoint|ckpt|iteration|iter)[-_.=]*([0-9]{1,18})(?![0-9A-Za-z]|\.[0-9])",
    re.IGNORECASE,
)
_BEFORE_WORD = re.compile(
    r"(?<![0-9A-Za-z.])([0-9]{1,18})[-_]?(?:steps?|iterations?|iters?)(?![A-Za-z])", re.IGNORECASE
)
_BARE = re.compile(r"[0-9]{1,18}")


def step_of(name: str) -> int | None:
    """Return the training step in a checkpoint's name, or None.

    A number counts after ``step``, ``steps``, ``global_step``, ``ckpt``, ``checkpoint``, ``iter`` or ``iteration``
    (``step-100``, ``ckpt_000100``, ``epoch-2-step-100``), before ``steps`` (``100-steps``), or alone (``000100``).  Of
    several, the last one counts.  Any other number may be an epoch, a version, a rank or a date, not a step.

    Parameters
    ----------
    name : str
        The saved name (``checkpoint_id``).
    """
    name = _SUFFIX.sub("", name)
    if _BARE.fullmatch(name):
        return int(name)
    found = _AFTER_WORD.findall(name) or _BEFORE_WORD.findall(name)
    return int(found[-1]) if found else None
