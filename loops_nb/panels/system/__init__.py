"""The panel of a run's system metrics beside its training curve: its source of points, and the panel."""
