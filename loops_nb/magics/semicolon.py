"""Signs at the end of a line that IPython would read for itself.

``df = %loops runs;``: IPython takes the semicolon as "do not keep what the magic gives", and the name would be None.  Nothing is shown of
an assignment anyway, so the semicolon is taken off the line before IPython reads it.

``%loops runs?``: IPython looks for help about a Python object ``runs``, and does not find it.  The line asks for the help of the verb.
"""

from __future__ import annotations

import re

_ASSIGNMENT = re.compile(r"^(\s*[^\s=%#'\"][^=%]*=\s*%loops\s.*?)[\s;]*;\s*$")
# Verbs only: a note and a prompt may end with a question mark.
_QUESTION = re.compile(r"^(\s*%{1,2}loops(?:\s+[a-z]+){1,2})\s*\?{1,2}\s*$")


def with_help(lines: list[str]) -> list[str]:
    """Return the lines of a cell, with ``%loops VERB?`` as ``%loops VERB --help``; a cell of more than one line stays as it is."""
    found = _QUESTION.match(lines[0]) if len(lines) == 1 else None
    return [f"{found[1]} --help\n"] if found else lines


def without_semicolon(lines: list[str]) -> list[str]:
    """Return the lines of a cell, assignments of ``%loops`` without a last semicolon; a cell for another magic stays as it is."""
    if lines and lines[0].lstrip().startswith("%%"):
        return lines
    return [f"{found[1]}\n" if (found := _ASSIGNMENT.match(line)) else line for line in lines]
