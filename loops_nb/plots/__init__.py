"""Pictures of checkpoints and of their drift, as SVG that stays in a saved notebook: no script, nothing from elsewhere, both themes."""

from loops_nb.plots.drift import drift
from loops_nb.plots.namespace import LoopsPlots
from loops_nb.plots.picture import Plot
from loops_nb.plots.sizes import sizes
from loops_nb.plots.timeline import timeline

__all__ = ["LoopsPlots", "Plot", "drift", "sizes", "timeline"]
