"""Batches: from the data of a request to arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from loops_nb.local.errors import InvalidInputError
from loops_nb.local.nn.base_weights import Floats, Precision
from loops_nb.local.nn.inputs import MASKED, Datum, TensorData, flat, shape_of
from loops_nb.local.nn.losses import Targets
from loops_nb.local.nn.transformer import SequenceGroup, group_sequences
from loops_nb.local.nn.vocabulary import Vocabulary

#: Sequences are worked on together up to so many tokens.
_TOGETHER = 1024


class TokenBatch(NamedTuple):
    """Some data, worked on together.

    Parameters
    ----------
    slots, groups : array or list of SequenceGroup
        Tokens of all sequences one after the other, and where they lie.
    rows, targets, datum, place : array
        For each target that is not masked: its token's row in ``slots``, its own slot, the number of its datum in the
        batch, and its place in that datum's targets.
    counts : array
        Which of these count for the loss.
    read : Targets
        What the loss reads of those that count.
    shapes : list of tuple
        Shape of each datum's targets.
    """

    slots: Floats
    groups: list[SequenceGroup]
    rows: Floats
    targets: Floats
    datum: Floats
    place: Floats
    counts: Floats
    read: Targets
    shapes: list[tuple[int, ...]]


#: Of losses that read pairs: data that stay together, and the input with the logprobs of the reference.
_GROUP_SIZES = {"dpo": 2}
_OLD_LOGPROBS = {"dpo": "ref_logprobs"}


def token_ids_of(data: Sequence[Datum]) -> Iterator[int]:
    """Yield all token ids, in the order in which they get slots."""
    for datum in data:
        yield from datum.tokens
        if "target_tokens" in datum.loss_fn_inputs:
            yield from (token for token in flat(datum.loss_fn_inputs["target_tokens"]) if token != MASKED)


def batches(data: Sequence[Datum], vocabulary: Vocabulary, *, loss_fn: str, dtype: Precision) -> Iterator[TokenBatch]:
    """Yield the data in parts that fit into memory; the two of a pair stay together."""
    step = _GROUP_SIZES.get(loss_fn, 1)
    part: list[Datum] = []
    tokens = 0
    for at in range(0, len(data), step):
        group = data[at : at + step]
        more = sum(len(datum.tokens) for datum in group)
        if part and tokens + more > _TOGETHER:
            yield _batch(part, vocabulary, loss_fn, dtype)
            part, tokens = [], 0
        part.extend(group)
        tokens += more
    yield _batch(part, vocabulary, loss_fn, dtype)


def _batch(data: Sequence[Datum], vocabulary: Vocabulary, loss_fn: str, dtype: Precision) -> TokenBatch:
    lengths = [len(datum.tokens) for datum in data]
    starts = np.cumsum([0, *lengths[:-1]])
    parts = [_one(datum, number, int(starts[number]), loss_fn, dtype) for number, datum in enumerate(data)]
    rows, tokens, number, place, counts, *read = (
        np.concatenate(column) for column in zip(*(part[:-1] for part in parts), strict=True)
    )
    targets = np.array(vocabulary.slots(tokens.tolist()), np.int64)
    slots = np.array(vocabulary.slots(token for datum in data for token in datum.tokens), np.int64)
    weights, old, advantages = read
    seen = Targets(number[counts], weights[counts], old[counts], advantages[counts])
    return TokenBatch(
        slots, group_sequences(lengths), rows, targets, number, place, counts, seen, [part[-1] for part in parts]
    )


def _one(
    datum: Datum, number: int, start: int, loss_fn: str, dtype: Precision
) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats, Floats, Floats, tuple[int, ...]]:
    inputs = datum.loss_fn_inputs
    tokens = datum.tokens
    if "target_tokens" in inputs:
        shape = shape_of(inputs["target_tokens"])
        wanted = np.array(flat(inputs["target_tokens"]), np.int64)
    else:
        # Without targets, each token's target is the one after it.
        shape = (len(tokens),)
        wanted = np.array([*tokens[1:], MASKED], np.int64)
    wide = wanted.size // len(tokens)
    place = np.flatnonzero(wanted != MASKED)
    weights = _read(inputs.get("weights"), place, wanted.size, 1.0, dtype)
    advantages = _read(inputs.get("advantages"), place, wanted.size, 0.0, dtype)
    counts = weights != 0
    if loss_fn != "cross_entropy":
        counts &= _read(inputs.get("mask"), place, wanted.size, 1.0, dtype) > 0
    if "advantages" in inputs and loss_fn not in {"cross_entropy", "dpo"}:
        # What was neither better nor worse than expected teaches nothing.
        counts &= advantages != 0
    old_name = _OLD_LOGPROBS.get(loss_fn, "logprobs")
    old = _read(inputs.get(old_name), place, wanted.size, 0.0, dtype)
    for name, values in (
        ("weights", weights),
        ("advantages", advantages),
        (old_name, old),
    ):
        if loss_fn != "cross_entropy" or name == "weights":
            wrong = np.flatnonzero(~np.isfinite(values) & (counts | (name != "logprobs")))
            if wrong.size:
                raise InvalidInputError(
                    f"loss_fn_inputs.{name}[{place[wrong[0]]}] of a datum is not a finite number, where the loss "
                    f"needs one."
                )
    return (
        start + place // wide,
        wanted[place],
        np.full(place.size, number),
        place,
        counts,
        weights,
        old,
        advantages,
        shape,
    )


def _read(tensor: TensorData | None, place: Floats, size: int, default: float, dtype: Precision) -> Floats:
    if tensor is None:
        return np.full(place.size, default, dtype)
    numbers = np.array(flat(tensor), dtype=np.float64).astype(dtype)
    return (numbers if numbers.size == size else np.full(size, numbers[0], dtype))[place]
