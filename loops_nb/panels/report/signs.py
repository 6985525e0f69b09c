"""States as words, with a sign in front that makes the bad ones easy to find where nothing has a colour."""

from __future__ import annotations

from loops_nb.drawing.tables import Field
from loops_nb.drawing.wording import MISSING
from loops_nb.panels import wire
from loops_nb.panels.columns import TONES

SIGNS: dict[wire.Tone, str] = {"good": "●", "busy": "◐", "idle": "○", "bad": "✕", "over": "■", "unknown": "?"}


def state_words(word: wire.Cell) -> str:
    """Return a state with its sign."""
    return f"{SIGNS[TONES.get(str(word), 'unknown')]} {word}" if word else MISSING


def without_empty(fields: list[Field]) -> list[Field]:
    """Return the columns in which something stands."""
    return [column for column in fields if any(cell != MISSING for cell in column.cells)]
