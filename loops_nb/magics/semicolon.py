"""``df = %loops runs;``: the semicolon of other languages, at the end of an assignment.

IPython takes it as "do not keep what the magic gives", and the name would be None.  Nothing is shown of an assignment anyway, so the
semicolon is taken off the line before IPython reads it.
"""

from __future__ import annotations

import re

_ASSIGNMENT = re.compile(r"^(\s*[^\s=%#'\"][^=%]*=\s*%loops\s.*?)[\s;]*;\s*$")


def without_semicolon(lines: list[str]) -> list[str]:
    """Return the lines of a cell, assignments of ``%loops`` without a last semicolon; a cell for another magic stays as it is."""
    if lines and lines[0].lstrip().startswith("%%"):
        return lines
    return [f"{found[1]}\n" if (found := _ASSIGNMENT.match(line)) else line for line in lines]
