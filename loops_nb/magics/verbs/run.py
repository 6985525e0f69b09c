"""``%loops run ID``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.grammar import Verb
from loops_nb.magics.verbs.options import identifier

if TYPE_CHECKING:
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk
    from loops_nb.models import Run


def _run(desk: Desk, values: SimpleNamespace) -> Run:
    with desk.naming("run", values.id):
        return desk.loops.runs.get(desk.run_id(values.id))


VERB = Verb(
    name="run",
    summary="one run: its state, where it is reached, its sampler",
    run=_run,
    arguments=(identifier("run", "the run's id, as in %loops runs, or its name"),),
    notes="Gives an object with the fields as attributes, and extra and to_dict() for what is newer than this package."
    " %loops watch ID shows it live.",
    examples=("%loops run k4q95w5", "run = %loops run k4q95w5", "%loops checkpoints $run"),
)
