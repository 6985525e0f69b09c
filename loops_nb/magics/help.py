"""Help texts of ``%loops`` and its verbs, generated from the grammar."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from loops_nb.magics.grammar import Verb

_WIDTH = 100

INTRODUCTION = """\
%loops: Baseten Loops in the notebook. Listings are pandas DataFrames, single resources are objects.

Usage:
  %loops                   connection, active runs and samplers, next steps
  %loops VERB ...          run a verb and show its result
  df = %loops VERB ...     run a verb and assign its result
  %%loops sample ...       complete the prompt in the cell
"""

CLOSING = """\
Values: $name and {expression} are variables and expressions of the notebook ({run.id}, {df.run_id[0]}).
Quote text with spaces. %config LoopsMagics shows the settings.
Tab completes verbs, options, ids, names, checkpoints after RUN/, metric keys and files.
A cell shows the result of its last line; display(df) shows others. A final ; hides the result.
%loops VERB --help describes a verb."""

EXAMPLES = (
    ("%loops local start", "start a local service with sample data: no key, no network"),
    ("%loops login", "or: store an API key for the hosted service"),
    ("df = %loops runs --base-model Qwen/Qwen3-8B", "runs as a DataFrame"),
    ("%loops watch", "a panel of all runs that updates live, also while a cell trains"),
    ("%loops checkpoints p2syas8", "checkpoints of a run"),
    ("%%loops sample p2syas8", "completions of the prompt in the cell, from a run's sampler"),
    ("%loops find --newer-than 2d --status ACTIVE", "search runs"),
)


def general_help(groups: Sequence[tuple[str, Sequence[Verb]]]) -> str:
    """Return the help of ``%loops`` itself.

    Parameters
    ----------
    groups : sequence of (str, sequence of Verb)
        Headings and the verbs below them.
    """
    lines = [INTRODUCTION]
    for heading, verbs in groups:
        lines.append(f"{heading}:")
        lines += two_columns((verb_heading(verb), verb.summary) for verb in verbs)
        lines.append("")
    lines.append("Examples:")
    lines += two_columns(EXAMPLES, width=46)
    return "\n".join([*lines, "", CLOSING])


def verb_help(verb: Verb) -> str:
    """Return the help of one verb."""
    usage = textwrap.fill(
        verb.usage,
        _WIDTH,
        initial_indent="  ",
        subsequent_indent="      ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    lines = [f"{verb.line}: {verb.summary}.", "", "Usage:", usage]
    if verb.verbs:
        lines += ["", "Verbs:"]
        lines += two_columns((v.word, v.summary) for v in verb.verbs)
        lines += ["", f"%loops {verb.name} VERB --help describes one."]
    arguments = [a for a in verb.arguments if a.metavar]
    if arguments:
        lines += ["", "Arguments:"]
        lines += two_columns((a.metavar, a.help) for a in arguments)
    if verb.options:
        lines += ["", "Options:"]
        lines += two_columns((f"{', '.join(o.flags)} {o.metavar}".rstrip(), o.help) for o in verb.options)
    if verb.notes:
        lines += ["", textwrap.fill(verb.notes, _WIDTH, break_long_words=False, break_on_hyphens=False)]
    if verb.examples:
        lines += ["", "Examples:"]
        lines += [f"  {example}" for example in verb.examples]
    return "\n".join(lines)


def verb_heading(verb: Verb) -> str:
    """Return a verb with its arguments, as the general help lists it."""
    words = [verb.word]
    if verb.is_group:
        words.append("|".join(v.word for v in verb.verbs))
    words += [argument.usage for argument in verb.arguments if argument.metavar]
    return " ".join(words)


def two_columns(rows: Iterable[tuple[str, str]], *, width: int = 30) -> list[str]:
    """Return lines with words on the left and what they mean on the right."""
    lines = []
    for left, right in rows:
        first = f"  {left:<{width}}"
        if len(left) >= width:
            lines.append(f"  {left}")
            first = " " * (width + 2)
        lines.append(
            textwrap.fill(
                right,
                _WIDTH,
                initial_indent=first,
                subsequent_indent=" " * (width + 2),
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    return lines
