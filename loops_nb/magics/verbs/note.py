"""``%loops note RUN TEXT``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.grammar import Option, Takes, Verb
from loops_nb.magics.values import whole_number
from loops_nb.magics.verbs.recorded import RUN, called, metrics, one_of_several, recorded

if TYPE_CHECKING:
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk


def _run(desk: Desk, values: SimpleNamespace) -> None:
    text = " ".join(values.text).strip()
    if not text:
        raise InvalidArgumentError(
            "There is no text to note.", argument="text", hint="For example %loops note RUN the loss jumps here --step 40"
        )
    run = recorded(desk, values.run)
    metrics().note(run, text, step=values.step)
    rows = metrics().find(run)
    desk.say(f"Noted for {', '.join(called(rows))}{'' if values.step is None else f' at step {values.step}'}.")
    if several := one_of_several(rows, values.run, "%loops note {} TEXT"):
        desk.say(several)


VERB = Verb(
    name="note",
    summary="write something down about a run; kept on this machine",
    run=_run,
    arguments=(RUN, Takes(name="text", metavar="TEXT", free=True, many=True, help="the note")),
    options=(
        Option(name="step", flags=("--step",), metavar="N", free=True, convert=whole_number, help="at this step; curves show it there"),
    ),
    notes="The API keeps no notes. %loops experiments shows the last one, %loops metrics RUN --marks all of them.",
    examples=("%loops note k4q95w5 warm-up was too short", "%loops note k4q95w5 'the loss jumps here' --step 40"),
    when_interrupted="%loops metrics RUN --marks tells what is kept.",
)
