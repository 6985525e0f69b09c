"""What stands above the lane of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.drawing.wording import many, size
from loops_nb.plots.canvas import NARROW, SMALL
from loops_nb.plots.letters import cut, width
from loops_nb.plots.markup import hover, safe, tag

if TYPE_CHECKING:
    from loops_nb.plots.saved import Saved

_SHARE_OF_NAME = 0.6


def label(run: str, ones: list[Saved], down: float) -> str:
    """Write a run's id and its base model, as much as a narrow column holds; pointing at it tells the rest."""
    model = next((one.base_model for one in ones if one.base_model), None)
    name = cut(run, SMALL, NARROW * _SHARE_OF_NAME)
    known = [one.size for one in ones if one.size is not None]
    together = f", {size(int(sum(known)))} together" if known else ""
    told = hover([run, *([model] if model else []), f"{many(len(ones), 'checkpoint')}{together}"])
    inner = tag("tspan", safe(name), font_weight="bold")
    if model:
        rest = NARROW - width(name, SMALL, is_bold=True) - 8
        inner += tag("tspan", safe(cut(model, SMALL, rest)), dx=8, fill_opacity=0.75)
    return tag("text", inner, told, y=down - 3)
