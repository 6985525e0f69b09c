"""Thirty runs in one tracker: five learning rates, three ranks, two seeds, of which the learning rate matters."""

from __future__ import annotations

import importlib
import itertools
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAME, STEPS = "thirty", 50
#: The best run, and the parameter that made it so.
BEST, WHY = "lr0.003-rank16-s1", "lr"


def runs() -> Iterator[tuple[str, dict[str, Any], list[float]]]:
    """Yield the name, parameters and losses of each run."""
    for lr, rank, seed in itertools.product((0.0001, 0.0003, 0.001, 0.003, 0.01), (4, 8, 16), (1, 2)):
        end = 0.5 + abs(math.log10(lr / 0.003)) - 0.002 * rank + 0.01 * seed
        losses = [end + (5 - end) * math.exp(-step / 8) for step in range(STEPS)]
        yield f"lr{lr}-rank{rank}-s{seed}", {"lr": lr, "rank": rank, "seed": seed}, losses


def ours() -> None:
    """Log to the file of LOOPS_NB_HOME."""
    from loops_nb import experiment

    for name, params, losses in runs():
        with experiment(name, params=params, tags=[NAME], project=NAME) as exp:
            for step, loss in enumerate(losses):
                exp.log(step=step, loss=loss)


def mlflow() -> None:
    """Log to ``mlflow.db`` in the working folder."""
    module = importlib.import_module("mlflow")
    module.set_tracking_uri(f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    module.set_experiment(NAME)
    for name, params, losses in runs():
        with module.start_run(run_name=name):
            module.log_params(params)
            for step, loss in enumerate(losses):
                module.log_metric("loss", loss, step=step)


def trackio() -> None:
    """Log to the folder of TRACKIO_DIR."""
    module = importlib.import_module("trackio")
    for name, params, losses in runs():
        module.init(project=NAME, name=name, config=params, embed=False, auto_log_cpu=False, auto_log_gpu=False)
        for step, loss in enumerate(losses):
            module.log({"loss": loss}, step=step)
        module.finish()


if __name__ == "__main__":
    {"ours": ours, "mlflow": mlflow, "trackio": trackio}[sys.argv[1]]()
