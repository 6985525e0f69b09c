"""``%loops deployments``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.arguments import ALIVE, SCOPE, describe_filters
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb

if TYPE_CHECKING:
    from loops_nb.frames.listing_rows import ListingRows


def _run(context: MagicContext, values: Values) -> ListingRows:
    return context.listing(
        "deployments",
        context.loops.deployments.listing(scope=values.scope, alive=values.alive),
        nothing="No deployments yet. The first run on dedicated capacity creates one: %loops create run --help",
        filters=describe_filters(("--alive", values.alive)),
        no_match="%loops deployments lists those that have ended, too.",
    )


VERB = Verb(
    name="deployments",
    summary="your Loops deployments (trainer and sampler together), in every state",
    run=_run,
    returns_listing=True,
    kinds=("deployments",),
    options=(SCOPE, ALIVE),
    notes="Returns a DataFrame. %loops watch deployments updates live.",
    examples=("%loops deployments", "%loops deployments --alive", "df = %loops deployments"),
)
