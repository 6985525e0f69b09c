"""``%loops tag RUN TAG ...``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.grammar import Option, Takes, Verb
from loops_nb.magics.verbs.recorded import RUN, called, metrics, one_of_several, recorded

if TYPE_CHECKING:
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk


def _run(desk: Desk, values: SimpleNamespace) -> None:
    run = recorded(desk, values.run)
    metrics().tag(run, *values.tags, remove=values.remove)
    rows = metrics().find(run)
    for row, label in zip(rows, called(rows), strict=True):
        desk.say(f"{label}: {', '.join(row.tags) or 'no tags'}.")
    if values.tags and (several := one_of_several(rows, values.run, "%loops tag {} TAG")):
        desk.say(several)


VERB = Verb(
    name="tag",
    summary="words to find a run by; kept on this machine",
    run=_run,
    arguments=(RUN, Takes(name="tags", metavar="TAG", knows="tag", many=True, help="the tags; without any, says which there are")),
    options=(Option(name="remove", flags=("--remove",), default=False, help="take them off instead"),),
    notes="The API keeps no tags. %loops experiments shows them, df.loops.with_metrics() beside runs;"
    " %loops experiments --tag TAG finds by them.",
    examples=("%loops tag k4q95w5 sweep baseline", "%loops tag k4q95w5 baseline --remove"),
    when_interrupted="%loops tag RUN tells which it has.",
)
