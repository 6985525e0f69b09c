"""What a person does with experiments: begin one, log to it, read it as a DataFrame."""

from __future__ import annotations

from loops_nb.experiments.experiment import Experiment, experiment
from loops_nb.experiments.metrics import Imported, Metrics

__all__ = ["Experiment", "Imported", "Metrics", "experiment"]
