"""How the figures of the panels are told: percentiles, goals, and a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def percentile(values: Iterable[float], share: float) -> float:
    """Return the smallest value that so great a share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * round(share * 100) // 100) - 1))]


def verdict(value: float, goal: float | None) -> str:
    """Return ``ok``, ``MISSED``, or nothing where there is no goal."""
    return "" if goal is None else "ok" if value < goal else "MISSED"


def table(title: str, note: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table under a title, with a note on what was measured."""
    lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
    return "\n".join([f"## {title}", "", note, "", *lines, ""])
