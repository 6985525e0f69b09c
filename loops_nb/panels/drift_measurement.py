"""Measurement of weight drift for a panel: what it would read, in words, and the reading itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from loops_nb.panels.columns import cell
from loops_nb.render.formatting import many, size

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from loops_nb.client.config import ClientConfig
    from loops_nb.panels.messages import Row

#: Takes a frame of checkpoints and returns how their weights move, a frame that `loops_nb.charts.drift` draws; it may
#: take long.
Measure: TypeAlias = "Callable[[pd.DataFrame], pd.DataFrame]"

_SYNCING = "SYNCING"
_SAMPLER = "sampler"
#: Drift is measured between at least two checkpoints.
_LEAST = 2


def over_the_network(config: ClientConfig) -> Measure:
    """Return a function that reads weights from remote storage; only headers are cached on disk."""

    def measure(frame: pd.DataFrame) -> pd.DataFrame:
        from loops_nb.checkpoints.service import CheckpointService, refs_of
        from loops_nb.client.transport import Transport  # a panel that measures nothing needs none of it

        transport = Transport(config)
        try:
            return CheckpointService(transport).drift(refs_of(frame), "module")
        finally:
            transport.close()

    return measure


def measured_ids(rows: Mapping[str, Row]) -> list[str]:
    """Return the checkpoints whose weights are read: complete ones; of each run those for the sampler, if any."""
    saved = {key: row for key, row in rows.items() if cell(row, "checkpoints", "sync_status") != _SYNCING}
    with_sampler = {
        cell(row, "checkpoints", "run_id") for row in saved.values() if cell(row, "checkpoints", "target") == _SAMPLER
    }
    return [
        key
        for key, row in saved.items()
        if cell(row, "checkpoints", "run_id") not in with_sampler or cell(row, "checkpoints", "target") == _SAMPLER
    ]


def can_measure(rows: Mapping[str, Row]) -> bool:
    """Tell whether there are enough checkpoints to measure."""
    return len(measured_ids(rows)) >= _LEAST


def what_is_read(rows: Mapping[str, Row]) -> str:
    """Return what measuring would read, in a sentence."""
    ids = measured_ids(rows)
    if len(ids) < _LEAST:
        return "Drift is measured between checkpoints that are saved whole: it takes two of them."
    sizes = [cell(rows[key], "checkpoints", "size_bytes") for key in ids]
    most = (
        f"at most {size(sum(sizes))}"
        if all(found is not None for found in sizes)
        else "of a size that the service does not tell"
    )
    return (
        f"Measuring reads the weights of {many(len(ids), 'checkpoint')} over the network, {most}; none of it is kept."
    )
