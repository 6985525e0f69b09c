"""Sets of prompts: a file of JSON lines, or a list."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from loops_nb.config.paths import user_path
from loops_nb.errors import InvalidArgumentError, one_line
from loops_nb.tracking.values import read_json

_MOST_PROMPTS = 100_000


class EvaluationPrompt(NamedTuple):
    """One prompt of a set.

    Parameters
    ----------
    prompt : str or list of int
        The text, or token ids.
    fields : dict
        What else its line has: the expected answer, a category.
    """

    prompt: str | list[int]
    fields: dict[str, Any]


class PromptSet(NamedTuple):
    """The prompts of an evaluation.

    Parameters
    ----------
    name : str
        Name of the file without its ending, or ``prompts``.
    prompts : list of EvaluationPrompt
        At least one.
    digest : str
        Tells sets with other prompts or fields apart.
    """

    name: str
    prompts: list[EvaluationPrompt]
    digest: str


def prompt_set(given: str | os.PathLike[str] | Iterable[Any]) -> PromptSet:
    """Return the prompts of a file of JSON lines, or of a list.

    Parameters
    ----------
    given : str, path-like or iterable
        Path of a file whose lines are objects with ``prompt`` or strings; or the prompts themselves: texts, lists of
        token ids, or mappings with ``prompt``.

    Raises
    ------
    InvalidArgumentError
        If the file cannot be read, a line has no prompt, or there are none.
    """
    if isinstance(given, (str, os.PathLike)):
        path = user_path(given)
        name, rows = path.stem, _rows_of(path)
    else:
        name, rows = "prompts", [(f"prompt {number}", one) for number, one in enumerate(given, start=1)]
    prompts = [_prompt(row, where) for where, row in rows]
    if not prompts:
        raise InvalidArgumentError(f"There are no prompts in {given!s:.200}.", argument="prompts", hint=_HINT)
    if len(prompts) > _MOST_PROMPTS:
        raise InvalidArgumentError(
            f"{len(prompts):,} prompts are more than one evaluation takes ({_MOST_PROMPTS:,}).", argument="prompts"
        )
    content = json.dumps([list(one) for one in prompts], sort_keys=True, default=str).encode()
    return PromptSet(name, prompts, hashlib.blake2b(content, digest_size=8).hexdigest())


def _rows_of(path: Path) -> list[tuple[str, Any]]:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InvalidArgumentError(
            f"{path} cannot be read ({one_line(why)}). Nothing was asked.", argument="prompts", hint=_HINT
        ) from None
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"line {number} of {path.name}"
        try:
            found.append((where, read_json(line)))
        except ValueError:
            raise InvalidArgumentError(f"{where} is not JSON.", argument="prompts", hint=_HINT) from None
    return found


def _prompt(row: Any, where: str) -> EvaluationPrompt:
    prompt, fields = row, {}
    if isinstance(row, Mapping):
        prompt = row.get("prompt")
        fields = {str(name): value for name, value in row.items() if name != "prompt"}
    if isinstance(prompt, (list, tuple)) and prompt and all(type(token) is int for token in prompt):
        return EvaluationPrompt(list(prompt), fields)
    if not isinstance(prompt, str) or not prompt:
        raise InvalidArgumentError(
            f"{where} has no prompt: a text that is not empty, or token ids.", argument="prompts", hint=_HINT
        )
    return EvaluationPrompt(prompt, fields)


_HINT = 'A line is for example {"prompt": "2 + 2 =", "answer": "4"}'
