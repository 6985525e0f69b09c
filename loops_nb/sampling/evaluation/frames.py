"""The scores of checkpoints as a DataFrame: one row a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.frames.attributes import NOTES_ATTR
from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.computed import computed_frame, register_kind

if TYPE_CHECKING:
    import pandas as pd

SCORES = register_kind(
    Kind(
        "scores",
        many=(),
        one=(),
        columns=(
            Column("checkpoint", Dtype.STRING, (), "Name of the checkpoint."),
            Column("step", Dtype.COUNT, (), "Its step."),
            Column("score", Dtype.NUMBER, (), "Mean score of its completions."),
            Column("stderr", Dtype.NUMBER, (), "Standard error of the mean; missing with fewer than two scores."),
            Column("scored", Dtype.COUNT, (), "Number of completions with a score."),
            Column("name", Dtype.WORD, (), "Name of the experiment that has its samples."),
            Column("experiment", Dtype.WORD, (), "Id of that experiment."),
            Column("run_id", Dtype.WORD, (), "The run that saved it."),
            Column("uri", Dtype.STRING, (), "bt:// URI of the checkpoint; missing for the base model."),
        ),
    )
)


class CheckpointScore(NamedTuple):
    """One row, names as of the columns; ``is_known`` tells that it was scored by an earlier call."""

    checkpoint: str
    step: int
    score: float | None
    stderr: float | None
    scored: int
    is_known: bool
    name: str
    experiment: str
    run_id: str
    uri: str | None


def scores_frame(scores: Iterable[CheckpointScore], notes: list[str]) -> pd.DataFrame:
    """Return the scores of checkpoints.

    Returns
    -------
    pandas.DataFrame
        One row a checkpoint, by run and step: checkpoint (string), step (Int64), score, stderr (float64), scored
        (Int64), name, experiment, run_id (category) and uri (string).
    """
    rows = list(scores)
    frame = computed_frame(
        SCORES, {column.name: [getattr(row, column.name) for row in rows] for column in SCORES.columns}
    )
    frame.attrs[NOTES_ATTR] = notes
    return frame
