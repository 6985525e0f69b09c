"""How weights move, measured for a panel: what that would read, in words, and who reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from loops_nb.drawing.wording import many, size
from loops_nb.panels.rows import cell

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from loops_nb.client.exchange import Exchange
    from loops_nb.panels.wire import Row

#: Takes a frame of checkpoints and returns how their weights move, a frame that `loops_nb.plots.drift` draws; it may take long.
Measure: TypeAlias = "Callable[[pd.DataFrame], pd.DataFrame]"
#: Makes one for a connection.

_SYNCING = "SYNCING"
_SAMPLER = "sampler"
#: A path has a beginning and an end.
_LEAST = 2


def over_the_network(exchange: Exchange) -> Measure:
    """Return what reads weights from where the service keeps them; nothing is written to disk but the headers that any reading keeps."""

    def measure(frame: pd.DataFrame) -> pd.DataFrame:
        from loops_nb.client.transport import Transport  # noqa: PLC0415 - a panel that measures nothing needs none of it
        from loops_nb.workbench import Workbench, refs_of  # noqa: PLC0415

        transport = Transport(exchange)
        try:
            return Workbench(transport).drift(refs_of(frame), "module")
        finally:
            transport.close()

    return measure


def measured_ids(rows: Mapping[str, Row]) -> list[str]:
    """Return the checkpoints whose weights are read: what is saved whole; of each run those for the sampler, if it has any."""
    saved = {key: row for key, row in rows.items() if cell(row, "checkpoints", "sync_status") != _SYNCING}
    with_sampler = {cell(row, "checkpoints", "run_id") for row in saved.values() if cell(row, "checkpoints", "target") == _SAMPLER}
    return [
        key
        for key, row in saved.items()
        if cell(row, "checkpoints", "run_id") not in with_sampler or cell(row, "checkpoints", "target") == _SAMPLER
    ]


def can_measure(rows: Mapping[str, Row]) -> bool:
    """Tell whether there is anything to follow."""
    return len(measured_ids(rows)) >= _LEAST


def what_is_read(rows: Mapping[str, Row]) -> str:
    """Return what measuring would read, in a sentence."""
    ids = measured_ids(rows)
    if len(ids) < _LEAST:
        return "Drift is measured between checkpoints that are saved whole: it takes two of them."
    sizes = [cell(rows[key], "checkpoints", "size_bytes") for key in ids]
    most = f"at most {size(sum(sizes))}" if all(found is not None for found in sizes) else "of a size that the service does not tell"
    return f"Measuring reads the weights of {many(len(ids), 'checkpoint')} over the network, {most}; none of it is kept."
