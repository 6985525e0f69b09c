"""The best experiment of a curves panel: one rule for the page, the report and the text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from loops_nb.panels.curves.messages import BestRuns
from loops_nb.render.formatting import many, number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loops_nb.charts.series import MetricSummary
    from loops_nb.panels.curves.messages import CurvesMetadata


def both_bests(lines: Sequence[tuple[int, MetricSummary]], head: CurvesMetadata) -> list[BestRuns]:
    """Return the best where low values are better, and where high ones are."""
    return [best_of(lines, head, highest=False), best_of(lines, head, highest=True)]


def best_of(lines: Sequence[tuple[int, MetricSummary]], head: CurvesMetadata, *, highest: bool) -> BestRuns:
    """Compare experiments by the lowest or the highest value of a key.

    An experiment whose newest value is NaN or infinite does not win.  Where experiments that were named are not drawn,
    none wins; where the newest were chosen, or some have no values, the words say among which the winner was found.

    Parameters
    ----------
    lines
        The place of each run that has values, and its series in numbers.
    head
        All runs of the panel.
    highest
        Whether high values are better.
    """
    is_partial = bool(head.more_runs or head.newer_runs)
    if len(lines) < 2 or (head.is_named and is_partial):  # noqa: PLR2004 - one alone is compared with nothing
        return BestRuns()
    values = {place: found.high if highest else found.low for place, found in lines if math.isfinite(found.last)}
    if not values:
        return BestRuns(left_out=[place for place, _ in lines])
    top = max(values.values()) if highest else min(values.values())
    runs = [place for place, value in values.items() if value == top]
    among = ""
    if is_partial:
        among = f" of these {len(lines):,}"
    elif len(lines) < len(head.runs) or head.missing:
        among = f" of the {len(lines):,} with values"
    words = f"tied for best{among}" if len(runs) > 1 else f"★ best{among}"
    return BestRuns(runs=runs, words=words, left_out=[place for place, _ in lines if place not in values])


def told_best(lines: Sequence[tuple[int, MetricSummary]], head: CurvesMetadata, mode: str | None) -> list[str]:
    """Return sentences about the best for a report; none where the key does not tell which values are better."""
    if mode is None:
        return []
    found = best_of(lines, head, highest=mode == "max")
    notes = []
    which = "highest" if mode == "max" else "lowest"
    if found.runs:
        summary = dict(lines)[found.runs[0]]
        value = summary.high if mode == "max" else summary.low
        among = found.words.partition("best")[2]
        if len(found.runs) > 1:
            notes.append(f"{many(len(found.runs), 'experiment')} tie for the {which} value{among}: {number(value)}.")
        else:
            step = summary.high_step if mode == "max" else summary.low_step
            notes.append(f"Best{among} ({which}): {head.runs[found.runs[0]].name}, {number(value)} at step {step:,}.")
    if found.left_out:
        notes.append(f"Not compared: {many(len(found.left_out), 'experiment')} whose newest value is NaN or infinite.")
    return notes
