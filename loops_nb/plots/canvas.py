"""The paper a picture is drawn on.

Across it, places are shares of its width, and down it pixels: so a picture fills whatever column it stands in, and its letters and marks
keep their size, which they would not if the picture were scaled as a whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from loops_nb.plots.colours import DARK, LIGHT, MIDDLE
from loops_nb.plots.letters import width
from loops_nb.plots.markup import OWN, number, percent, safe, tag
from loops_nb.plots.ticks import Tick

LETTERS = 12
SMALL = 11
#: Where a picture has to be of one width: a file, or a page that takes only images.
USUAL_WIDTH = 800
#: The narrowest column that pictures are made for, less a little.
NARROW = 380
FAINT = 0.16
_AXIS = 0.45
_LINE_HEIGHT = 14
_NEAR_EDGE, _FAR, _WHOLE = 5, 17, 100
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
        drawn = []
        places = [scale.at(tick.at) for tick in ticks]
        for place, tick in enumerate(ticks):
            at = places[place]
            # What is centred at the edge would stand half outside; moved inwards it may stand on its neighbour, and then is not needed.
            anchor = "start" if at < _NEAR_EDGE else "end" if at > _WHOLE - _NEAR_EDGE else None
            gap = min((abs(at - other) for other in places[max(0, place - 1) : place + 2] if other != at), default=_WHOLE)
            if anchor is None or gap >= _FAR:
                drawn.append(tag("text", safe(tick.label), x=percent(at), y=down, text_anchor=anchor))
            if tick.below:
                words = safe(tick.below)
                drawn.append(tag("text", words, x=percent(at), y=down + _LINE_HEIGHT, text_anchor=anchor, font_weight="bold"))
        self.add(tag("g", *drawn, font_size=SMALL, text_anchor="middle") if drawn else "")


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
        return self._root(own, title, told, self.plain or _EMPTIED.sub("/>", _HOVERS.sub("", self.body)), **self._fixed(), color=MIDDLE)

    def standalone(self, own: str, title: str, told: str) -> str:
        """Return it as a document, with its own page: light, or dark for those who prefer that."""
        body = tag("style", _PAPER) + self.body
        return self._root(own, title, told, body, **self._fixed(), color=DARK)

    def _fixed(self) -> dict[str, str | float]:
        return {"width": USUAL_WIDTH, "height": self.height, "viewBox": f"0 0 {USUAL_WIDTH} {self.height}"}

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
