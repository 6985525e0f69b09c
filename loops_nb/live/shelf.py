"""From the bytes of a listing to its objects; what did not change stays the same object."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec import Raw

from loops_nb.decoding import decode_object, unreadable
from loops_nb.errors import UnreadableAnswerError
from loops_nb.live.needs import Kind
from loops_nb.models import Checkpoint, Deployment, Resource, Run, Sampler

MODELS: dict[Kind, type[Resource]] = {"runs": Run, "deployments": Deployment, "samplers": Sampler, "checkpoints": Checkpoint}
_envelope = msgspec.json.Decoder(dict[str, Raw])
_list = msgspec.json.Decoder(list[Raw])


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
    _by_json: dict[bytes, Any] = field(default_factory=dict)

    def put(self, body: bytes) -> bool:
        """Take an answer in; tell whether anything is different from before.

        Raises
        ------
        UnreadableAnswerError
            If it is not the documented listing; everything stays as it was.
        """
        if body == self._body:
            return False
        model: type[Any] = MODELS[self.kind]
        known = self._by_json
        items: dict[str, Any] = {}
        by_json: dict[bytes, Any] = {}
        fresh = []
        for raw in _parts(body, self.kind):
            sent = bytes(raw)
            item = known.get(sent)
            if item is None:
                item = decode_object(sent, model)
                fresh.append(item)
            by_json[sent] = item
            items[item.id] = item
        same = not fresh and self._body is not None and list(items) == list(self.items)
        self._body, self._by_json = body, by_json
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
        self._body, self._by_json = None, {}
        self.gone, self.items, self.fresh = list(self.items), {}, []
        self.version += had
        return had


def _parts(body: bytes, key: str) -> list[Raw]:
    try:
        envelope = _envelope.decode(body)
        if key in envelope:
            return _list.decode(envelope[key])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(body, error) from None
    raise UnreadableAnswerError(
        f"The service answered a JSON object without the documented field {key!r}.",
        hint="Check that the URL is that of the Loops API: %loops doctor",
    )
