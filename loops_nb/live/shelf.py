"""From the bytes of a listing to its objects; what did not change stays the same object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import compress, count, repeat, takewhile
from operator import eq, ne
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from loops_nb.decoding import decode_object, unreadable
from loops_nb.errors import UnreadableAnswerError
from loops_nb.live.needs import Kind
from loops_nb.models import Checkpoint, Deployment, Resource, Run, Sampler

MODELS: dict[Kind, type[Resource]] = {"runs": Run, "deployments": Deployment, "samplers": Sampler, "checkpoints": Checkpoint}
#: Reads the list of one kind and passes over everything beside it, in one go.
_envelopes: dict[Kind, msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(msgspec.defstruct("Listing", [(kind, list[Raw] | UnsetType, UNSET)])) for kind in MODELS
}


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
    """

    kind: Kind
    items: dict[str, Any] = field(default_factory=dict)
    version: int = 0
    fresh: list[Any] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    _body: bytes | None = None
    _sent: list[bytes] = field(default_factory=list)
    _in_order: list[Any] = field(default_factory=list)

    def put(self, body: bytes) -> bool:
        """Take an answer in; tell whether anything is different from before.

        Raises
        ------
        UnreadableAnswerError
            If it is not the documented listing; everything stays as it was.
        """
        if body == self._body:
            return False
        sent = list(map(bytes, _parts(body, self.kind)))
        in_order, fresh, is_in_place = self._recognised(sent)
        if is_in_place:
            items = dict(self.items)
            items.update((item.id, item) for item in fresh)
        else:
            items = {item.id: item for item in in_order}
        same = not fresh and self._body is not None and (is_in_place or list(items) == list(self.items))
        self._body, self._sent, self._in_order = body, sent, in_order
        if same:
            # Spaces between the objects, or a field beside them.
            return False
        self.gone = [key for key in self.items if key not in items] if not is_in_place else []
        self.items, self.fresh = items, fresh
        self.version += 1
        return True

    def clear(self) -> bool:
        """Take in that there is nothing to be had; tell whether there was something."""
        had = bool(self.items) or self.version == 0
        self._body, self._sent, self._in_order = None, [], []
        self.gone, self.items, self.fresh = list(self.items), {}, []
        self.version += had
        return had

    def _recognised(self, sent: list[bytes]) -> tuple[list[Any], list[Any], bool]:
        """Return the objects, those of them that were not there before, and whether each of these only took its own former place."""
        before, known = self._sent, self._in_order
        # A look at a thousand objects of which one changed is made by the interpreter's own loops, or it costs more than the rest of it.
        if len(sent) == len(before):
            places: Sequence[int] = list(compress(count(), map(ne, sent, before)))
            was, in_order = places, list(known)
        else:
            first = _alike(sent, before)
            last = _alike(reversed(sent[first:]), reversed(before[first:]))
            places, was = range(first, len(sent) - last), range(first, len(before) - last)
            in_order = [*known[:first], *repeat(None, len(places)), *known[len(before) - last :]]
        elsewhere = {before[at]: known[at] for at in was}
        fresh = []
        for at in places:
            item = elsewhere.get(sent[at])
            if item is None:
                item = decode_object(sent[at], MODELS[self.kind])
                fresh.append(item)
            in_order[at] = item
        is_in_place = places is was and len(self.items) == len(known) and all(in_order[at].id == known[at].id for at in places)
        return in_order, fresh, is_in_place


def _alike(ones: Iterable[bytes], others: Iterable[bytes]) -> int:
    """Return how many are the same before the first that is not."""
    return sum(takewhile(bool, map(eq, ones, others)))


def _parts(body: bytes, key: Kind) -> list[Raw]:
    try:
        found: list[Raw] | UnsetType = getattr(_envelopes[key].decode(body), key)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(body, error) from None
    if found is UNSET:
        raise UnreadableAnswerError(
            f"The service answered a JSON object without the documented field {key!r}.",
            hint="Check that the URL is that of the Loops API: %loops doctor",
        )
    return found
