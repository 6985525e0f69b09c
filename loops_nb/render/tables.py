"""Tables of plain text, for a terminal and as HTML: control characters and markup in a text do nothing."""

from __future__ import annotations

import textwrap
import unicodedata
from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING

from loops_nb.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    #: From a cell, its text in the width of its column and whether it is a heading to what is written: colors.
    Paint = Callable[[str, str, bool], str]

#: The width of what is no terminal: nothing is cut or left out.
UNBOUNDED = 100_000
_GAP = "  "
_WIDEST = 40
_LONGEST = 2000
_LEAST_OF_LONG = 30
# A name that is longer would push the other columns off the page, and the other rows.
_LONGEST_LINE = 120
_LONGEST_NAME = 240
_MOST_NAMED = 24
# Only what a notebook's own style for tables lacks; where styles are taken out (GitHub) the table stays readable.
_STYLE = (
    ".loops-nb th,.loops-nb td{text-align:left!important;vertical-align:top;white-space:nowrap}"
    ".loops-nb .n{text-align:right!important;font-variant-numeric:tabular-nums}"
    ".loops-nb .w{white-space:pre-wrap;overflow-wrap:anywhere;min-width:16em}.loops-nb p{margin:4px 0;opacity:.8}"
    ".loops-nb caption{text-align:left;font-weight:bold;white-space:nowrap}"
)
# Without these a notebook takes what stands between dollar signs for a formula, and typesets it.
_NO_FORMULAS = "tex2jax_ignore mathjax_ignore"


@dataclass(frozen=True)
class Field:
    """One column.

    Parameters
    ----------
    heading, cells
        Its texts.
    is_number
        Drawn to the right.
    rank
        How important it is when room is short; 0 is most.
    is_long
        A text that must not be cut, as a URI: it is wrapped where there is no room.
    is_prose
        A long text in words, as a log line: wrapped on a page too.
    is_short
        A few words that read badly in two lines, as a state: kept in one also where styles are taken out.
    is_whole
        A long text that is there to be copied: not wrapped as long as less important columns can be left out for it.
    """

    heading: str
    cells: list[str]
    is_number: bool = False
    rank: int = 0
    is_long: bool = False
    is_prose: bool = False
    is_whole: bool = False
    is_short: bool = False


@dataclass(frozen=True)
class Table:
    """Columns side by side, and sentences below."""

    fields: list[Field]
    notes: list[str] = field(default_factory=list)


def as_html(table: Table) -> str:
    """Draw a table as HTML that needs no style sheet and follows the page's colours."""
    return page(rows_html(table))


def page(parts: list[str], *, classes: str = "", style: str = "") -> str:
    """Return parts that are HTML already as one piece of a notebook's page.

    Parameters
    ----------
    parts
        As `rows_html` and `sentence` make them.
    classes
        Further classes of the root element.
    style
        Further CSS rules.
    """
    opening = (
        f'<div class="{" ".join(filter(None, ("loops-nb", classes, _NO_FORMULAS)))}"><style>{_STYLE}{style}</style>'
    )
    return "\n".join([opening, *parts, "</div>"])


def rows_html(table: Table, caption: str = "") -> list[str]:
    """Draw a table and its sentences as the parts of a page."""
    marks = [_mark(f) for f in table.fields]
    inner = [f"{mark} nowrap" if f.is_short else mark for f, mark in zip(table.fields, marks, strict=True)]
    most_of = [_LONGEST if f.is_long else _LONGEST_NAME for f in table.fields]
    heads = "".join(
        f'<th scope="col"{mark}>{_safe(f.heading, _LONGEST_NAME)}</th>'
        for f, mark in zip(table.fields, marks, strict=True)
    )
    lines = [f'<table class="dataframe">{_caption(caption)}<thead><tr>{heads}</tr></thead>', "<tbody>"]
    for row in zip(*(f.cells for f in table.fields), strict=True):
        cells = "".join(
            f"<td{mark}>{_safe(cell, most)}</td>" for mark, most, cell in zip(inner, most_of, row, strict=True)
        )
        lines.append(f"<tr>{cells}</tr>")
    return [*lines, "</tbody></table>", *map(sentence, table.notes)]


def notes_as_html(notes: list[str]) -> str:
    """Draw sentences alone as HTML."""
    return page([sentence(note) for note in notes])


def sentence(text: str, *, code: str = "", is_heading: bool = False) -> str:
    """Draw a sentence as a part of a page.

    Parameters
    ----------
    text
        Its words.
    code
        A line of code behind them.
    is_heading
        Drawn bold.  No heading of HTML: a notebook would list it among its own.
    """
    words = f"<b>{_safe(text)}</b>" if is_heading else _safe(text)
    return f"<p>{words} <code>{_safe(code)}</code></p>" if code else f"<p>{words}</p>"


def as_text(table: Table, width: int, *, paint: Paint | None = None) -> str:
    """Draw a table as text, leaving out the least important columns where they do not fit into the width.

    A long text (a log line) is wrapped inside its column, never cut.

    Parameters
    ----------
    table
        The table.
    width
        Places in a line; from `UNBOUNDED` on nothing is cut.
    paint
        Adds colors to cells, for a terminal.
    """
    rows, notes = text_and_notes(table, width, paint=paint)
    return "\n".join([rows, *notes])


def text_and_notes(table: Table, width: int, *, paint: Paint | None = None) -> tuple[str, list[str]]:
    """Return the rows of a table as `as_text` draws them, and the sentences below."""
    if width >= UNBOUNDED:
        table = replace(table, fields=[replace(column, is_long=True) for column in table.fields])
    sized = _fitting(table.fields, width)
    lines = [_row([f.heading for f, _ in sized], sized, paint, is_heading=True)]
    lines += [_row(cells, sized, paint) for cells in zip(*(f.cells for f, _ in sized), strict=True)]
    notes = list(table.notes)
    hidden = [f.heading for f in table.fields if all(f is not shown for shown, _ in sized)]
    if hidden:
        notes += textwrap.wrap(f"Columns that did not fit: {_named(hidden)}.", width)
    return "\n".join(lines), notes


def _named(headings: list[str]) -> str:
    # A logged key may be as long as a page, and there may be thousands of them.
    names = [_cut(_clean(heading), _WIDEST) for heading in headings[:_MOST_NAMED]]
    more = len(headings) - len(names)
    return f"{', '.join(names)}{f' and {more:,} more' if more else ''}"


def _fitting(fields: list[Field], width: int) -> list[tuple[Field, int]]:
    """Choose the columns to show, the most important first, and give each its width."""
    chosen: dict[int, int] = {}
    left = width
    for place in sorted(range(len(fields)), key=lambda i: (fields[i].rank, i)):
        wanted = _width(fields[place])
        may_wrap = fields[place].is_long and not (fields[place].is_whole and wanted <= left)
        least = min(wanted, _LEAST_OF_LONG) if may_wrap else wanted
        if chosen and least > left:
            continue
        chosen[place] = least
        left -= least + len(_GAP)
    for place, least in list(chosen.items()):
        more = min(_width(fields[place]) - least, max(left, 0))
        chosen[place] = least + more
        left -= more
    return [(fields[place], chosen[place]) for place in sorted(chosen)]


def _row(
    cells: Sequence[str], sized: list[tuple[Field, int]], paint: Paint | None = None, *, is_heading: bool = False
) -> str:
    wrapped = [_wrapped(cell, size, column) for cell, (column, size) in zip(cells, sized, strict=True)]
    lines = []
    for number in range(max(map(len, wrapped))):
        parts = []
        for cell, part, (column, size) in zip(cells, wrapped, sized, strict=True):
            text = _cell(part[number] if number < len(part) else "", size, column)
            parts.append(text if paint is None else paint(cell, text, is_heading))
        lines.append(_GAP.join(parts).rstrip())
    return "\n".join(lines)


def _wrapped(cell: str, width: int, column: Field) -> list[str]:
    return (textwrap.wrap(_clean(cell), width) if column.is_long else None) or [cell]


def as_card_text(table: Table) -> str:
    """Draw the two columns of a card as text, without headings."""
    names, values = table.fields
    width = max((len(name) for name in names.cells), default=0)
    lines = [f"{name:<{width}}  {_clean(value)}" for name, value in zip(names.cells, values.cells, strict=True)]
    return "\n".join([names.heading, *(f"  {line}" for line in lines), *table.notes])


def as_card_html(table: Table) -> str:
    """Draw the two columns of a card as HTML, the heading as its caption."""
    names, values = table.fields
    rows = [
        f'<tr><th scope="row">{_safe(name)}</th><td class="w">{_safe(value)}</td></tr>'
        for name, value in zip(names.cells, values.cells, strict=True)
    ]
    opening = f'<table class="dataframe">{_caption(names.heading)}<tbody>'
    return page([opening, *rows, "</tbody></table>", *map(sentence, table.notes)])


def _caption(text: str) -> str:
    return f"<caption>{_safe(text)}</caption>" if text else ""


def _mark(column: Field) -> str:
    if column.is_number:
        return ' class="n"'
    is_wrapped = column.is_prose or any(len(cell) > _LONGEST_LINE for cell in column.cells)
    return ' class="w"' if is_wrapped else ""


def _safe(text: str, most: int = _LONGEST) -> str:
    return escape(_clean(text, most))


def _clean(text: str, most: int = _LONGEST) -> str:
    # Nearly every cell is clean already, and looking costs a tenth of cleaning.
    return text if text.isprintable() and len(text) <= most else one_line(text, limit=most)


def _width(column: Field) -> int:
    widest = max((_places(_clean(cell)) for cell in column.cells), default=0)
    return max(_places(column.heading), widest if column.is_long else min(widest, _WIDEST))


def _cell(text: str, width: int, column: Field) -> str:
    line = _cut(_clean(text), width)
    gap = " " * (width - _places(line))
    return gap + line if column.is_number else line + gap


def _places(text: str) -> int:
    """Return the terminal columns of a text: two for a Chinese character or an emoji, none for a combining accent."""
    return len(text) if text.isascii() else sum(map(_places_of, text))


def _places_of(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def _cut(line: str, width: int) -> str:
    return _shortened(line, width - 1) + "…" if _places(line) > width else line


def _shortened(text: str, width: int) -> str:
    taken = 0
    for at, character in enumerate(text):
        taken += _places_of(character)
        if taken > width:
            return text[:at]
    return text
