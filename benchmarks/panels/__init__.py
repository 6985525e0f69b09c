"""Live panels: from a change to the pixel, cost of a poll, thousands of rows, curves, size of a saved notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


def run(*, rounds: int | None = None) -> Iterator[str]:
    """Give the tables, one after the other.

    Parameters
    ----------
    rounds
        Changes a case, and looks or updates a figure; as many as the goals are meant for by default.
    """
    # Here, because the measured kernel imports this package too, and has no browser to drive.
    from benchmarks.panels import curves, experiments, latency, polls, rows, sizes
    from benchmarks.panels.jupyterlab import jupyterlab

    with jupyterlab() as opened:
        yield sizes.run(opened)
        yield curves.run(opened, rounds or curves.STEPS)
        yield polls.run(opened, rounds or polls.LOOKS)
        yield rows.run(opened, min(rounds or rows.OPENINGS, rows.OPENINGS), rounds or rows.UPDATES)
        openings = min(rounds or experiments.OPENINGS, experiments.OPENINGS)
        yield experiments.run(opened, openings, rounds or experiments.UPDATES)
        yield latency.run(opened, rounds or latency.CHANGES)
