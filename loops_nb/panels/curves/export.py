"""The recorded values of a panel of curves as a frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from loops_nb.errors import InvalidArgumentError
from loops_nb.render.formatting import first_and_more

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loops_nb.panels.curves.model import CurveModel

_MOST_NAMED = 8


def values_frame(model: CurveModel, keys: Sequence[str] | None) -> pd.DataFrame:
    """Return every recorded value of the experiments of a panel, one row each.

    Raises
    ------
    InvalidArgumentError
        If a key was not recorded.
    """
    known = model.all_keys()
    unknown = [key for key in keys or () if key not in known]
    if unknown:
        raise InvalidArgumentError(
            f"None of the shown experiments has {first_and_more(unknown, _MOST_NAMED)}.",
            argument="keys",
            hint=f"Recorded: {first_and_more(known, _MOST_NAMED)}" if known else "Nothing is recorded yet.",
        )
    parts = [
        _frame(run.id, run.name, key, found.step, found.at, found.tokens, found.value, found.attempt)
        for run in model.metadata.runs
        for key in (known if keys is None else keys)
        if (found := model.series(run.id, key)) is not None
    ]
    return pd.concat(parts, ignore_index=True) if parts else _frame("", "", "", *[np.empty(0)] * 5)


def _frame(
    run: str, name: str, key: str, step: object, at: object, tokens: object, value: object, attempt: object
) -> pd.DataFrame:
    count = len(np.asarray(step))
    return pd.DataFrame(
        {
            "id": pd.array([run] * count, dtype="string"),
            "experiment": pd.array([name] * count, dtype="string"),
            "key": pd.array([key] * count, dtype="string"),
            "step": np.asarray(step, dtype=np.int64),
            "at": pd.to_datetime(np.asarray(at, dtype=np.int64), unit="ms", utc=True),
            "tokens": np.asarray(tokens, dtype=np.float64),
            "value": np.asarray(value, dtype=np.float64),
            "attempt": np.asarray(attempt, dtype=np.int32),
        }
    )
