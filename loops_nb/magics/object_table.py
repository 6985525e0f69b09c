"""Display of an API object: a table of its fields, one per row."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from loops_nb.api.gpus import SERVERLESS_WORDS, is_serverless, is_serverless_run
from loops_nb.api.models import APIObject, InstanceType, LoraConfig, Part, Run, Sampler, Status, User
from loops_nb.config.time_zone import display_zone
from loops_nb.magics.cell_text import YES_NO
from loops_nb.render.formatting import moment, size, zone_name
from loops_nb.render.tables import Field, Table

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
    "UserConfig": "Your GPU preferences",
    "SupportedModel": "Base model {model_name}",
    "DeployedModel": "Model {model_id}",
}
#: What stands in place of the fields where none has a value.
_NOTHING = {"UserConfig": "None is set: those of your organisation hold."}
_MAX_ITEMS = 12
_MAX_RECORDS = 3


def object_table(thing: APIObject, *, time_zone: str) -> Table:
    """Return a table of two columns, names and values.

    Parameters
    ----------
    thing : APIObject
        An API object.
    time_zone : str
        The setting of that name.
    """
    kind = type(thing).__name__
    title = _TITLES.get(kind, kind).format_map({f.name: getattr(thing, f.name) for f in msgspec.structs.fields(thing)})
    pairs = [*_pairs(thing, time_zone), *_capacity(thing)]
    pairs += [(name, _format(value)) for name, value in thing.extra.items() if value is not None]
    notes = []
    if not pairs:
        notes.append(_NOTHING.get(kind, "It has no fields."))
    return Table([Field(title, [name for name, _ in pairs]), Field("", [value for _, value in pairs])], notes)


def _pairs(thing: APIObject, time_zone: str) -> Iterator[tuple[str, str]]:
    seen_run_id = type(thing).__name__ == "Run"
    for f in msgspec.structs.fields(thing):
        # By the wire name, which is an attribute too: some parts are decoded only on access.
        value = getattr(thing, f.encode_name, None)
        # A run has its id under both names.
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
            yield f.encode_name, _format(value)
    if type(thing).__name__ == "Checkpoint":
        yield "uri", getattr(thing, "uri", "")


def _capacity(thing: APIObject) -> list[tuple[str, str]]:
    shared = isinstance(thing, Sampler) and is_serverless(thing)
    if shared or (isinstance(thing, Run) and is_serverless_run(thing, None)):
        return [("capacity", SERVERLESS_WORDS)]
    return []


def _format(value: Any) -> str:  # noqa: PLR0911 - one return per type
    if isinstance(value, InstanceType):
        name = value.name or value.id or "-"
        if value.gpu_count and value.gpu_type and value.gpu_type not in name:
            return f"{name}, {value.gpu_count} x {value.gpu_type}"
        return name
    if isinstance(value, LoraConfig):
        fields = {f.name: getattr(value, f.name) for f in msgspec.structs.fields(value)}
        return ", ".join(f"{name} {_format(inner)}" for name, inner in fields.items() if inner is not None)
    if isinstance(value, Part):
        return _format(msgspec.to_builtins(value))
    if isinstance(value, dict):
        return _join([f"{name}: {_format(inner)}" for name, inner in value.items()]) or "-"
    if isinstance(value, list):
        if len(value) > _MAX_RECORDS and all(isinstance(inner, dict) for inner in value):
            return f"{len(value):,} records, the last one {_format(value[-1])}"
        return _join([_format(inner) for inner in value]) or "-"
    if isinstance(value, bool):
        return YES_NO[value]
    return str(value)


def _join(texts: list[str]) -> str:
    shown = texts[:_MAX_ITEMS]
    if len(texts) > _MAX_ITEMS:
        shown.append(f"and {len(texts) - _MAX_ITEMS} more")
    return ", ".join(shown)
