"""Texts of ``%loops`` as a shell has them: ``loops-nb VERB`` in place of ``%loops VERB``.

Verbs, the client and the errors name the lines of the notebook.  Here is the one place that turns them into commands,
for messages, errors and help; data of the service is never rewritten.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_REPLACEMENTS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Of a listing as a DataFrame, which a shell does not have.
    (
        re.compile(r"A listing is a DataFrame: .*?df\.to_csv\(\.\.\.\)"),
        "Listings are printed for other programs with --json or --jsonl: loops-nb runs --jsonl",
    ),
    (
        re.compile(r"%config LoopsMagics\.row_limit = \d+ sets .*?; the DataFrame has all"),
        "A pipe shortens what is printed: loops-nb runs | head -20",
    ),
    (re.compile(r"the prompt in the cell\b"), "the prompt on the standard input"),
    (re.compile(r"%config LoopsMagics\.(\w+)(?: = (?:''|\S+))?"), r"\1 in [tool.loops_nb] of pyproject.toml"),
    (re.compile(r"%config LoopsMagics"), "[tool.loops_nb] in pyproject.toml"),
    (re.compile(r"%pip "), "pip "),
    (re.compile(r"To see it live, type in a notebook:"), "To see it live, in a terminal:"),
    (re.compile(r"%loops connect (?=https?://)"), "export LOOPS_BASE_URL="),
    # There are no variables: an id is typed, or taken with -q.
    (re.compile(r"\b[a-z]\w* = (?=%loops\b)"), ""),
    (re.compile(r"\{s(?:ession)?\.id\}"), "SESSION"),
    (re.compile(r"%%?loops alone\b"), "loops-nb status"),
    # A line without a verb; `%loops has no verb` and `%loops VERB` go on.
    (re.compile(r"%%?loops(?=[,.;:)]|$)", re.MULTILINE), "loops-nb status"),
    (re.compile(r"%%?loops\b"), "loops-nb"),
)
_HOW_TO_SEE_LIVE = "\n\nTo see it live,"
#: A variable of the notebook; of a session, a command says SESSION.
_VARIABLE = re.compile(r"\$\w|\{(?!s\.id\})")
#: An option whose value is a name of the notebook, and in a shell that of a module.
_NAME = re.compile(r"--(?:executor|score) (?=\w+(?:\s|$))")
_ASSIGNED = re.compile(r"^\w+ = ")
#: Words of sentences about a notebook.
_NOTEBOOK = re.compile(
    r"\bdf\b|\bdf\.|DataFrame|In Python|Returns an object|\bnotebooks?\b|\bcells?\b|%%|\bpanels?\b|\bp = |\bp\.|"
    r"loops_nb\.|\bloops\.\w+\(|\bkernels?\b"
)
_SENTENCES = re.compile(r"(?<=[.:])\s+(?=[A-Z`%-])")


def in_shell(text: str) -> str:
    """Return a message or a help text with commands in place of the lines of a notebook.

    Examples
    --------
    >>> in_shell("Type %loops local start (sample data, no key needed) or %loops login")
    'Type loops-nb local start (sample data, no key needed) or loops-nb login'
    """
    if "%" not in text:
        return text
    for pattern, replacement in _REPLACEMENTS:
        text = pattern.sub(replacement, text)
    return text


def without_how_to_see_live(report: str) -> str:
    """Return a report without its last line, which a live view does not need."""
    return report.partition(_HOW_TO_SEE_LIVE)[0]


def commands(examples: Iterable[str], left_out: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the lines of a notebook that are commands as well.

    Parameters
    ----------
    examples : iterable of str
        Lines of a notebook.
    left_out : iterable of str, default ()
        Options that a shell does not have.

    Returns
    -------
    tuple of str
        The lines without assignments, those without variables and without these options; a name of the notebook is
        one of a module.
    """
    without = set(left_out)
    lines = [_NAME.sub(r"\g<0>my_module:", _ASSIGNED.sub("", example)) for example in examples]
    return tuple(
        dict.fromkeys(
            line
            for line in lines
            if not (_VARIABLE.search(line) or line.startswith("%%") or without.intersection(line.split()))
        )
    )


def without_notebook(notes: str) -> str:
    """Return the sentences of notes that are not about a notebook."""
    return " ".join(sentence for sentence in _SENTENCES.split(notes) if not _NOTEBOOK.search(sentence))
