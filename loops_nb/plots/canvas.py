"""The paper a picture is drawn on.

Across it, places are shares of its width, and down it pixels: so a picture fills whatever column it stands in, and its letters and marks
keep their size, which they would not if the picture were scaled as a whole.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field

from loops_nb.plots.colours import DARK, LIGHT, MIDDLE
from loops_nb.plots.letters import cut, width
from loops_nb.plots.markup import OWN, number, percent, safe, tag
from loops_nb.plots.ticks import Tick

LETTERS = 12
SMALL = 11
#: Where a picture has to be of one width: in a file, and on a page that takes only images and may have little room for them.
_FILE_WIDTH, _STILL_WIDTH = 800, 640
_MARGIN, _TITLE, _TITLE_LETTERS = 12, 26, 15
#: The narrowest column that pictures are made for, less a little.
NARROW = 370
FAINT = 0.16
_AXIS = 0.45
_LINE_HEIGHT = 14
_WHOLE, _GAP = 100, 2
_HOVERS = re.compile(r"<title>[^<]*</title>")
_EMPTIED = re.compile(r"></(?:use|circle|path)>")
_FONTS = "system-ui,-apple-system,Segoe UI,Roboto,sans-serif"
_SPACE = "http://www.w3.org/2000/svg"
_PAPER = f":root{{color:{DARK};background:{LIGHT}}}@media (prefers-color-scheme:dark){{:root{{color:#ddd;background:{DARK}}}}}"


@dataclass(frozen=True, slots=True)
class Scale:
    """Puts the values between two bounds on the shares of the width between two others."""

    low: float
    high: float
    left: float
    right: float

    def at(self, value: float) -> float:
        """Return the share of the width, in percent."""
        return self.left + (value - self.low) / (self.high - self.low) * (self.right - self.left)


@dataclass(frozen=True, slots=True)
class Sign:
    """An entry of a legend: markup drawn around the point 0,0 of a given width, and its words."""

    drawn: str
    wide: float
    words: str


@dataclass
class Canvas:
    """Collects what is drawn.

    Parameters
    ----------
    height
        Down to where something has been drawn, in pixels.
    """

    height: float = 0.0
    parts: list[str] = field(default_factory=list)

    def add(self, *markup: str) -> None:
        """Draw."""
        self.parts += markup

    def legend(self, signs: list[Sign]) -> None:
        """Draw the entries of a legend side by side, in as many lines as a narrow column needs."""
        across, down = 0.0, self.height + 9
        for sign in signs:
            wide = sign.wide + 5 + width(sign.words, SMALL)
            if across and across + wide > NARROW:
                across, down = 0.0, down + 18
            centre = across + sign.wide / 2
            words = tag("text", safe(sign.words), x=across + sign.wide + 5, y=down + 4, font_size=SMALL)
            self.add(tag("g", sign.drawn, transform=f"translate({number(centre)} {number(down)})"), words)
            across += wide + 16
        if signs:
            self.height = down + 14

    def across(self, ticks: list[Tick], scale: Scale, top: float, bottom: float, *, band: float = 0.0, lane: float = 0.0) -> None:
        """Draw faint lines from the top to the bottom at the marks of an axis.

        With ``band`` and ``lane`` only at the foot of each lane, in a band of that height: not through what is written above.
        """
        dashes = {"stroke_dasharray": f"{number(band)} {number(lane - band)}", "stroke_dashoffset": number(band - lane)} if lane else {}
        places = [percent(scale.at(tick.at)) for tick in ticks]
        lines = [tag("line", x1=place, x2=place, y1=top, y2=bottom) for place in places]
        self.add(tag("g", *lines, stroke="currentColor", stroke_opacity=FAINT, **dashes) if lines else "")

    def above(self, ticks: list[Tick], scale: Scale, down: float) -> None:
        """Draw the labels of an axis above a line too, for a picture that is too tall to see its foot."""
        self._labels([Tick(tick.at, tick.label) for tick in ticks], scale, down - 5)

    def below(self, ticks: list[Tick], scale: Scale, down: float) -> float:
        """Draw an axis and its labels below it, and return how far down they reach."""
        self.add(
            tag("line", x1=percent(scale.left), x2=percent(scale.right), y1=down, y2=down, stroke="currentColor", stroke_opacity=_AXIS)
        )
        self._labels(ticks, scale, down + 13)
        return down + 18 + (_LINE_HEIGHT if any(tick.below for tick in ticks) else 0)

    def _labels(self, ticks: list[Tick], scale: Scale, down: float) -> None:
        upper = _in_line([(scale.at(tick.at), tick.label) for tick in ticks], y=down)
        lower = _in_line([(scale.at(tick.at), tick.below) for tick in ticks if tick.below], y=down + _LINE_HEIGHT, font_weight="bold")
        self.add(tag("g", *upper, *lower, font_size=SMALL, text_anchor="middle") if upper else "")


def _in_line(labels: list[tuple[float, str]], **attributes: str | float) -> list[str]:
    """Write labels in a line: moved inwards where they would stand outside in a narrow column, left out where one stands there already."""
    drawn = []
    taken = -math.inf
    for at, words in labels:
        half = width(words, SMALL, is_bold=True) / 2
        centre = at / _WHOLE * NARROW
        shift = max(0.0, half - centre) - max(0.0, half - (NARROW - centre))
        if centre + shift - half < taken:
            continue
        drawn.append(tag("text", safe(words), x=percent(at), dx=shift or None, **attributes))
        taken = centre + shift + half + _GAP
    return drawn


@dataclass(frozen=True)
class Drawing:
    """A picture that is drawn, without its name.

    Parameters
    ----------
    body
        What is in it; its ids begin with `OWN`.
    height
        In pixels.
    plain
        The same without what is shown when something is pointed at, where that can be drawn shorter.
    """

    body: str
    height: int
    plain: str = ""

    def inline(self, own: str, title: str, told: str) -> str:
        """Return it as a part of a page: as wide as its column, in the colours of its text."""
        return self._root(
            own,
            title,
            told,
            self.body,
            class_="loops-nb-picture",
            width="100%",
            height=self.height,
            # A page's own rule for pictures would give it another height.
            style=f"height:{self.height}px;max-width:100%",
        )

    def still(self, own: str, title: str, told: str) -> str:
        """Return it as an image for a page of any colour, where nothing can be pointed at."""
        return self._root(
            own,
            title,
            told,
            self.plain or _EMPTIED.sub("/>", _HOVERS.sub("", self.body)),
            **_fixed(_STILL_WIDTH, self.height),
            color=MIDDLE,
        )

    def standalone(self, own: str, title: str, told: str) -> str:
        """Return it as a document, with its title and its own page: light, or dark for those who prefer that."""
        high = self.height + 2 * _MARGIN + _TITLE
        inside = {"x": _MARGIN, "y": _MARGIN + _TITLE, "width": _FILE_WIDTH - 2 * _MARGIN, "height": self.height}
        heading = safe(cut(title, _TITLE_LETTERS, _FILE_WIDTH - 2 * _MARGIN))
        body = [
            tag("style", _PAPER),
            tag("text", heading, x=_MARGIN, y=_MARGIN + _TITLE_LETTERS, font_size=_TITLE_LETTERS, font_weight="bold"),
            tag("svg", self.body, overflow="visible", **inside),
        ]
        return self._root(own, title, told, "".join(body), **_fixed(_FILE_WIDTH, high), color=DARK)

    def _root(self, own: str, title: str, told: str, body: str, **attributes: str | float) -> str:
        return tag(
            "svg",
            tag("title", safe(title), id=f"{OWN}-title"),
            tag("desc", safe(told), id=f"{OWN}-desc"),
            body,
            xmlns=_SPACE,
            role="img",
            aria_labelledby=f"{OWN}-title {OWN}-desc",
            overflow="visible",
            font_family=_FONTS,
            font_size=LETTERS,
            fill="currentColor",
            **attributes,
        ).replace(OWN, own)


def _fixed(wide: int, high: int) -> dict[str, str | float]:
    return {"width": wide, "height": high, "viewBox": f"0 0 {wide} {high}"}
