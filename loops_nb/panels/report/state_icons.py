"""States with an icon in front, which makes failed ones easy to find where there is no colour."""

from __future__ import annotations

from loops_nb.panels import messages
from loops_nb.panels.columns import TONES
from loops_nb.render.formatting import MISSING
from loops_nb.render.tables import Field

ICONS: dict[messages.Tone, str] = {"good": "●", "busy": "◐", "idle": "○", "bad": "✕", "over": "■", "unknown": "?"}


def state_words(word: messages.Cell) -> str:
    """Return a state with its icon."""
    return f"{ICONS[TONES.get(str(word), 'unknown')]} {word}" if word else MISSING


def without_empty(fields: list[Field]) -> list[Field]:
    """Return the columns that are not empty."""
    return [column for column in fields if any(cell != MISSING for cell in column.cells)]
