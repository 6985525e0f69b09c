"""Keys of ``DataFrame.attrs``; without pandas."""

from __future__ import annotations

#: A frame's kind.
KIND_ATTR = "loops_kind"
#: Sentences about how a frame was made; they are shown below it.
NOTES_ATTR = "loops_notes"
#: The text that is shown in place of a frame without rows.
EMPTY_ATTR = "loops_empty"
