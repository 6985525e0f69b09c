"""Checkpoints as the pictures of them need them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loops_nb.drawing.wording import MISSING, moment, size
from loops_nb.plots.columns import moments, need, numbers, texts
from loops_nb.plots.ticks import EARLIEST, LATEST
from loops_nb.steps import step_of
from loops_nb.uri import format_uri

if TYPE_CHECKING:
    from datetime import tzinfo

    import pandas as pd

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Saved:
    """A checkpoint.

    Parameters
    ----------
    row
        Its place in the frame.
    run_id, base_model, target, name, uri
        As in the listing; None where missing.
    at
        When it was saved, in seconds since 1970; None where it is missing, or no calendar of ours knows it.
    size
        In bytes; None where it is not known.
    step
        The training step that its name tells.
    """

    row: int
    run_id: str
    base_model: str | None
    target: str
    name: str | None
    uri: str | None
    at: float | None
    size: float | None
    step: int | None

    def called(self) -> str:
        """Return its URI, or what there is of it."""
        return self.uri or self.name or self.run_id

    def sized(self) -> str:
        """Return its size in words."""
        return MISSING if self.size is None else size(int(self.size))

    def when(self, zone: tzinfo | None) -> str:
        """Return when it was saved, in words."""
        return MISSING if self.at is None else moment(datetime.fromtimestamp(self.at, UTC), zone)


#: Bytes; whatever says more is no size, and its logarithm would only flatten the others.
_NO_FILE_IS_LARGER = 2.0**63


def saved_in(frame: pd.DataFrame, plot: str, *, needs: tuple[str, ...], has_times: bool) -> list[Saved]:
    """Return the checkpoints of a frame, in its order.

    Raises
    ------
    InvalidArgumentError
        If it is not a frame of checkpoints, or has lost a column that is needed.
    """
    need(frame, plot, "checkpoints", ("run_id", "target", *needs))
    names = texts(frame, "checkpoint_id")
    steps = [None if step is None else int(step) for step in numbers(frame, "step")] if "step" in frame.columns else [None] * len(names)
    columns = zip(
        texts(frame, "run_id"),
        texts(frame, "base_model"),
        texts(frame, "target"),
        names,
        texts(frame, "uri"),
        moments(frame, "created_at", plot) if has_times else [None] * len(names),
        numbers(frame, "size_bytes"),
        steps,
        strict=True,
    )
    return [
        Saved(
            row,
            run_id or UNKNOWN,
            base_model,
            target or UNKNOWN,
            name,
            uri or (format_uri(run_id, target or "", name) if run_id and name else None),
            at if at is not None and EARLIEST <= at <= LATEST else None,
            weight if weight is not None and 0 <= weight < _NO_FILE_IS_LARGER else None,
            step_of(name) if step is None and name is not None else step,
        )
        for row, (run_id, base_model, target, name, uri, at, weight, step) in enumerate(columns)
    ]


def by_run(found: list[Saved]) -> dict[str, list[Saved]]:
    """Return checkpoints by their run, the run that began last first; runs without times come last."""
    runs: dict[str, list[Saved]] = {}
    for one in found:
        runs.setdefault(one.run_id, []).append(one)
    began = {run: min((one.at for one in ones if one.at is not None), default=-float("inf")) for run, ones in runs.items()}
    return dict(sorted(runs.items(), key=lambda item: -began[item[0]]))


def targets_of(found: list[Saved]) -> list[str]:
    """Return the targets in the order in which they are drawn and told."""
    usual = ["trainer", "sampler"]
    seen = {one.target for one in found}
    return [*(target for target in usual if target in seen), *sorted(seen.difference(usual))]
