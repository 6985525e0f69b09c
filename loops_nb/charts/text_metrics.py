"""Widths of texts in matplotlib's bundled font, and texts cut to a width."""

from __future__ import annotations

import threading
import unicodedata
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib.ft2font import FT2Font

from loops_nb.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Comes with matplotlib, so that no setting and no missing font changes a layout; most fonts of pages are narrower.
FONT = "DejaVu Sans"
_LONGEST = 500
_EM = 100
_LOCK = threading.Lock()


def text_width(text: str, size: float, *, is_bold: bool = False) -> float:
    """Return the width of a text in points.

    Unlike matplotlib's own measuring this does not warn about characters that the font lacks.
    """
    return sum(_advance(character, is_bold=is_bold) for character in text) * size


def cut_text(text: str, size: float, most: float) -> str:
    """Return a text as one line of at most ``most`` points, with an ellipsis where it was cut."""
    line = one_line(text, limit=_LONGEST)
    if text_width(line, size) <= most:
        return line
    taken = text_width("…", size)
    for at, character in enumerate(line):
        taken += _advance(character, is_bold=False) * size
        if taken > most:
            return line[:at].rstrip() + "…"
    return line


def cut_paths(paths: Sequence[str], size: float, most: float) -> list[str]:
    """Return dotted paths of at most ``most`` parts: without their common beginning, then without their middle."""
    parts = [one_line(path, limit=_LONGEST).split(".") for path in paths]
    common = 0
    while len(parts) > 1 and all(len(names) > common + 1 and names[common] == parts[0][common] for names in parts):
        common += 1
    return [_without_middle(names[common:], size, most) for names in parts]


def _without_middle(names: list[str], size: float, most: float) -> str:
    whole = ".".join(names)
    if text_width(whole, size) <= most or len(names) == 1:
        return cut_text(whole, size, most)
    return cut_text(f"{names[0]}…{names[-1]}", size, most)


@cache
def _advance(character: str, *, is_bold: bool) -> float:
    """Return the width of a character as a share of the font size."""
    # One font object must not be used by two threads at once.
    with _LOCK:
        font = _font(is_bold=is_bold)
        index = font.get_char_index(ord(character))
        if index:
            return float(font.load_glyph(index).linearHoriAdvance) / 65_536 / _EM
    if unicodedata.category(character) in {"Mn", "Me"}:
        return 0.0
    return 1.0 if unicodedata.east_asian_width(character) in {"W", "F"} else 0.7


@cache
def _font(*, is_bold: bool) -> FT2Font:
    name = "DejaVuSans-Bold.ttf" if is_bold else "DejaVuSans.ttf"
    font = FT2Font(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / name))
    font.set_size(_EM, 72)
    return font
