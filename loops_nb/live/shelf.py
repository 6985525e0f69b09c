"""From the bytes of a listing to its objects; what did not change stays the same object."""

from __future__ import annotations

from dataclasses import dataclass, field
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
        parts = _parts(body, self.kind)
        sent, in_order, fresh = self._recognised(parts)
        items = {item.id: item for item in in_order}
        same = not fresh and self._body is not None and list(items) == list(self.items)
        self._body, self._sent, self._in_order = body, sent, in_order
        if same:
            # Spaces between the objects, or a field beside them.
            return False
        self.gone = [key for key in self.items if key not in items] if len(items) < len(self.items) + len(fresh) else []
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

    def _recognised(self, parts: list[Raw]) -> tuple[list[bytes], list[Any], list[Any]]:
        """Return the JSON of each object, the objects, and those of them that were not there before."""
        model: type[Any] = MODELS[self.kind]
        before, known = self._sent, self._in_order
        last, shift = len(before), len(parts) - len(before)
        elsewhere: dict[bytes, Any] | None = None
        sent: list[bytes] = []
        in_order: list[Any] = []
        fresh: list[Any] = []
        for at, raw in enumerate(parts):
            one = bytes(raw)
            # Nearly all are where they were, or moved by as many as came or went: comparing is quicker than finding by hash.
            if at < last and before[at] == one:
                one, item = before[at], known[at]
            elif 0 <= at - shift < last and before[at - shift] == one:
                one, item = before[at - shift], known[at - shift]
            else:
                if elsewhere is None:
                    elsewhere = dict(zip(before, known, strict=True))
                item = elsewhere.get(one)
                if item is None:
                    item = decode_object(one, model)
                    fresh.append(item)
            sent.append(one)
            in_order.append(item)
        return sent, in_order, fresh


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
