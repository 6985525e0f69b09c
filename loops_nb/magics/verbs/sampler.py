"""``%loops sampler ID``."""

from __future__ import annotations

from loops_nb.api.models import Sampler
from loops_nb.magics.arguments import id_argument
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb


def _run(context: MagicContext, values: Values) -> Sampler:
    with context.explain_unknown_id("sampler", values.id):
        return context.loops.samplers.get(context.resolve_sampler_id(values.id))


VERB = Verb(
    name="sampler",
    summary="show one sampler: state and base URL",
    run=_run,
    returns_object=True,
    arguments=(id_argument("sampler", "the sampler's id, as in %loops samplers, or the name of its run"),),
    notes="Returns an object with the fields as attributes.",
    examples=("%loops sampler wcvrxf7", "sampler = %loops sampler wcvrxf7"),
)
