"""Help texts, drawn from the grammar."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from loops_nb.magics.grammar import argument_form

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from loops_nb.magics.grammar import Verb

_WIDTH = 100

INTRODUCTION = """\
%loops: Baseten Loops from the notebook. Listings are pandas DataFrames, one thing is an object.

Usage:
  %loops                   where you are connected, what is alive, what to type next
  %loops VERB ...          do it and show it
  df = %loops VERB ...     do it and keep it
  %%loops sample ...       complete the prompt in the cell below it
"""

CLOSING = """\
Values: $name and {expression} are the notebook's own ({run.id}, {df.run_id[0]}); quote a text with spaces.
Tab completes verbs, options, ids, names, checkpoints behind RUN/, metric keys and files. %config LoopsMagics shows the settings.
A cell shows what its last line gives; display(df) shows more. A last ; shows nothing.
%loops VERB --help says more about a verb."""

EXAMPLES = (
    ("%loops local start", "a service of your own with sample data: no key, no network"),
    ("%loops login", "or: keep an API key for the hosted service"),
    ("df = %loops runs --base-model Qwen/Qwen3-8B", "runs as a DataFrame"),
    ("%loops watch", "a live panel of them, also while the cell trains"),
    ("%loops checkpoints k4q95w5", "what a run has saved"),
    ("%%loops sample k4q95w5", "completions of the prompt in the cell, by a run's sampler"),
    ("%loops find --newer-than 2d --status ACTIVE", "which run was it?"),
)


def general_help(groups: Sequence[tuple[str, Sequence[Verb]]]) -> str:
    """Return the help of ``%loops`` itself.

    Parameters
    ----------
    groups
        Headings and the verbs below them.
    """
    lines = [INTRODUCTION]
    for heading, verbs in groups:
        lines.append(f"{heading}:")
        lines += _table((_heading(verb), verb.summary) for verb in verbs)
        lines.append("")
    lines.append("Examples:")
    lines += _table(EXAMPLES, width=46)
    return "\n".join([*lines, "", CLOSING])


def verb_help(verb: Verb) -> str:
    """Return the help of one verb."""
    usage = textwrap.fill(
        verb.usage, _WIDTH, initial_indent="  ", subsequent_indent="      ", break_long_words=False, break_on_hyphens=False
    )
    lines = [f"{verb.line}: {verb.summary}.", "", "Usage:", usage]
    if verb.verbs:
        lines += ["", "What:"]
        lines += _table((v.word, v.summary) for v in verb.verbs)
        lines += ["", f"%loops {verb.name} WHAT --help says more."]
    arguments = [a for a in verb.arguments if a.metavar]
    if arguments:
        lines += ["", "Words:"]
        lines += _table((a.metavar, a.help) for a in arguments)
    if verb.options:
        lines += ["", "Options:"]
        lines += _table((f"{', '.join(o.flags)} {o.metavar}".rstrip(), o.help) for o in verb.options)
    if verb.notes:
        lines += ["", textwrap.fill(verb.notes, _WIDTH, break_long_words=False, break_on_hyphens=False)]
    if verb.examples:
        lines += ["", "Examples:"]
        lines += [f"  {example}" for example in verb.examples]
    return "\n".join(lines)


def _heading(verb: Verb) -> str:
    words = [verb.word]
    if verb.verbs:
        words.append("|".join(v.word for v in verb.verbs))
    words += [argument_form(a) for a in verb.arguments if a.metavar]
    return " ".join(words)


def _table(rows: Iterable[tuple[str, str]], *, width: int = 30) -> list[str]:
    lines = []
    for left, right in rows:
        first = f"  {left:<{width}}"
        if len(left) >= width:
            lines.append(f"  {left}")
            first = " " * (width + 2)
        lines.append(
            textwrap.fill(
                right, _WIDTH, initial_indent=first, subsequent_indent=" " * (width + 2), break_long_words=False, break_on_hyphens=False
            )
        )
    return lines
