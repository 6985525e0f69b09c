"""The page's half of the panels: JavaScript modules, built into the package, one for each kind of widget."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from loops_nb.errors import LoopsError

NAME = "panels.js"


@cache
def page_code(name: str = NAME) -> str:
    """Return the text of a module.

    It is saved with every widget whose state a notebook keeps, so it is small; and it is a text, not a path, because a
    watched file would keep every widget alive.

    Parameters
    ----------
    name
        Of its file.

    Raises
    ------
    LoopsError
        If this copy of the package was not built.
    """
    path = files("loops_nb") / "static" / name
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LoopsError(
            "The panels' page code was not built into this copy of loops_nb.",
            hint="In a clone, with Node 20 or newer: pip install . (or: cd js && npm ci && npm run build)",
        ) from None
