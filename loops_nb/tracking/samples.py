"""Samples of a training: prompts with their completions and rewards, kept beside the metrics within bounds.

Each text keeps its first `MAX_TEXT` characters.  When an experiment has more than `MAX_SAMPLES`, those of about half of
the steps are dropped, so that what stays is spread over the whole training; the first and the last step always stay.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from loops_nb.errors import InvalidArgumentError
from loops_nb.tracking.params import kept_params, read_params
from loops_nb.tracking.sql import SqlConnection
from loops_nb.tracking.values import as_exact, kept_text

#: Characters that are kept of a prompt and of a completion.
MAX_TEXT = 20_000
#: Characters that are kept of each further field, and of all of them together.
MAX_FIELD, MAX_FIELDS = 2_000, 20_000
#: Samples that are kept of one experiment.
MAX_SAMPLES = 5_000
# A secret at the end of what is kept must be seen whole to be replaced.
_MARGIN = 1_000
#: What stands before the ids of tokens that no tokenizer was at hand for.
_IDS_PREFIX = "token ids: "
_FEWEST_TO_THIN = 3
#: Name of the field with the number of a prompt in the set that it is of.
PROMPT_NUMBER = "prompt_number"
_COLUMNS = "seq, step, at, attempt, prompt, completion, reward, fields, cut"
_INSERT = """
    INSERT INTO samples (experiment, step, at, attempt, prompt, completion, reward, fields, cut)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"""
_ADD_DROPPED = """
    INSERT INTO samples_dropped (experiment, count) VALUES (?, ?)
    ON CONFLICT (experiment) DO UPDATE SET count = samples_dropped.count + excluded.count"""


class SampleRow(NamedTuple):
    """One recorded sample.

    Parameters
    ----------
    seq : int
        Grows with each sample that is written to the file.
    step : int
        Training step.
    at : int
        Milliseconds since 1970.
    attempt : int
        Attempt, as in `loops_nb.tracking.rows.Series`.
    prompt, completion : str
        The texts.
    reward : float or None
        The reward; None if none was given.
    fields : dict
        Further fields by name.
    cut : int
        Number of characters of its texts that were not kept.
    """

    seq: int
    step: int
    at: int
    attempt: int
    prompt: str
    completion: str
    reward: float | None
    fields: dict[str, Any]
    cut: int


class KeptTexts(NamedTuple):
    """Texts of a sample as they are stored: prompt, completion, fields as JSON, and the characters not kept."""

    prompt: str
    completion: str
    fields: str
    cut: int


def kept_texts(prompt: Any, completion: Any, fields: Mapping[str, Any]) -> KeptTexts:
    """Return the texts of a sample within their bounds.

    Raises
    ------
    InvalidArgumentError
        If the prompt or the completion is neither a text, nor token ids, nor messages.
    """
    kept_prompt, prompt_cut = _bounded(_text_of(prompt, "prompt"), MAX_TEXT)
    kept_completion, completion_cut = _bounded(_text_of(completion, "completion"), MAX_TEXT)
    kept_fields, fields_cut = _bounded_fields(fields) if fields else ("{}", 0)
    return KeptTexts(kept_prompt, kept_completion, kept_fields, prompt_cut + completion_cut + fields_cut)


def token_ids_text(tokens: Iterable[int]) -> str:
    """Return token ids as the text of a sample."""
    return _IDS_PREFIX + " ".join(map(str, tokens))


def _text_of(value: Any, argument: str) -> str:
    if isinstance(value, str):
        return value
    tolist = getattr(value, "tolist", None)
    items = tolist() if callable(tolist) else value
    if isinstance(items, (list, tuple)):
        if all(isinstance(item, int) and not isinstance(item, bool) for item in items):
            return token_ids_text(items)
        if all(isinstance(item, Mapping) and isinstance(item.get("content"), str) for item in items):
            return "\n".join(f"{item.get('role', 'user')}: {item['content']}" for item in items)
    raise InvalidArgumentError(
        f"{argument} must be a text, token ids or messages with role and content, not {type(value).__name__}."
        " Nothing was recorded by this call.",
        argument=argument,
        hint='For example exp.sample(step=10, prompt="2 + 2 =", completion=" 4", reward=1.0)',
    )


def _bounded(text: str, most: int) -> tuple[str, int]:
    kept = kept_text(text[: most + _MARGIN])
    return kept[:most], max(0, len(text) - most)


def _bounded_fields(fields: Mapping[str, Any]) -> tuple[str, int]:
    cut = 0
    bounded: dict[str, Any] = {}
    left = MAX_FIELDS
    for name, value in fields.items():
        kept = value
        if isinstance(value, str) and len(value) > MAX_FIELD:
            cut += len(value) - MAX_FIELD
            kept = value[:MAX_FIELD]
        size = len(kept_params({name: kept}))
        if size > left:
            cut += size
            continue
        left -= size
        bounded[name] = kept
    return kept_params(bounded), cut


def _stored_reward(reward: float | None) -> float | str | None:
    """Return a reward as SQLite keeps it: it stores a NaN as NULL, so that is a text."""
    return "NaN" if reward is not None and math.isnan(reward) else reward


def reward_of(value: Any) -> float | None:
    """Return a reward as a float; None if the value is no number."""
    number = as_exact(value)
    try:
        return None if number is None else float(number)
    except OverflowError:
        return None


class NewSample(NamedTuple):
    """A sample to write, with the number of its attempt."""

    step: int
    at: int
    attempt: int
    texts: KeptTexts
    reward: float | None


def write_samples(connection: SqlConnection, experiment: int, samples: Iterable[NewSample]) -> None:
    """Append samples, within a transaction, and keep the experiment in its bounds."""
    rows = [
        (
            experiment,
            one.step,
            one.at,
            one.attempt,
            one.texts.prompt,
            one.texts.completion,
            _stored_reward(one.reward),
            one.texts.fields,
            one.texts.cut,
        )
        for one in samples
    ]
    if rows:
        connection.executemany(_INSERT, rows)
        _drop_surplus(connection, experiment)


def restored_samples(samples: Iterable[SampleRow]) -> list[NewSample]:
    """Return the samples of an experiment that is imported, to write them."""
    return [
        NewSample(
            one.step,
            one.at,
            one.attempt,
            KeptTexts(kept_text(one.prompt), kept_text(one.completion), kept_params(one.fields), one.cut),
            one.reward,
        )
        for one in samples
    ]


def _drop_surplus(connection: SqlConnection, experiment: int) -> None:
    total = _count(connection, experiment)
    while total > MAX_SAMPLES:
        found = connection.execute(
            "SELECT DISTINCT step FROM samples WHERE experiment = ? ORDER BY step", (experiment,)
        )
        steps = [step for (step,) in found.fetchall()]
        if len(steps) >= _FEWEST_TO_THIN:
            surplus = [(experiment, step) for step in _surplus_steps(steps)]
            connection.executemany("DELETE FROM samples WHERE experiment = ? AND step = ?", surplus)
        else:
            newest = "SELECT seq FROM samples WHERE experiment = ? ORDER BY seq DESC LIMIT ?"
            connection.execute(
                f"DELETE FROM samples WHERE seq IN ({newest})",  # noqa: S608 - no text of the user
                (experiment, total - MAX_SAMPLES),
            )
        left = _count(connection, experiment)
        connection.execute(_ADD_DROPPED, (experiment, total - left))
        total = left


def _surplus_steps(steps: list[int]) -> list[int]:
    """Return steps to drop, about half of them, so that the others are as evenly spaced as possible."""
    gap = 2 * (steps[-1] - steps[0]) / len(steps)
    surplus: list[int] = []
    kept = steps[0]
    for step in steps[1:-1]:
        if step - kept < gap:
            surplus.append(step)
        else:
            kept = step
    return surplus or steps[1:-1:2]


def _count(connection: SqlConnection, experiment: int) -> int:
    return int(connection.execute("SELECT count(*) FROM samples WHERE experiment = ?", (experiment,)).fetchone()[0])


def read_samples(connection: SqlConnection, experiment: int, steps: Iterable[int] | None) -> list[SampleRow]:
    """Return the samples of an experiment by step, within a step in order of arrival; of some steps or of all."""
    if steps is None:
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM samples WHERE experiment = ? ORDER BY step, seq",  # noqa: S608 - our own columns
            (experiment,),
        ).fetchall()
    else:
        rows = []
        for step in sorted(set(steps)):
            rows += connection.execute(
                f"SELECT {_COLUMNS} FROM samples WHERE experiment = ? AND step = ? ORDER BY seq",  # noqa: S608 - as above
                (experiment, step),
            ).fetchall()
    return [
        SampleRow(seq, step, at, attempt, prompt, completion, _reward(reward), read_params(fields), cut)
        for seq, step, at, attempt, prompt, completion, reward, fields, cut in rows
    ]


def _reward(stored: float | str | None) -> float | None:
    return None if stored is None else float(stored)
