"""DataFrame of samples: one row per prompt and completion."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from loops_nb.frames.attributes import EMPTY_ATTR, NOTES_ATTR
from loops_nb.frames.columns import Column, Dtype, Kind
from loops_nb.frames.computed import computed_frame, register_kind
from loops_nb.frames.logged_nan import mark_nan
from loops_nb.frames.params import param_array
from loops_nb.render.formatting import many
from loops_nb.tracking.frames import no_experiments, times_array

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.tracking.store import ExperimentStore

SAMPLES = register_kind(
    Kind(
        "samples",
        many=(),
        one=(),
        columns=(
            Column("step", Dtype.COUNT, (), "Training step."),
            Column("prompt", Dtype.STRING, (), "The prompt; token ids where no tokenizer was at hand."),
            Column("completion", Dtype.STRING, (), "The completion, as the prompt."),
            Column("reward", Dtype.NUMBER, (), "Its reward or score; missing where none was given."),
            Column("experiment", Dtype.WORD, (), "Id of the experiment."),
            Column("name", Dtype.WORD, (), "Name of the experiment; several may have the same."),
            Column("run_id", Dtype.WORD, (), "Loops run that it belongs to; missing without one."),
            Column("attempt", Dtype.COUNT, (), "1 at first; higher after each resumption and each earlier step."),
            Column("cut", Dtype.COUNT, (), "Number of characters of its texts that were not kept."),
            Column("at", Dtype.TIME, (), "When it was recorded."),
        ),
    )
)
_HOW = (
    'exp.sample(step=10, prompt="2 + 2 =", completion=" 4", reward=1.0) keeps one,'
    " loops_nb.track(client, keep_samples=4) those of a training."
)


def samples_frame(
    store: ExperimentStore, experiments: Iterable[str], *, steps: Iterable[int] | None = None
) -> pd.DataFrame:
    """Return the samples of experiments: one row per sample.

    Parameters
    ----------
    store : ExperimentStore
        The file of experiments.
    experiments : iterable of str
        Ids of experiments.
    steps : iterable of int, optional
        Only these steps; by default all.

    Returns
    -------
    pandas.DataFrame
        Columns as in `loops_nb.tracking.metrics.Metrics.samples`.

    Raises
    ------
    TrackingError
        If there is no such experiment, or the file cannot be read.
    """
    wanted = None if steps is None else list(steps)
    rows = [store.experiment(key) for key in dict.fromkeys(experiments)]
    found = [(row, one) for row in rows for one in store.samples(row.id, steps=wanted)]
    values: dict[str, list[Any]] = {
        "step": [one.step for _, one in found],
        "prompt": [one.prompt for _, one in found],
        "completion": [one.completion for _, one in found],
        "reward": [None if one.reward is None else mark_nan(one.reward) for _, one in found],
        "experiment": [row.id for row, _ in found],
        "name": [row.name for row, _ in found],
        "run_id": [row.run_id for row, _ in found],
        "attempt": [one.attempt for _, one in found],
        "cut": [one.cut for _, one in found],
        "at": [None] * len(found),
    }
    frame = computed_frame(SAMPLES, values)
    frame["at"] = times_array(np.array([one.at for _, one in found], np.int64))
    for name in dict.fromkeys(name for _, one in found for name in one.fields):
        frame[f"fields.{name}"] = param_array([one.fields.get(name) for _, one in found])
    frame.attrs[NOTES_ATTR] = _notes(store, [row.id for row in rows], sum(one.cut > 0 for _, one in found))
    if not rows:
        frame.attrs[EMPTY_ATTR] = (
            f"No samples are recorded yet. {_HOW}" if store.experiments() else no_experiments(store)
        )
    elif not found:
        frame.attrs[EMPTY_ATTR] = _nothing(store, [row.id for row in rows], wanted)
    return frame


def _notes(store: ExperimentStore, experiments: list[str], cut: int) -> list[str]:
    notes = []
    dropped = sum(map(store.samples_dropped, experiments))
    if dropped:
        notes.append(f"{many(dropped, 'sample')} of steps between these are not kept: an experiment keeps 5,000.")
    if cut:
        were = "1 sample is" if cut == 1 else f"{cut:,} samples are"
        notes.append(f"{were} longer than what is kept; the column cut counts the characters left out.")
    return notes


def _nothing(store: ExperimentStore, experiments: list[str], wanted: list[int] | None) -> str:
    there = sorted({step for key in experiments for step in store.sample_steps(key)})
    if wanted is None or not there:
        return f"No samples are recorded for these experiments yet. {_HOW}"
    shown = ", ".join(map(str, there[:8]))
    return f"No samples at these steps. There are samples at {shown}{' and later steps' if len(there) > 8 else ''}."  # noqa: PLR2004


def containing(frame: pd.DataFrame, text: str) -> pd.DataFrame:
    """Return the rows of a frame of samples with a text in the prompt or the completion, in any case."""
    found = frame[
        frame["prompt"].str.contains(text, case=False, regex=False)
        | frame["completion"].str.contains(text, case=False, regex=False)
    ].reset_index(drop=True)
    if len(frame):
        found.attrs[EMPTY_ATTR] = f"None of {many(len(frame), 'sample')} has {text!r:.60} in its prompt or completion."
    return found
