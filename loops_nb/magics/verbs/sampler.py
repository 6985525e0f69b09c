"""``%loops sampler ID``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.grammar import Verb
from loops_nb.magics.verbs.options import identifier

if TYPE_CHECKING:
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk
    from loops_nb.models import Sampler


def _run(desk: Desk, values: SimpleNamespace) -> Sampler:
    with desk.naming("sampler", values.id):
        return desk.loops.samplers.get(desk.sampler_id(values.id))


VERB = Verb(
    name="sampler",
    summary="one sampler: its state and where it is reached",
    run=_run,
    arguments=(identifier("sampler", "the sampler's id, as in %loops samplers, or the name of its run"),),
    notes="Gives an object with the fields as attributes.",
    examples=("%loops sampler samp_def789", "sampler = %loops sampler samp_def789"),
)
