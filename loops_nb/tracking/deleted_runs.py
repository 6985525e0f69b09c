"""Mark what is recorded of runs that were deleted in the service: the numbers stay."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from loops_nb.errors import LoopsError

logger: logging.Logger = logging.getLogger(__name__)

#: Tag of experiments whose run is no longer in the service.
DELETED_TAG = "run-deleted"


def mark_deleted_runs(run_ids: Iterable[str]) -> None:
    """Tag the experiments of deleted runs with ``run-deleted``; an error is logged and never raised.

    Parameters
    ----------
    run_ids : iterable of str
        Ids of runs.
    """
    from loops_nb.tracking.store import ExperimentStore

    ids = set(run_ids)
    try:
        with ExperimentStore() as store:
            for row in store.experiments(archived=True):
                if row.run_id in ids:
                    store.tag(row.id, DELETED_TAG)
    except (LoopsError, OSError):
        logger.warning("experiments of deleted runs were not tagged", exc_info=True)
