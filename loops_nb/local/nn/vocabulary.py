"""Vocabulary: token ids get slots when they are first seen, until all slots are taken."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from loops_nb.local.base_models import BYTES, is_bytes, size_of
from loops_nb.local.errors import InvalidInputError

#: Stands for every id that came when all slots were taken.
OTHER = -1


class Vocabulary:
    """Token ids in the order of their slots.

    Parameters
    ----------
    ids : sequence of int
        Ids that have a slot.
    capacity : int
        Most slots; further ids share one more slot, which is never sampled.
    """

    def __init__(self, ids: Sequence[int], capacity: int) -> None:
        self.ids: list[int] = list(ids)
        self.capacity = capacity
        self._slots = {token: slot for slot, token in enumerate(self.ids)}
        if len(self._slots) != len(self.ids) or len(self.ids) > capacity + 1:
            raise InvalidInputError(
                f"A vocabulary has each id once and at most {capacity} ids; this one has {len(self.ids)}."
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_full(self) -> bool:
        """True when ids share a slot, which is then the last one."""
        return len(self.ids) > self.capacity

    @property
    def own(self) -> int:
        """Number of slots that stand for one id each; these can be sampled."""
        return min(len(self.ids), self.capacity)

    def extended(self, tokens: Iterable[int]) -> Vocabulary:
        """Return the vocabulary that also has these ids, in the order in which they come."""
        new = [token for token in dict.fromkeys(tokens) if token not in self._slots]
        if not new or self.is_full:
            return self
        room = self.capacity - len(self.ids)
        return Vocabulary([*self.ids, *new[:room], *([OTHER] if len(new) > room else [])], self.capacity)

    def slots(self, tokens: Iterable[int]) -> list[int]:
        """Return the slots of ids; of the shared slot where an id has none of its own."""
        last = len(self.ids) - 1
        return [self._slots.get(token, last) for token in tokens]

    def count_without_slot(self, tokens: Iterable[int]) -> int:
        """Count the different ids that share the last slot."""
        return sum(token not in self._slots for token in set(tokens))


def new_vocabulary(base_model: str) -> Vocabulary:
    """Return what a new model tells apart: all bytes where ids are bytes, nothing yet elsewhere."""
    return Vocabulary(range(BYTES) if is_bytes(base_model) else (), size_of(base_model).slots)
