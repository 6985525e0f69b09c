"""A chart with its numbers: what the functions of this package return."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import logging
import os
import threading
import warnings
from collections import defaultdict
from dataclasses import replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loops_nb.charts.style import LIGHT
from loops_nb.config.paths import user_path
from loops_nb.errors import InvalidArgumentError, one_line
from loops_nb.render.formatting import many
from loops_nb.render.tables import Field, Table, as_text, page, rows_html, sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from loops_nb.charts.svg import Drawing, Hovers

logger: logging.Logger = logging.getLogger(__name__)

_MOST_ROWS = 200
_MOST_LINES = 20
_LINE = 100
_PNG_DPI = 200
#: Each without a date and without the version of matplotlib, so that the same picture is the same file.
_METADATA = {".png": {"Software": None}, ".pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
_SUFFIXES = (".pdf", ".png", ".svg", ".html")
#: A page that drops the style sheet (GitHub, a notebook that is not trusted) drops inline SVG too, but not an image:
#: there the still one is shown and what is left of the other is hidden; where the style sheet works it is the other way
#: round.
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
    "<style>:root{color-scheme:light dark;font:14px/1.4 system-ui,sans-serif}body{max-width:960px;margin:2em "
    "auto;padding:0 1em}</style>"
)


class Plot:
    """A chart, what it says in words, and the numbers in it.

    In a notebook it shows itself: an SVG in the colors of the page that needs no script and nothing from elsewhere, and
    below it a table of the same numbers.  Elsewhere it is shown as text.  matplotlib is imported when it is drawn.

    Parameters
    ----------
    title : str
        What it shows.
    table : pandas.DataFrame
        The numbers: one row for each thing that is drawn.
    notes : list of str
        Sentences: what is seen, what was left out and why.
    words : Table
        The numbers in words, for people.
    things : str
        What one row of ``words`` is called.
    draw : callable or None
        Draws a figure with the given title (None for none), and returns it with what its parts say when pointed at.
        None if there is nothing to draw, which ``notes`` then say.
    axes : matplotlib.axes.Axes, optional
        Axes of the user's own that it was drawn into: then it shows itself without a second picture.
    data : callable, optional
        Returns the points that are drawn, where the table has other numbers.

    Examples
    --------
    >>> plot = loops.checkpoints.list(run_id="k4q95w5").loops.plot.timeline()
    >>> plot.save("timeline.pdf")
    >>> plot.figure.axes[0].axvline(datetime(2026, 11, 7, 12, tzinfo=UTC))
    """

    def __init__(
        self,
        *,
        title: str,
        table: pd.DataFrame,
        notes: list[str],
        words: Table,
        things: str,
        draw: Callable[[str | None], tuple[Figure, Hovers]] | None,
        axes: Axes | None = None,
        data: Callable[[], pd.DataFrame] | None = None,
    ) -> None:
        self._make_data = data
        self._title = one_line(title)
        self._table = table
        self._notes = [one_line(note) for note in notes]
        self._words = words
        self._things = things
        self._draw = draw
        self._axes = axes

    @property
    def title(self) -> str:
        """What it shows."""
        return self._title

    @property
    def table(self) -> pd.DataFrame:
        """The numbers: one row for each thing that is drawn."""
        return self._table

    @cached_property
    def data(self) -> pd.DataFrame:
        """The points that are drawn; the same as `table` where that has them."""
        return self._table if self._make_data is None else self._make_data()

    @property
    def notes(self) -> list[str]:
        """Sentences: what is seen, what was left out and why."""
        return list(self._notes)

    @property
    def svg(self) -> str:
        """The picture as an ``<svg>`` element in the color of the text around it; empty if there is nothing to draw."""
        return "" if self._drawing is None else self._drawing.inline(self._name, self._title, self._description)

    @property
    def figure(self) -> Figure:
        """The picture as a `matplotlib.figure.Figure`, for changes before `save`; that of ``ax`` where one was given.

        Raises
        ------
        InvalidArgumentError
            If there is nothing to draw.
        """
        if self._draw is None:
            raise InvalidArgumentError(
                f"There is no picture. {self._description}", argument="figure", hint="plot.table has the numbers."
            )
        if self._axes is None:
            return self._titled[0]
        # Of a subfigure the figure that it is in.
        found: Any = self._axes.figure.figure
        return found  # type: ignore[no-any-return]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it into a file.

        Parameters
        ----------
        path : str or path-like
            Where to; ``.pdf``, ``.png`` or ``.svg`` for the picture alone, ``.html`` for a page with the table.  A file
            that is there is replaced.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        InvalidArgumentError
            If the name ends in none of these, there is no picture to save, or the file cannot be written.

        Examples
        --------
        >>> df.loops.plot.sizes().save("sizes.pdf")
        """
        place = user_path(path)
        kind = place.suffix.lower()
        if kind not in _SUFFIXES:
            raise InvalidArgumentError(
                f"A plot is saved as .pdf, .png, .svg or .html, not as {place.suffix or 'a file without a suffix'!r}.",
                argument="path",
                hint=f'plot.save("{place.stem or "plot"}.svg")',
            )
        if kind != ".html" and self._draw is None:
            raise InvalidArgumentError(
                f"There is no picture to save. {self._description}", argument="path", hint="An .html holds the words."
            )
        content = self._page().encode() if kind == ".html" else self._picture(kind)
        try:
            place.write_bytes(content)
        except OSError as error:
            raise InvalidArgumentError(
                f"The plot could not be written to {place}: {error.strerror or type(error).__name__}.",
                argument="path",
                hint="Choose a folder that is there and may be written to.",
            ) from None
        return place

    def _picture(self, kind: str) -> bytes:
        if kind == ".svg" and self._axes is None:
            from loops_nb.charts.svg import figure_svg

            figure, hovers = self._titled
            return (figure_svg(figure, hovers).standalone(self._name, self._title, self._description) + "\n").encode()
        figure = self.figure
        stream = io.BytesIO()
        # A name may have characters that the font lacks.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figure.savefig(
                stream,
                format=kind[1:],
                dpi=_PNG_DPI,
                facecolor=LIGHT,
                edgecolor=LIGHT,
                transparent=False,
                bbox_inches=figure.bbox_inches,
                pad_inches=0,
                metadata=_METADATA.get(kind),
            )
        return stream.getvalue()

    @cached_property
    def _titled(self) -> tuple[Figure, Hovers]:
        from loops_nb.charts.layout import DRAWING

        assert self._draw is not None  # noqa: S101 - asked before
        with DRAWING:
            return self._draw(self._title)

    @cached_property
    def _drawing(self) -> Drawing | None:
        if self._draw is None:
            return None
        from loops_nb.charts.layout import DRAWING
        from loops_nb.charts.svg import figure_svg

        with DRAWING:
            return figure_svg(*self._draw(None))

    @cached_property
    def _name(self) -> str:
        return _unique_name(self._title, "" if self._drawing is None else self._drawing.body)

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
    def _description(self) -> str:
        return " ".join(self._notes)

    def _html(self) -> str:
        caption = [sentence(self._title, is_heading=True), *map(sentence, self._notes)]
        parts = ["<figure>", "<figcaption>", *caption, "</figcaption>"]
        if self._axes is None:
            parts += self._inline_picture()
        return page([*parts, "</figure>", *self._rows()], classes="loops-nb-plot", style=_STYLE)

    def _inline_picture(self) -> list[str]:
        try:
            drawing = self._drawing
        except Exception as error:
            # The numbers are as good without a picture, and a panel's report must not fail.
            logger.warning("A plot could not be drawn", exc_info=True)
            return [sentence(f"The picture could not be drawn ({type(error).__name__}); the table has the numbers.")]
        if drawing is None:
            return []
        image = base64.b64encode(drawing.still("p", self._title).encode()).decode("ascii")
        still = f'<img class="loops-nb-still" alt="{escape(self._title)}" src="data:image/svg+xml;base64,{image}"/>'
        return [still, f'<div class="loops-nb-drawn" style="display:none">{self.svg}</div>']

    def _rows(self) -> list[str]:
        if not self._words.fields:
            return []
        total = len(self._words.fields[0].cells)
        more = [f"And {total - _MOST_ROWS:,} more, which plot.table has."] if total > _MOST_ROWS else []
        table = Table(_first(self._words.fields, _MOST_ROWS), [*more, *self._words.notes])
        summary = f"<summary>The same as a table: {escape(many(total, self._things))}</summary>"
        return ["<details>", summary, '<div class="loops-nb-rows">', *rows_html(table), "</div>", "</details>"]

    def _page(self) -> str:
        head = f'<meta charset="utf-8"><title>{escape(self._title)}</title>{_PAGE}'
        return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{self._html()}\n</body></html>\n'


def _first(fields: list[Field], rows: int) -> list[Field]:
    return [replace(column, cells=column.cells[:rows]) for column in fields]


_LOCK = threading.Lock()
_MADE: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)


def _unique_name(*content: str) -> str:
    """Return a name for the ids of a picture, that no other picture on a page has.

    It is made of what is drawn, so that a notebook that is run again is saved as it was; one that was drawn before gets
    a number too.
    """
    digest = hashlib.sha256("\n".join(content).encode()).hexdigest()[:6]
    with _LOCK:
        before = next(_MADE[digest])
    return f"lp{digest}-{before}" if before else f"lp{digest}"


def one_axes(plot: str, ax: Any) -> Axes | None:
    """Check an ``ax`` argument.

    Raises
    ------
    InvalidArgumentError
        If it is not one pair of axes of matplotlib.
    """
    if ax is None:
        return None
    from matplotlib.axes import Axes

    if isinstance(ax, Axes):
        return ax
    raise InvalidArgumentError(
        f"plot.{plot}: ax is the axes of matplotlib to draw into, not {type(ax).__name__}.",
        argument="ax",
        hint="fig, ax = plt.subplots()",
    )


def many_axes(plot: str, ax: Any, count: int) -> list[Axes] | None:
    """Check an ``ax`` argument of a chart with several panels: axes for each, in their order.

    Raises
    ------
    InvalidArgumentError
        If it is something else, or not as many as there are panels.
    """
    if ax is None:
        return None
    import numpy as np

    given = list(np.ravel(np.asarray(ax, dtype=object)))
    axes = [found for each in given if (found := one_axes(plot, each)) is not None]
    if len(axes) != count:
        raise InvalidArgumentError(
            f"plot.{plot} draws {many(count, 'panel')} here, and ax has {len(axes):,}.",
            argument="ax",
            hint=f"fig, axes = plt.subplots({count}, 1, squeeze=False)",
        )
    return axes
