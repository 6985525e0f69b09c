"""Pieces of SVG as text: every value escaped, every coordinate short."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from loops_nb.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Stands for the picture's own name inside its ids until that is known.  No text can hold it: control characters are taken out.
OWN = "\x00"
_LONGEST = 300


def number(value: float) -> str:
    """Return a coordinate with at most two decimals."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def percent(value: float) -> str:
    """Return a share of the picture's width."""
    return f"{number(value)}%"


def tag(name: str, *inner: str, **attributes: str | float | None) -> str:
    """Return an element.

    Parameters
    ----------
    name
        Its name.
    inner
        What is in it: markup already.
    attributes
        Its attributes: a ``_`` inside a name is a ``-``, one at its end is dropped (``class_``); those that are None are left out.
    """
    said = "".join(f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"' for key, value in attributes.items() if value is not None)
    return f"<{name}{said}>{''.join(inner)}</{name}>" if inner else f"<{name}{said}/>"


def safe(text: str) -> str:
    """Return a text as markup: one printable line, of bounded length, in which nothing is special."""
    return escape(one_line(text, limit=_LONGEST), quote=False)


def hover(lines: Iterable[str]) -> str:
    """Return what is shown while the pointer rests on an element."""
    return f"<title>{chr(10).join(safe(line) for line in lines)}</title>"


def _value(value: str | float) -> str:
    if not isinstance(value, str):
        return number(value)
    return escape("".join(c if c.isprintable() or c == OWN else " " for c in value))
