"""``%loops samplers``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.arguments import ALIVE, SCOPE, TEAM, describe_filters
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb

if TYPE_CHECKING:
    from loops_nb.frames.listing_rows import ListingRows


def _run(context: MagicContext, values: Values) -> ListingRows:
    return context.listing(
        "samplers",
        context.loops.samplers.listing(scope=values.scope, alive=values.alive, team_id=values.team_id),
        nothing="No samplers yet. Every run has one; create a standalone one with"
        " %loops create sampler --session SESSION --base-model MODEL",
        filters=describe_filters(("--team", values.team_id), ("--alive", values.alive)),
        no_match="%loops samplers lists all your samplers.",
    )


VERB = Verb(
    name="samplers",
    summary="your samplers, paired and standalone, newest first",
    run=_run,
    returns_listing=True,
    kinds=("samplers",),
    options=(SCOPE, ALIVE, TEAM),
    notes="Returns a DataFrame. %loops watch samplers updates live.",
    examples=("%loops samplers", "%loops samplers --alive", "df = %loops samplers --scope org"),
)
