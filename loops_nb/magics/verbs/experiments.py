"""``%loops experiments``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.grammar import Option, Verb
from loops_nb.magics.verbs.recorded import metrics

if TYPE_CHECKING:
    from types import SimpleNamespace

    import pandas as pd

    from loops_nb.magics.desk import Desk


def _run(desk: Desk, values: SimpleNamespace) -> pd.DataFrame:
    frame = metrics().experiments(archived=values.archived)
    desk.knowledge.learn("experiments", frame)
    if values.tag is not None:
        tags = [set(text.split(", ")) if isinstance(text, str) else set() for text in frame["tags"].tolist()]
        attrs = frame.attrs
        frame = frame[[values.tag in of for of in tags]]
        frame.attrs = {**attrs, "loops_empty": f"No experiment has the tag {values.tag!r:.60}. %loops experiments lists them all."}
    return frame


VERB = Verb(
    name="experiments",
    summary="what was recorded on this machine: parameters, tags, notes, how far it came",
    run=_run,
    gives_frames=True,
    options=(
        Option(name="tag", flags=("--tag",), metavar="TAG", help="only those with this tag"),
        Option(name="archived", flags=("--archived",), default=False, help="those too that %loops archive put out of sight"),
    ),
    notes="Recorded by loops_nb.track(training_client), by %loops track --request-log FILE, or by hand with loops_nb.experiment(...)."
    " Gives a DataFrame with a column for each parameter. Needs no connection.",
    examples=("%loops experiments", "df = %loops experiments --tag sweep"),
)
