"""Ratios that are robust on a busy machine: methods alternate, and each ratio is the median of the rounds' ratios."""

from __future__ import annotations

import os
import platform
import statistics
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

#: Within this share of a goal, neither side is called better: as much as two runs of the same differ by.
_LEVEL = 0.05


class Ratio(NamedTuple):
    """One line of the table.

    Parameters
    ----------
    what
        What was measured.
    peer
        Against what.
    ratio
        Peer by ours: above 1, we are faster (or smaller).
    goal
        What it should be, as text such as ``>= 1.8``; empty where there is none.
    ours, theirs
        Medians, with their unit.
    spread
        The lowest and the highest ratio of a round.
    """

    what: str
    peer: str
    ratio: float
    goal: str
    ours: str
    theirs: str
    spread: tuple[float, float]

    @property
    def verdict(self) -> str:
        """``ahead``, ``level`` or ``behind``; empty where there is no goal."""
        if not self.goal:
            return ""
        sign, limit = self.goal.split()
        return judge(self.ratio, float(limit), least=sign == ">=")


def take_turns(ways: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measure every way once a round, and return the figures of all rounds by way."""
    figures: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds):
        # The order turns too, so that no case always follows the same neighbour.
        names = list(ways)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            figures[name].append(ways[name]())
    return figures


def compare(
    what: str,
    peer: str,
    ours: list[float],
    theirs: list[float],
    *,
    goal: str = "",
    unit: str = "ms",
    invert: bool = False,
) -> Ratio:
    """Return the line of one comparison.

    Parameters
    ----------
    what, peer, goal
        As in `Ratio`.
    ours, theirs
        Figures by round: seconds for ``s``, ``ms`` and ``us``, bytes for ``MB``.
    unit
        ``"s"``, ``"ms"``, ``"us"`` or ``"MB"``.
    invert
        Show ours by theirs instead: for a floor, or a share of the peer's memory.
    """
    pairs = list(zip(ours, theirs, strict=True))
    ratios = sorted(mine / other if invert else other / mine for mine, other in pairs)
    scale = {"s": 1.0, "ms": 1e3, "us": 1e6, "MB": 1e-6}[unit]
    return Ratio(
        what,
        peer,
        statistics.median(ratios),
        goal,
        f"{statistics.median(ours) * scale:.3g} {unit}",
        f"{statistics.median(theirs) * scale:.3g} {unit}",
        (ratios[0], ratios[-1]),
    )


def judge(value: float, goal: float | None, *, least: bool = False) -> str:
    """Return ``ahead``, ``level`` (within a twentieth) or ``behind``; nothing where there is no goal.

    Parameters
    ----------
    value, goal
        In the same unit.
    least
        Whether the goal is the least that it should be, not the most.
    """
    if goal is None:
        return ""
    if abs(value - goal) <= _LEVEL * goal:
        return "level"
    return "ahead" if (value > goal) == least else "behind"


def table(title: str, note: str, lines: Iterable[Ratio]) -> str:
    """Return ratios as a Markdown table under a title, with a note on what was measured."""
    head = ("what", "peer", "ours", "peer's", "rounds", "ratio", "goal", "")
    rows = (
        (
            line.what,
            line.peer,
            line.ours,
            line.theirs,
            f"{line.spread[0]:.2f} to {line.spread[1]:.2f}",
            f"**{line.ratio:.2f}**",
            line.goal,
            line.verdict,
        )
        for line in lines
    )
    return figures_table(title, note, head, rows)


def figures_table(title: str, note: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table under a title; a figure that is judged stands before its goal and its verdict."""
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join([f"## {title}", "", note, "", *lines, ""])


def machine() -> str:
    """Return one line about the machine and the Python that drives the run."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:  # noqa: PTH123 - a device, not a file
            model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), model)
    except OSError:
        pass
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{os.cpu_count()} x {model}, {platform.system()} {platform.release()}{load}, driver Python "
        f"{platform.python_version()}"
    )
