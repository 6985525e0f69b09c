"""One tracker in a process of its own: what a call of its log costs."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WARM = 20


def values(step: int) -> dict[str, float]:
    """Return what a step logs."""
    return {"loss": 1.0 / (step + 1), "grad_norm": 0.5 + step, "lr": 1e-4, "tokens": 2048.0, "seconds": 0.125}


def timed(log: Callable[[int], Any], calls: int) -> dict[str, float]:
    """Return the mean seconds of a call."""
    for step in range(WARM):
        log(step)
    began = time.perf_counter()
    for step in range(WARM, WARM + calls):
        log(step)
    return {"seconds": (time.perf_counter() - began) / calls}


def ours(calls: int, *, flush: bool = False) -> dict[str, float]:
    """Measure ours."""
    from loops_nb import experiment

    exp = experiment("bench")

    def log(step: int) -> None:
        exp.log(values(step), step=step)
        if flush:
            exp.flush()

    return timed(log, calls)


def mlflow(calls: int) -> dict[str, float]:
    """Measure mlflow with its SQLite store."""
    module = importlib.import_module("mlflow")
    module.set_tracking_uri(f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    with module.start_run():
        return timed(lambda step: module.log_metrics(values(step), step=step), calls)


def trackio(calls: int) -> dict[str, float]:
    """Measure trackio."""
    module = importlib.import_module("trackio")
    module.init(project="bench")
    return timed(lambda step: module.log(values(step), step=step), calls)


def wandb(calls: int) -> dict[str, float]:
    """Measure wandb, offline."""
    module = importlib.import_module("wandb")
    module.init(project="bench", mode="offline")
    return timed(lambda step: module.log(values(step), step=step), calls)


WAYS: dict[str, Callable[[int], dict[str, float]]] = {
    "ours": ours,
    "ours, with flush": lambda calls: ours(calls, flush=True),
    "mlflow.log_metrics": mlflow,
    "trackio.log": trackio,
    "wandb.log, offline": wandb,
}
