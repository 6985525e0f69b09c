"""A picture with its numbers: what the functions of this room return."""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import threading
from collections import defaultdict
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loops_nb.drawing.tables import Field, Table, as_text, page, rows_html, sentence
from loops_nb.drawing.wording import many
from loops_nb.errors import InvalidArgumentError, one_line
from loops_nb.home import user_path
from loops_nb.plots.canvas import Drawing

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

_MOST_ROWS = 200
_MOST_LINES = 20
_LINE = 100
#: A page that drops the style sheet (GitHub, a notebook that is not trusted) drops inline SVG too, but not an image: there the still one
#: is shown and what is left of the other is hidden; where the style sheet works it is the other way round.
_STYLE = (
    ".loops-nb-plot figure{margin:4px 0;max-width:960px}"
    ".loops-nb-plot .loops-nb-still{display:none!important}"
    ".loops-nb-plot .loops-nb-drawn{display:block!important}"
    ".loops-nb-plot svg{display:block;color:var(--jp-content-font-color1,var(--vscode-editor-foreground,inherit));"
    "font-family:var(--jp-ui-font-family,var(--vscode-font-family,system-ui,sans-serif))}"
    ".loops-nb-plot summary{cursor:pointer;padding:2px 0}"
    ".loops-nb-plot .loops-nb-rows{max-height:26em;overflow:auto}"
)
_PAGE = (
    "<style>:root{color-scheme:light dark;font:14px/1.4 system-ui,sans-serif}body{max-width:960px;margin:2em auto;padding:0 1em}</style>"
)


class Plot:
    """A picture, what it says in words, and the numbers in it.

    In a notebook it shows itself: an SVG in the colours of the page that needs no script and nothing from elsewhere, and below it a table
    of the same numbers.  Elsewhere it is shown as text.

    Parameters
    ----------
    title
        What it shows.
    table
        The numbers: one row for each thing that is drawn.
    notes
        Sentences: what is seen, what was left out and why.
    words
        The numbers in words, for people.
    things
        What one row of ``words`` is called.
    drawing
        The picture; None if there is nothing to draw, which ``notes`` then say.
    """

    def __init__(self, *, title: str, table: pd.DataFrame, notes: list[str], words: Table, things: str, drawing: Drawing | None) -> None:
        self._title = one_line(title)
        self._table = table
        self._notes = [one_line(note) for note in notes]
        self._words = words
        self._things = things
        self._drawing = drawing
        self._own = _own_name(self._title, "" if drawing is None else drawing.body)

    @property
    def title(self) -> str:
        """What it shows."""
        return self._title

    @property
    def table(self) -> pd.DataFrame:
        """The numbers: one row for each thing that is drawn."""
        return self._table

    @property
    def notes(self) -> list[str]:
        """Sentences: what is seen, what was left out and why."""
        return list(self._notes)

    @property
    def svg(self) -> str:
        """The picture as an ``<svg>`` element for a page: as wide as its column, in the colour of the text around it.

        Empty if there is nothing to draw.
        """
        return "" if self._drawing is None else self._drawing.inline(self._own, self._title, self._told)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it into a file.

        Parameters
        ----------
        path
            Where to; ``.svg`` for the picture alone, ``.html`` for a page with the table.  A file that is there is replaced.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        InvalidArgumentError
            If the name ends in neither, there is nothing to draw into an ``.svg``, or the file cannot be written.
        """
        place = user_path(path)
        kind = place.suffix.lower()
        if kind not in {".svg", ".html"}:
            raise InvalidArgumentError(
                f"A plot is saved as .svg or .html, not as {place.suffix or 'a file without a suffix'!r}.",
                argument="path",
                hint=f'plot.save("{place.stem or "plot"}.svg")',
            )
        if kind == ".svg" and self._drawing is None:
            raise InvalidArgumentError(f"There is no picture to save. {self._told}", argument="path", hint="An .html holds the words.")
        text = self._document() if kind == ".svg" else self._page()
        try:
            place.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise InvalidArgumentError(
                f"The plot could not be written to {place}: {error.strerror or type(error).__name__}.",
                argument="path",
                hint="Choose a folder that is there and may be written to.",
            ) from None
        return place

    def __repr__(self) -> str:
        """Return the title, the sentences and the first rows."""
        lines = [self._title, *self._notes]
        if self._words.fields:
            total = len(self._words.fields[0].cells)
            lines += ["", as_text(Table(_first(self._words.fields, _MOST_LINES)), _LINE)]
            if total > _MOST_LINES:
                lines.append(f"And {total - _MOST_LINES:,} more.")
        return "\n".join([*lines, *self._words.notes])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Return what a notebook shows and keeps."""
        del include, exclude
        return {"text/html": self._html(), "text/plain": repr(self)}

    @property
    def _told(self) -> str:
        return " ".join(self._notes)

    def _html(self) -> str:
        caption = [sentence(self._title, is_heading=True), *map(sentence, self._notes)]
        parts = ["<figure>", "<figcaption>", *caption, "</figcaption>"]
        if self._drawing is not None:
            parts += [self._still(), f'<div class="loops-nb-drawn" style="display:none">{self.svg}</div>']
        return page([*parts, "</figure>", *self._rows()], classes="loops-nb-plot", style=_STYLE)

    def _still(self) -> str:
        drawing = self._drawing
        if drawing is None:
            return ""
        image = base64.b64encode(drawing.still("p", self._title, "").encode()).decode("ascii")
        return f'<img class="loops-nb-still" alt="{escape(self._title)}" src="data:image/svg+xml;base64,{image}"/>'

    def _rows(self) -> list[str]:
        if not self._words.fields:
            return []
        total = len(self._words.fields[0].cells)
        more = [f"And {total - _MOST_ROWS:,} more, which plot.table has."] if total > _MOST_ROWS else []
        table = Table(_first(self._words.fields, _MOST_ROWS), [*more, *self._words.notes])
        summary = f"<summary>The same as a table: {escape(many(total, self._things))}</summary>"
        return ["<details>", summary, '<div class="loops-nb-rows">', *rows_html(table), "</div>", "</details>"]

    def _document(self) -> str:
        return "" if self._drawing is None else self._drawing.standalone(self._own, self._title, self._told) + "\n"

    def _page(self) -> str:
        head = f'<meta charset="utf-8"><title>{escape(self._title)}</title>{_PAGE}'
        return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{self._html()}\n</body></html>\n'


def _first(fields: list[Field], rows: int) -> list[Field]:
    return [replace(column, cells=column.cells[:rows]) for column in fields]


_LOCK = threading.Lock()
_MADE: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)


def _own_name(*content: str) -> str:
    """Return a name for the ids of a picture, that no other picture on a page has.

    It is made of what is drawn, so that a notebook that is run again is saved as it was; one that was drawn before gets a number too.
    """
    digest = hashlib.sha256("\n".join(content).encode()).hexdigest()[:8]
    with _LOCK:
        before = next(_MADE[digest])
    return f"lp{digest}-{before}" if before else f"lp{digest}"
