"""How wide a text is on a picture, and how it is cut; nobody can measure it before it is drawn, so this is a careful guess."""

from __future__ import annotations

import unicodedata

from loops_nb.errors import one_line

# Of the height of the letters.
_USUAL = 0.6
_BROAD = 1.05
_BOLD = 1.1


def width(text: str, height: float, *, is_bold: bool = False) -> float:
    """Return about how many pixels a text takes in a plain sans-serif."""
    return sum(map(_share, text)) * height * (_BOLD if is_bold else 1)


def cut(text: str, height: float, most: float) -> str:
    """Return a text as one line that takes no more than so many pixels."""
    line = one_line(text, limit=500)
    if width(line, height) <= most:
        return line
    taken = width("…", height)
    for at, character in enumerate(line):
        taken += _share(character) * height
        if taken > most:
            return line[:at].rstrip() + "…"
    return line


def cut_paths(paths: list[str], height: float, most: float) -> list[str]:
    """Return dotted paths in at most so many pixels each: without what all begin with, and then without their middle."""
    parts = [one_line(path, limit=500).split(".") for path in paths]
    common = 0
    while len(parts) > 1 and all(len(names) > common + 1 and names[common] == parts[0][common] for names in parts):
        common += 1
    return [_ends(names[common:], height, most) for names in parts]


def _ends(names: list[str], height: float, most: float) -> str:
    whole = ".".join(names)
    if width(whole, height) <= most or len(names) == 1:
        return cut(whole, height, most)
    return cut(f"{names[0]}…{names[-1]}", height, most)


def _share(character: str) -> float:
    if character.isascii():
        return 0.3 if character in " .,:;|!'ilj" else 0.85 if character in "MW@mw%" else _USUAL
    if unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return _BROAD if unicodedata.east_asian_width(character) in {"W", "F"} else 0.65
