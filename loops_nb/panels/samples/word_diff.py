"""Word-level differences of two texts, for the static report; ``js/src/samples/word-diff.ts`` does the same live."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import takewhile
from operator import eq
from typing import Literal, NamedTuple

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
#: Between what two texts begin and end with in common, so many words are compared, and the rest as a whole.
_MOST_WORDS = 400


class DiffPart(NamedTuple):
    """A part of two texts: in both, only in the newer one, or only in the older one."""

    kind: Literal["same", "added", "removed"]
    text: str


# A report is made again and again while a training runs; most of its texts are the same as before.
@lru_cache(maxsize=64)
def word_diff(old: str, new: str) -> tuple[DiffPart, ...]:
    """Return the parts of two texts, in the order of the newer one; removed parts stand where they were."""
    before, after = _WORDS.findall(old), _WORDS.findall(new)
    start = _common(before, after)
    end = _common(before[start:][::-1], after[start:][::-1])
    parts = [DiffPart("same", "".join(after[:start]))]
    tail = DiffPart("same", "".join(after[len(after) - end :]))
    before, after = before[start : len(before) - end], after[start : len(after) - end]
    rest = [DiffPart("removed", "".join(before[_MOST_WORDS:])), DiffPart("added", "".join(after[_MOST_WORDS:]))]
    before, after = before[:_MOST_WORDS], after[:_MOST_WORDS]
    for kind, low, high, first, last in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            parts.append(DiffPart("same", "".join(after[first:last])))
            continue
        parts += [DiffPart("removed", "".join(before[low:high])), DiffPart("added", "".join(after[first:last]))]
    return tuple(_joined([part for part in [*parts, *rest, tail] if part.text]))


def _common(before: Sequence[str], after: Sequence[str]) -> int:
    """Return how many words two texts begin with in common."""
    return sum(takewhile(bool, map(eq, before, after)))


def shortened(parts: Sequence[DiffPart], context: int) -> Sequence[DiffPart]:
    """Return the parts with what did not change shortened to its ends, so that changes far into a text are seen."""
    if all(part.kind == "same" for part in parts):
        return parts
    found = []
    for place, part in enumerate(parts):
        is_first, is_last = place == 0, place == len(parts) - 1
        if part.kind == "same" and len(part.text) > (1.5 if is_first or is_last else 3) * context:
            head = "" if is_first else part.text[:context]
            tail = "" if is_last else part.text[-context:]
            found.append(DiffPart("same", f"{head} … {tail}"))
        else:
            found.append(part)
    return found


def _joined(parts: list[DiffPart]) -> list[DiffPart]:
    """Join neighbouring changes to one removed and one added part; white space between two changes belongs to both."""
    found: list[DiffPart] = []
    removed = added = ""
    for place, (kind, text) in enumerate(parts):
        is_between = bool(removed or added) and place + 1 < len(parts) and parts[place + 1].kind != "same"
        if kind == "same" and text.isspace() and is_between:
            removed, added = removed + text, added + text
        elif kind == "same":
            found += [DiffPart("removed", removed), DiffPart("added", added), DiffPart("same", text)]
            removed = added = ""
        elif kind == "removed":
            removed += text
        else:
            added += text
    found += [DiffPart("removed", removed), DiffPart("added", added)]
    return [part for part in found if part.text]
