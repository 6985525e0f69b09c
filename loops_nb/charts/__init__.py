"""Charts of checkpoints, drift and training curves, drawn by matplotlib for notebooks and files."""

from loops_nb.charts.drift import drift
from loops_nb.charts.parallel import parallel
from loops_nb.charts.plot import Plot
from loops_nb.charts.plot_accessor import PlotAccessor
from loops_nb.charts.sizes import sizes
from loops_nb.charts.sweep import sweep
from loops_nb.charts.timeline import timeline

__all__ = ["Plot", "PlotAccessor", "drift", "parallel", "sizes", "sweep", "timeline"]
