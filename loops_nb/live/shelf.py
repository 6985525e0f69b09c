"""From the bytes of a listing to its objects; what did not change stays the same object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress, count, repeat, takewhile
from operator import eq, ne
from typing import Any

from loops_nb.decoding import decode_object
from loops_nb.live.cutting import Cut
from loops_nb.live.needs import Kind
from loops_nb.models import Checkpoint, Deployment, Resource, Run, Sampler

MODELS: dict[Kind, type[Resource]] = {"runs": Run, "deployments": Deployment, "samplers": Sampler, "checkpoints": Checkpoint}


@dataclass(slots=True)
class Shelf:
    """The newest good answer of one listing.

    Parameters
    ----------
    kind
        Which listing.

    Attributes
    ----------
    items
        By id, in the service's order.  Never changed, only replaced: whoever holds it holds a snapshot.
    version
        Raised by every change.
    fresh
        What is new or different since the version before.
    gone
        Ids that were there before and are not any more.
    was
        What stood in the places of the fresh ones, one for one; None when more is different than that.
    """

    kind: Kind
    items: dict[str, Any] = field(default_factory=dict)
    version: int = 0
    fresh: list[Any] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    was: list[Any] | None = None
    _cut: Cut | None = None
    _in_order: list[Any] = field(default_factory=list)

    def put(self, body: bytes) -> bool:
        """Take an answer in; tell whether anything is different from before.

        Raises
        ------
        UnreadableAnswerError
            If it is not the documented listing; everything stays as it was.
        """
        if self._cut is not None and body == self._cut.body:
            return False
        cut = Cut.of(body, self.kind, self._cut)
        in_order, fresh, was = self._recognised(cut.objects)
        if was is not None:
            items = dict(self.items)
            items.update((item.id, item) for item in fresh)
        else:
            items = {item.id: item for item in in_order}
        same = not fresh and self._cut is not None and (was is not None or list(items) == list(self.items))
        self._cut, self._in_order = cut, in_order
        if same:
            # Spaces between the objects, or a field beside them.
            return False
        self.gone = [key for key in self.items if key not in items] if was is None else []
        self.items, self.fresh, self.was = items, fresh, was
        self.version += 1
        return True

    def forget_body(self) -> None:
        """Have the next answer read as a whole, also if it is the same as the last one; what is known stays."""
        self._cut, self._in_order = None, []

    def clear(self) -> bool:
        """Take in that there is nothing to be had; tell whether there was something."""
        had = bool(self.items) or self.version == 0
        self._cut, self._in_order = None, []
        self.gone, self.items, self.fresh, self.was = list(self.items), {}, [], None
        self.version += had
        return had

    def _recognised(self, sent: list[bytes]) -> tuple[list[Any], list[Any], list[Any] | None]:
        """Return the objects, those of them that were not there before, and what `was` says."""
        before, known = self._cut.objects if self._cut is not None else [], self._in_order
        # A look at a thousand objects of which one changed is made by the interpreter's own loops, or it costs more than the rest of it.
        if len(sent) == len(before):
            places: Sequence[int] = list(compress(count(), map(ne, sent, before)))
            former, in_order = places, list(known)
        else:
            first = _alike(sent, before)
            last = _alike(reversed(sent[first:]), reversed(before[first:]))
            places, former = range(first, len(sent) - last), range(first, len(before) - last)
            in_order = [*known[:first], *repeat(None, len(places)), *known[len(before) - last :]]
        elsewhere = {before[at]: known[at] for at in former}
        model: type[Any] = MODELS[self.kind]
        fresh = []
        for at in places:
            item = elsewhere.get(sent[at])
            if item is None:
                item = decode_object(sent[at], model)
                fresh.append(item)
            in_order[at] = item
        took_their_places = places is former and len(fresh) == len(places) and len(self.items) == len(known)
        was = [known[at] for at in former] if took_their_places else None
        if was is not None and [item.id for item in was] != [item.id for item in fresh]:
            was = None
        return in_order, fresh, was


def _alike(ones: Iterable[bytes], others: Iterable[bytes]) -> int:
    """Return how many are the same before the first that is not."""
    return sum(takewhile(bool, map(eq, ones, others)))
