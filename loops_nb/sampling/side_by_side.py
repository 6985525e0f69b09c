"""The completions of one prompt by several samplers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, overload

from loops_nb.sampling.completions import Completions
from loops_nb.sampling.display import CompletionsDisplay

if TYPE_CHECKING:
    import pandas as pd


class SideBySide(Sequence[Completions]):
    """The completions of one prompt by one or several samplers: a sequence of `Completions`.

    A notebook displays it as a table with one column a sampler, a terminal as text.

    Parameters
    ----------
    items : sequence of Completions
        One for each sampler.

    Examples
    --------
    >>> prompt = "Dear customer,"
    >>> SideBySide([loops.samplers.sample(run, prompt) for run in ("k4q95w5", "m2x7p9a")])
    """

    def __init__(self, items: Sequence[Completions]) -> None:
        self._items = tuple(items)

    @overload
    def __getitem__(self, index: int) -> Completions: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Completions]: ...
    def __getitem__(self, index: int | slice) -> Completions | Sequence[Completions]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    @property
    def frame(self) -> pd.DataFrame:
        """DataFrame of the completions of all samplers; columns as in `loops_nb.sampling.frames.completions_frame`."""
        from loops_nb.sampling.frames import completions_frame

        return completions_frame(chain.from_iterable(item.rows() for item in self._items))

    def __repr__(self) -> str:
        """Return the text for the width of the terminal."""
        return self._display.terminal_text()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Return the display in a notebook."""
        del include, exclude
        return self.mimebundle()

    def mimebundle(self) -> dict[str, str]:
        """Return HTML and text."""
        return self._display.mimebundle()

    def html(self) -> str:
        """Return HTML that needs no script and follows the theme of the page."""
        return self._display.html()

    def text(self, width: int) -> str:
        """Return it as text.

        Parameters
        ----------
        width : int
            Characters a line.
        """
        return self._display.text(width)

    @property
    def _display(self) -> CompletionsDisplay:
        return CompletionsDisplay(self._items)
