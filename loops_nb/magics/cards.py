"""One object of the API as a card: its fields, one below the other."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from loops_nb.config.zones import display_zone
from loops_nb.drawing.tables import Field, Table
from loops_nb.drawing.wording import moment, size, zone_name
from loops_nb.models import InstanceType, LoraConfig, Part, Resource, Sampler, Status, User

if TYPE_CHECKING:
    from collections.abc import Iterator

_TITLES = {
    "Run": "Run {id}",
    "Sampler": "Sampler {id}",
    "Session": "Session {id}",
    "Deployment": "Loops deployment {id}",
    "Checkpoint": "Checkpoint {id}",
    "Deactivated": "Deactivated {id}",
    "Team": "Team {id}",
    "SupportedModel": "Base model {model_name}",
    "DeployedModel": "Model {model_id}",
}
_LONGEST_LIST = 12
_MOST_RECORDS = 3


def card_table(thing: Resource, *, time_zone: str) -> Table:
    """Return the two columns of an object's card.

    Parameters
    ----------
    thing
        An object of the API.
    time_zone
        As in the setting of that name.
    """
    kind = type(thing).__name__
    title = _TITLES.get(kind, kind).format_map({f.name: getattr(thing, f.name) for f in msgspec.structs.fields(thing)})
    pairs = list(_pairs(thing, time_zone))
    pairs += [(name, _said(value)) for name, value in thing.extra.items() if value is not None]
    notes = [] if pairs else ["Nothing is set in it."]
    return Table([Field(title, [name for name, _ in pairs]), Field("", [value for _, value in pairs])], notes)


def _pairs(thing: Resource, time_zone: str) -> Iterator[tuple[str, str]]:
    seen_run_id = type(thing).__name__ == "Run"
    for f in msgspec.structs.fields(thing):
        # By the name on the wire, which every object has too: some parts are decoded only when they are asked for.
        value = getattr(thing, f.encode_name, None)
        # A run's id is given under both its names.
        if value is None or (f.name == "run_id" and seen_run_id):
            continue
        if f.encode_name == "url":
            yield f.encode_name, "(presigned URL, not shown: it works without a key)"
        elif isinstance(value, datetime):
            zone = display_zone(time_zone)
            aware = value if value.tzinfo is not None else value.astimezone()
            yield f"{f.encode_name} ({zone_name(time_zone, zone, [aware])})", moment(aware, zone)
        elif f.encode_name == "size_bytes":
            exact = f"{value:,} bytes"
            yield f.encode_name, exact if size(value) == exact else f"{size(value)} ({exact})"
        elif isinstance(value, Status):
            yield "status", value.name or "-"
        elif isinstance(value, User):
            yield "owner", value.email or "-"
        elif isinstance(value, Sampler):
            state = f" ({value.status.name})" if value.status and value.status.name else ""
            yield f.encode_name, f"{value.id}{state}"
        else:
            yield f.encode_name, _said(value)
    if type(thing).__name__ == "Checkpoint":
        yield "uri", getattr(thing, "uri", "")


def _said(value: Any) -> str:  # noqa: PLR0911 - one return a kind of value
    if isinstance(value, InstanceType):
        name = value.name or value.id or "-"
        gpus = f", {value.gpu_count} x {value.gpu_type}" if value.gpu_count and value.gpu_type and value.gpu_type not in name else ""
        return f"{name}{gpus}"
    if isinstance(value, LoraConfig):
        return ", ".join(f"{f.name} {_said(v)}" for f in msgspec.structs.fields(value) if (v := getattr(value, f.name)) is not None)
    if isinstance(value, Part):
        return _said(msgspec.to_builtins(value))
    if isinstance(value, dict):
        return _some([f"{name}: {_said(inner)}" for name, inner in value.items()]) or "-"
    if isinstance(value, list):
        if len(value) > _MOST_RECORDS and all(isinstance(inner, dict) for inner in value):
            return f"{len(value):,} records, the last one {_said(value[-1])}"
        return _some([_said(inner) for inner in value]) or "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _some(texts: list[str]) -> str:
    more = f", and {len(texts) - _LONGEST_LIST} more" if len(texts) > _LONGEST_LIST else ""
    return ", ".join(texts[:_LONGEST_LIST]) + more
