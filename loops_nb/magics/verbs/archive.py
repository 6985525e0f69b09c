"""``%loops archive RUN ...``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.drawing.wording import many
from loops_nb.magics.grammar import Option, Verb
from loops_nb.magics.verbs.recorded import SOME_RUNS, called, metrics

if TYPE_CHECKING:
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk


def _run(desk: Desk, values: SimpleNamespace) -> None:
    found = metrics().find(values.runs, hidden=values.undo)
    rows = [row for row in found if row.archived == values.undo]
    metrics().archive([row.id for row in rows], archived=not values.undo)
    so_already = called([row for row in found if row.archived != values.undo])
    if so_already:
        were = "was" if len(so_already) == 1 else "were"
        desk.say(f"{', '.join(so_already)} {were} {'not archived' if values.undo else 'archived already'}: nothing was changed.")
    if not rows:
        return
    # Of many named one by one the number is enough; where a word meant several, they are named.
    what = many(len(rows), "experiment") + (f" ({', '.join(called(rows))})" if len(rows) > len(values.runs) else "")
    if values.undo:
        desk.say(f"{what} brought back: %loops experiments shows them.")
    else:
        desk.say(f"{what} put out of sight. Nothing was deleted: %loops experiments --archived shows them, --undo brings them back.")


VERB = Verb(
    name="archive",
    summary="put recorded runs out of sight; nothing is deleted",
    run=_run,
    arguments=(SOME_RUNS,),
    options=(Option(name="undo", flags=("--undo",), default=False, help="bring them back"),),
    notes="Only what is recorded on this machine: the runs of the service stay as they are.",
    examples=("%loops archive first-try", "%loops archive first-try --undo"),
    when_interrupted="%loops experiments --archived tells which are archived.",
)
