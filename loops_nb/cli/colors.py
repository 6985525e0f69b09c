"""Colors of states in a terminal; none where ``NO_COLOR`` is set, where ``TERM`` is ``dumb``, and in a pipe."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, TextIO

from loops_nb.api.states import ENDED, FAILED, IN_TRANSITION, SLEEPING, WORKING
from loops_nb.cli.streams import is_terminal

if TYPE_CHECKING:
    from collections.abc import Callable

_BOLD, _DIM, _RED, _GREEN, _YELLOW = "1", "2", "31", "32", "33"
_STATE = re.compile(r"[●◐○✕■] ([A-Z_]{3,})")
_COLORS = {
    **dict.fromkeys(WORKING, _GREEN),
    **dict.fromkeys(IN_TRANSITION, _YELLOW),
    **dict.fromkeys(FAILED, _RED),
    **dict.fromkeys(ENDED | SLEEPING, _DIM),
}


def paint_for(out: TextIO | None) -> Callable[[str, str, bool], str] | None:
    """Return the function that paints cells of tables for a stream, as `loops_nb.render.tables.as_text` takes it."""
    if not is_terminal(out) or os.environ.get("NO_COLOR") or os.environ.get("TERM", "") in {"", "dumb"}:
        return None
    return _paint


def paint_states(report: str) -> str:
    """Return a report with its states in color, which it writes with an icon in front."""
    return _STATE.sub(lambda found: _paint(found[1], found[0], False), report)  # noqa: FBT003


def _paint(text: str, padded: str, is_heading: bool) -> str:  # noqa: FBT001 - called by position
    # A report has an icon before the state.
    code = _BOLD if is_heading else _COLORS.get(text.rpartition(" ")[2])
    return padded if code is None else f"\x1b[{code}m{padded}\x1b[0m"
