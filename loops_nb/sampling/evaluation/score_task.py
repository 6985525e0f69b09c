"""Scoring on an executor of the user: the function travels once it is pickled, and a number comes back."""

from __future__ import annotations

import importlib.util
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from loops_nb.errors import ExecutorError, InvalidArgumentError, one_line
from loops_nb.sampling.evaluation.score import ScoreFunction

_IN_A_MODULE = "Put the function into a module that the workers can import"


@dataclass(frozen=True)
class ScoreTask:
    """The score of one completion.

    Parameters
    ----------
    score : ScoreFunction
        The user's function.
    pickled : bytes
        What `pickled_score` returns of it; empty where nothing is sent.
    prompt, completion : str
        Its arguments.
    fields : mapping
        Fields of the prompt's line.
    """

    score: ScoreFunction
    pickled: bytes
    prompt: str
    completion: str
    fields: Mapping[str, Any]
    units: int = 1

    def __call__(self) -> float | None:
        """Return the score."""
        return self.score(self.prompt, self.completion, self.fields)

    def payload(self, *, share_urls: bool, is_renewed: bool) -> _PickledScore:
        """Return the task with the pickled function."""
        del share_urls, is_renewed
        return _PickledScore(self.pickled, self.prompt, self.completion, dict(self.fields))


@dataclass(frozen=True)
class _PickledScore:
    pickled: bytes
    prompt: str
    completion: str
    fields: dict[str, Any]

    def __call__(self) -> float | None:
        return _loaded(self.pickled)(self.prompt, self.completion, self.fields)


def pickled_score(score: ScoreFunction) -> bytes:
    """Return a score function as bytes: with cloudpickle, where it is installed, also one of the notebook.

    Raises
    ------
    InvalidArgumentError
        If it cannot be sent to a worker.
    """
    if importlib.util.find_spec("cloudpickle") is not None:
        import cloudpickle  # Dask has it

        dumps = cloudpickle.dumps
    elif score.is_of_notebook:
        raise InvalidArgumentError(
            f"{score.name} is defined in the notebook, so workers cannot import it. Nothing was asked.",
            argument="score",
            hint=f"{_IN_A_MODULE}, or install cloudpickle here and there: %pip install cloudpickle",
        )
    else:
        dumps = pickle.dumps
    try:
        data: bytes = dumps(score)
    except Exception as error:  # noqa: BLE001 - whatever an object of the user's raises
        raise InvalidArgumentError(
            f"{score.name} cannot be sent to workers ({type(error).__name__}: {one_line(str(error), limit=200)}). "
            "Nothing was asked.",
            argument="score",
            hint=f"{_IN_A_MODULE}, or let it open what it uses by itself.",
        ) from None
    return data


@lru_cache(maxsize=8)
def _loaded(data: bytes) -> ScoreFunction:
    try:
        score: ScoreFunction = pickle.loads(data)  # noqa: S301 - of the user who owns the executor
    except Exception as error:  # noqa: BLE001 - any module may be missing there
        text = one_line(f"{type(error).__name__}: {error}", limit=200)
        raise ExecutorError(
            f"A worker cannot load the score function ({text}).", hint=f"{_IN_A_MODULE}, with all that it uses."
        ) from None
    return score
