"""Decodes the JSON of answers to the objects of `models`."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from loops_nb.api.models import UNDECODABLE, APIObject, CheckpointFile, Part
from loops_nb.errors import UnreadableAnswerError

R = TypeVar("R", bound=APIObject)
P = TypeVar("P", bound=Part)
#: Times outside these years cannot be converted to every time zone.
_FIRST_YEAR, _LAST_YEAR = 2, 9998


def decode_object(body: bytes, kind: type[R]) -> R:
    """Decode a JSON object that is the resource itself.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such an object; the text names the place in the document.
    """
    found: R = _decode(body, kind)
    return _attach(found, Raw(body))


def decode_one(body: bytes, key: str, kind: type[R]) -> R:
    """Decode ``{key: {...}}``.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such an object; the text names the place in the document.
    """
    part = _part(body, key)
    found: R = _decode(part, kind, at=key)
    return _attach(found, part)


def decode_many(body: bytes, key: str, kind: type[R]) -> list[R]:
    """Decode ``{key: [{...}, ...]}``.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such an object; the text names the place in the document.
    """
    part = _part(body, key)
    # Two passes in C, one for the objects and one for their raw JSON, are faster than a call an object.
    found: list[R] = _decode(part, list[kind], at=key)  # type: ignore[valid-type]
    for item, raw in zip(found, _decode(part, list[Raw], at=key), strict=True):
        item.raw_json = raw
    if _is_timed(kind):
        for item in found:
            _check_time(item)
    if _nested(kind):
        for item in found:
            _attach(item, item.raw_json)
    return found


def decode_parts(body: bytes, key: str, kind: type[P]) -> list[P]:
    """Decode ``{key: [{...}, ...]}`` as parts, which keep no unknown fields.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such an object.
    """
    found: list[P] = _decode(_part(body, key), list[kind], at=key)  # type: ignore[valid-type]
    return found


def split_listing(body: bytes, key: str) -> list[Raw]:
    """Split ``{key: [{...}, ...]}`` into the JSON of its objects; the parts are views of ``body``.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such an object; the text names the place in the document.
    """
    found: list[Raw] = _decode(_part(body, key), list[Raw], at=key)
    return found


def decode_dict(body: bytes) -> dict[str, Any]:
    """Decode a JSON object without a documented shape.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not a JSON object.
    """
    found: dict[str, Any] = _decode(body, dict[str, Any])
    return found


def decode_page(body: bytes) -> tuple[list[CheckpointFile], int | str | None, int | None]:
    """Decode one page of a file listing.

    Returns
    -------
    files, next_page_token, total_count
        The token is None on the last page; the total is None where the route gives none.
    """
    page = _decode(body, _Page)
    return decode_many(body, "presigned_urls", CheckpointFile), page.next_page_token, page.total_count


class _Page(Struct):
    next_page_token: int | str | None = None
    total_count: int | None = None


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _decode(body: bytes | Raw, kind: Any, *, at: str = "") -> Any:
    try:
        return _decoder(kind).decode(body)
    except UNDECODABLE as error:
        raise unreadable(body, error, at=at) from None


def _part(body: bytes, key: str) -> Raw:
    parts: dict[str, Raw] = _decode(body, dict[str, Raw])
    if key not in parts:
        raise UnreadableAnswerError(
            f"The service answered a JSON object without the documented field {key!r}.",
            hint="Check that the URL is that of the Loops API: %loops doctor",
        )
    return parts[key]


def _attach(decoded: R, raw: Raw) -> R:
    decoded.raw_json = raw
    if _is_timed(type(decoded)):
        _check_time(decoded)
    # A nested resource (the sampler of a run) keeps its unknown fields too.
    for name in _nested(type(decoded)):
        inner = getattr(decoded, name)
        if inner is not None:
            parts: dict[str, Raw] = msgspec.json.decode(raw, type=dict[str, Raw])
            _attach(inner, parts[name])
    return decoded


@cache
def _is_timed(kind: type[APIObject]) -> bool:
    return any(f.name == "created_at" for f in msgspec.structs.fields(kind))


def _check_time(item: Any) -> None:
    """Take a time without an offset as UTC, as frames do; refuse one that cannot be converted to every zone."""
    when: datetime | None = item.created_at
    if when is None:
        return
    if not _FIRST_YEAR <= when.year <= _LAST_YEAR:
        raise UnreadableAnswerError(
            f"The service answered {when.isoformat()} as created_at, which cannot be converted to other time zones."
        )
    if when.tzinfo is None:
        item.created_at = when.replace(tzinfo=UTC)


@cache
def _nested(kind: type[APIObject]) -> tuple[str, ...]:
    return tuple(
        f.name
        for f in msgspec.structs.fields(kind)
        if any(isinstance(t, type) and issubclass(t, APIObject) for t in getattr(f.type, "__args__", ()))
    )


def unreadable(body: bytes | Raw, error: Exception, *, at: str = "") -> UnreadableAnswerError:
    """Return the error for bytes that a decoder refused: a web page, truncated JSON, or an undocumented type.

    Parameters
    ----------
    body : bytes or msgspec.Raw
        The bytes; the error says only of what kind they are.
    error : Exception
        The error of the decoder.
    at : str, default ""
        The field of the answer that the bytes are from.
    """
    start = bytes(body)[:200].lstrip().lower()
    place = f" (in {at})" if at else ""
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<")):
        return UnreadableAnswerError(
            "The address answered a web page (HTML), not the Loops API's JSON.",
            hint="A proxy or a wrong URL is the usual cause: check it with %loops doctor",
        )
    if isinstance(error, msgspec.ValidationError):
        return UnreadableAnswerError(f"The service answered a field of another type than documented: {error}{place}.")
    if not bytes(body).strip():
        return UnreadableAnswerError("The service answered nothing where JSON is documented.")
    return UnreadableAnswerError(
        f"The service answered text that is not complete JSON: {error}{place}.", hint="Nothing was changed; try again."
    )
