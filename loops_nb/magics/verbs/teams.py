"""``%loops teams``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb

if TYPE_CHECKING:
    from loops_nb.frames.listing_rows import ListingRows


def _run(context: MagicContext, _values: Values) -> ListingRows:
    return context.listing("teams", context.loops.teams.listing(), nothing="The service lists no teams to you.")


VERB = Verb(
    name="teams",
    summary="the teams of your organisation; --team takes a name or an id",
    run=_run,
    returns_listing=True,
    kinds=("teams",),
    notes="Returns a DataFrame. Runs, samplers and sessions are created in the team of LOOPS_TEAM, if that is set.",
    examples=("%loops teams", "%loops runs --team research"),
)
