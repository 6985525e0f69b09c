"""Tokens that were trained and sampled, as recorded on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from loops_nb.frames.costs import TokenCounts
from loops_nb.tracking.store import ExperimentStore

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

#: Keys that `loops_nb.track` records: the tokens of each forward_backward, and those of each answer of a sampler.
_TRAINED, _SAMPLED = "tokens", "sample/tokens"


def recorded_tokens(run_ids: Collection[str]) -> Mapping[str, TokenCounts]:
    """Return the tokens of runs, by id; of a run that nothing was recorded of there is no entry.

    Repeated steps count each time, as the service computes them each time.

    Parameters
    ----------
    run_ids : collection of str
        Ids of runs.
    """
    found: dict[str, TokenCounts] = {}
    with ExperimentStore(read_only=True) as store:
        rows = [row for row in store.experiments(archived=True) if row.run_id in run_ids]
        summaries = store.summaries().series if rows else {}
        for row in rows:
            keys = summaries.get(row.id, {})
            trained = _total(store, row.id, _TRAINED) if _TRAINED in keys else None
            sampled = _total(store, row.id, _SAMPLED) if _SAMPLED in keys else None
            if row.run_id is not None and (trained, sampled) != (None, None):
                known = found.get(row.run_id, TokenCounts(None, None))
                found[row.run_id] = TokenCounts(_sum(known.trained, trained), _sum(known.sampled, sampled))
    return found


def _total(store: ExperimentStore, experiment_id: str, key: str) -> int:
    return int(np.nansum(store.series(experiment_id, key).value))


def _sum(one: int | None, other: int | None) -> int | None:
    return one if other is None else (one or 0) + other
