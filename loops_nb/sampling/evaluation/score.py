"""The user's own score: a Python function of a prompt, a completion and the fields of the prompt's line."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from loops_nb.errors import InvalidArgumentError, LoopsError, one_line
from loops_nb.tracking.values import as_number

_GIVEN = ("prompt", "completion")
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class ScoreFunction:
    """A function that scores completions, called with the arguments that it has parameters for.

    Parameters
    ----------
    function : callable
        Its parameters may be named ``prompt``, ``completion`` and as the fields of the prompts' lines.  One or two
        parameters of other names get the completion, or the prompt and the completion.

    Raises
    ------
    InvalidArgumentError
        If it is not callable.
    """

    def __init__(self, function: Any) -> None:
        if not callable(function):
            raise InvalidArgumentError(
                f"score must be a function, not {type(function).__name__}.",
                argument="score",
                hint="For example def score(completion, answer): return float(answer in completion)",
            )
        self._function: Callable[..., Any] = function
        try:
            self._params = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            self._params = [inspect.Parameter("completion", inspect.Parameter.POSITIONAL_OR_KEYWORD)]
        #: Whether its one or two parameters are none of the names that are known.
        self._is_positional = False

    @property
    def name(self) -> str:
        """Its name, for the parameters of the experiment."""
        found = getattr(self._function, "__qualname__", None) or type(self._function).__name__
        return str(found).rpartition("<locals>.")[2]

    @property
    def is_of_notebook(self) -> bool:
        """Whether it is defined where no other process can import it."""
        return "__main__" in (getattr(self._function, "__module__", ""), type(self._function).__module__)

    def check(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Check that it can be called for each row of fields.

        Raises
        ------
        InvalidArgumentError
            If a parameter without a default is neither ``prompt`` nor ``completion`` nor a field of every row.
        """
        listed = list(rows)
        known = {*_GIVEN, *(name for row in listed for name in row)}
        required = [param for param in self._params if param.name in self._required]
        self._is_positional = (
            1 <= len(required) <= len(_GIVEN)
            and all(param.kind in _POSITIONAL for param in required)
            and not any(param.name in known for param in required)
        )
        if self._is_positional:
            return
        for number, row in enumerate(listed, start=1):
            missing = [name for name in self._required if name not in _GIVEN and name not in row]
            if missing:
                raise InvalidArgumentError(
                    f"{self.name} needs {', '.join(missing)}, which prompt {number} does not have. Nothing was asked.",
                    argument="score",
                    hint=f"Its parameters may be prompt, completion and the fields of the lines: {_listed(row)}.",
                )

    def __call__(self, prompt: str, completion: str, fields: Mapping[str, Any]) -> float | None:
        """Return the score of a completion; None if the function returns None.

        Raises
        ------
        LoopsError
            If the function raises, or returns something that is no number.
        """
        known = {**fields, "prompt": prompt, "completion": completion}
        try:
            if self._is_positional:
                result = self._function(*(prompt, completion)[-len(self._required) :])
            else:
                takes_all = any(param.kind is inspect.Parameter.VAR_KEYWORD for param in self._params)
                names = known if takes_all else {param.name for param in self._params} & known.keys()
                result = self._function(**{name: known[name] for name in names})
        except Exception as error:
            raise LoopsError(
                f"{self.name} raised {type(error).__name__} ({one_line(str(error), limit=200)}) for the prompt"
                f" {one_line(prompt, limit=80)!r}.",
                hint="What was scored before is kept: mend the function and run it again.",
            ) from error
        if result is None:
            return None
        score = as_number(result)
        if score is None:
            raise LoopsError(
                f"{self.name} returned {type(result).__name__}, not a number, for {one_line(prompt, limit=80)!r}.",
                hint="What was scored before is kept: mend the function and run it again.",
            )
        return score

    @property
    def _required(self) -> list[str]:
        return [
            param.name
            for param in self._params
            if param.default is param.empty
            and param.kind not in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        ]


def imported_object(word: str, *, argument: str = "score", what: str = "function") -> Any:
    """Return what ``module:name`` names.

    Parameters
    ----------
    word : str
        Module and name.
    argument, what : str, optional
        Name of the argument, and what the object has to be, for the error.

    Raises
    ------
    InvalidArgumentError
        If it cannot be imported.
    """
    module, _, path = word.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in path.split("."):
            found = getattr(found, name)
    except Exception as error:  # noqa: BLE001 - whatever the module raises
        raise InvalidArgumentError(
            f"{word!r:.80} cannot be imported ({type(error).__name__}: {one_line(str(error), limit=200)}).",
            argument=argument,
            hint=f"Name a variable of the notebook, or module:{what} of a module that can be imported.",
        ) from None
    return found


def _listed(row: Mapping[str, Any]) -> str:
    return ", ".join(list(row)[:12]) or "none"
