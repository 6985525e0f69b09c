"""``%loops experiments``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.drawing.wording import many
from loops_nb.magics.grammar import Option, Verb
from loops_nb.magics.verbs.recorded import metrics

if TYPE_CHECKING:
    from types import SimpleNamespace

    import pandas as pd

    from loops_nb.magics.desk import Desk


def _run(desk: Desk, values: SimpleNamespace) -> pd.DataFrame:
    frame = metrics().experiments(archived=values.archived)
    desk.knowledge.learn("experiments", frame)
    if values.tag is not None and len(frame):
        tagged = _tagged(frame, values.tag)
        if not len(tagged) and not values.archived and (count := len(_tagged(metrics().experiments(archived=True), values.tag))):
            tagged.attrs["loops_empty"] = (
                f"Only what is archived has the tag {values.tag!r:.60} ({many(count, 'experiment')}):"
                " add --archived to the line, and it is listed."
            )
        return tagged
    return frame


def _tagged(frame: pd.DataFrame, tag: str) -> pd.DataFrame:
    attrs = frame.attrs
    places = [place for place, text in enumerate(frame["tags"].tolist()) if isinstance(text, str) and tag in text.split(", ")]
    frame = frame.iloc[places]
    frame.attrs = {**attrs, "loops_empty": f"No experiment has the tag {tag!r:.60}. %loops experiments lists them all."}
    return frame


VERB = Verb(
    name="experiments",
    summary="what was recorded on this machine: parameters, tags, notes, how far it came",
    run=_run,
    gives_frames=True,
    options=(
        Option(name="tag", flags=("--tag",), metavar="TAG", knows="tag", help="only those with this tag"),
        Option(name="archived", flags=("--archived",), default=False, help="those too that %loops archive put out of sight"),
    ),
    notes="Recorded by loops_nb.track(training_client), by %loops track --request-log FILE, or by hand with loops_nb.experiment(...)."
    " Gives a DataFrame with a column for each parameter. Needs no connection.",
    examples=("%loops experiments", "df = %loops experiments --tag sweep"),
)
