"""Decodes JSON responses to rows: structs with the fields of `loops_nb.frames.columns` and nothing else.

The structs are made from the table's sources.  They are decoded without any object that Python's garbage collector
would track, so a big listing neither wakes it nor waits for it.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from loops_nb.api.decoding import unreadable
from loops_nb.errors import UnreadableAnswerError
from loops_nb.frames.columns import Column, Dtype, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

_LEAF: dict[Dtype, Any] = {
    Dtype.STRING: str,
    Dtype.STATE: str,
    Dtype.WORD: str,
    Dtype.TIME: str,
    Dtype.NANOS: str,
    Dtype.COUNT: int,
    Dtype.FLAG: bool,
    Dtype.NUMBER: float,
    Dtype.MONEY: float | str,
}
_ANY_SCALAR = str | int | float | bool | None
#: Any JSON value, none of which becomes an object that the garbage collector tracks, but for the rare ones that are
#: lists or objects.
_ANYTHING = _ANY_SCALAR | list[Raw] | dict[str, Raw]


class Rows(NamedTuple):
    """Decoded rows of one listing.

    Parameters
    ----------
    items : list of Struct
        The rows.
    readers : dict of str to callable
        By path: the function that lists the values at that path.
    """

    items: list[Any]
    readers: dict[str, Any]

    def values(self, path: str) -> list[Any]:
        """Return the values at a path, one a row."""
        found: list[Any] = self.readers[path](self.items)
        return found


def column_values(kind: Kind, column: Column, rows: Rows, given: Mapping[str, list[Any]]) -> list[Any]:
    """Return the values of one column of a listing, one a row, None where missing.

    Parameters
    ----------
    kind, column : Kind, Column
        Kind of frame and one of its columns.
    rows : Rows
        The decoded rows.
    given : mapping of str to list
        Values of the columns that have no source in this listing.

    Raises
    ------
    UnreadableAnswerError
        If a required value is missing.
    """
    if not column.sources:
        return given.get(column.name) or [None] * len(rows.items)
    if column.combine is None:
        values = rows.values(column.sources[0])
    else:
        values = column.combine(*(rows.values(source) for source in column.sources))
    # The decoder itself refuses a row without a required field, unless it has several names.
    if column.required and " | " in column.sources[0] and None in values:
        raise UnreadableAnswerError(
            f"The service answered no {column.name} in {kind.name}[{values.index(None)}], where it is documented."
        )
    return values


class Plan(NamedTuple):
    """How one kind of frame is decoded; see `plan`."""

    decoder: msgspec.json.Decoder[Any]
    envelope: tuple[str, ...]
    readers: dict[str, Any]


def decode(body: bytes, kind: Kind, columns: tuple[Column, ...]) -> Rows:
    """Decode a response into rows.

    Parameters
    ----------
    body : bytes
        The response.
    kind : Kind
        Kind of frame: names the envelope.
    columns : tuple of Column
        The columns that will be read; nothing else is decoded.

    Raises
    ------
    UnreadableAnswerError
        If the bytes are not such an answer; the text names the place in the document.
    """
    # Documented words are decoded into shared strings.  An answer with a new word is decoded once more, with free text
    # there: that is slower, but rare, and the common case costs half.
    for closed in (True, False):
        made = plan(kind, columns, closed=closed)
        try:
            answer = made.decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if closed and isinstance(error, msgspec.ValidationError):
                continue
            raise unreadable(body, error) from None
        return Rows(_unwrap(answer, made.envelope), made.readers)
    raise AssertionError  # pragma: no cover - the second turn returns or raises


def _unwrap(answer: Any, envelope: tuple[str, ...]) -> list[Any]:
    if not envelope:
        return [answer]
    for key in envelope:
        found = getattr(answer, key)
        if found is not UNSET:
            return found if isinstance(found, list) else [found]
    raise UnreadableAnswerError(
        f"The service answered a JSON object without the documented field {envelope[0]!r}.",
        hint="Check that the URL is that of the Loops API: %loops doctor",
    )


@cache
def plan(kind: Kind, columns: tuple[Column, ...], *, closed: bool) -> Plan:
    """Return the decoder and the readers of a kind.

    Parameters
    ----------
    kind, columns
        As in `decode`.
    closed
        Whether states and words must be documented ones.
    """
    tree: dict[str, Any] = {}
    sources = {path for path, _ in kind.also}
    for column in columns:
        sources.update(column.sources)
        for source in column.sources:
            for path in source.split(" | "):
                _plant(tree, path, _leaf(column, alone=path == source, closed=closed), lenient=column.lenient)
    for path, dtype in kind.also:
        _plant(tree, path, (_LEAF[dtype] | None, None), lenient=False)
    row: Any
    row, parts = _struct(f"{kind.name}_row", tree, ())
    readers = _readers(sources, parts)
    envelope: Any = row
    if kind.many or kind.one:
        fields: list[tuple[str, Any, Any]] = [(key, list[row] | UnsetType, UNSET) for key in kind.many]
        fields += [(key, row | UnsetType, UNSET) for key in kind.one]
        envelope = msgspec.defstruct(f"{kind.name}_answer", fields)
    return Plan(msgspec.json.Decoder(envelope), kind.many + kind.one, readers)


class _Branch(dict[str, Any]):
    """A nested object of the tree of fields."""

    lenient = False


def _leaf(column: Column, *, alone: bool, closed: bool) -> tuple[Any, ...]:
    """Return the type of a value, and its default unless it is required."""
    if column.lenient:
        return (_ANYTHING, None)
    base = Literal[column.words] if column.words and closed else _LEAF[column.dtype]
    return (base,) if column.required and alone else (base | None, None)


def _plant(tree: dict[str, Any], path: str, leaf: tuple[Any, ...], *, lenient: bool) -> None:
    *outer, last = path.split(".")
    for name in outer:
        tree = tree.setdefault(name, _Branch())
        tree.lenient = lenient  # type: ignore[attr-defined]  # the root is never nested in anything
    # A path may serve two columns: the one that requires it decides, otherwise the first.
    tree[last] = min(tree.get(last, leaf), leaf, key=len)


def _struct(name: str, tree: dict[str, Any], at: tuple[str, ...]) -> tuple[Any, dict[tuple[str, ...], type[Struct]]]:
    fields: list[Any] = []
    parts: dict[tuple[str, ...], type[Struct]] = {}
    for key, value in tree.items():
        if isinstance(value, _Branch):
            part, inner = _struct(f"{name}_{key}", value, (*at, key))
            parts |= inner
            fields.append((key, part | _ANY_SCALAR | list[Raw] if value.lenient else part | None, None))
        else:
            fields.append((key, *value))
    made = msgspec.defstruct(name, fields, gc=False, kw_only=True)
    return made, {**parts, at: made}


def _readers(sources: set[str], parts: dict[tuple[str, ...], type[Struct]]) -> dict[str, Any]:
    """Return, by source, the function that lists its values.

    They are compiled from text because a plain attribute is read in half the time that ``getattr`` takes, and this is
    the inner loop of every frame.  The text comes from the table of columns, never from outside.
    """
    names: dict[str, Any] = {}
    functions = []
    for source in sources:
        expression = ""
        for path in reversed(source.split(" | ")):
            value = _expression(path, parts, names)
            expression = f"(_v if (_v := {value}) is not None else {expression})" if expression else value
        functions.append(f"{source!r}: lambda rows: [{expression} for r in rows]")
    found: dict[str, Any] = eval(f"{{{', '.join(functions)}}}", names)  # noqa: S307 - see above
    return found


def _expression(path: str, parts: dict[tuple[str, ...], type[Struct]], names: dict[str, Any]) -> str:
    *outer, last = path.split(".")
    value, tests = "r", []
    for depth, name in enumerate(outer, 1):
        part = f"_part_{'_'.join(outer[:depth])}"
        names[part] = parts[tuple(outer[:depth])]
        tests.append(f"type({part}_value := {value}.{name}) is {part}")
        value = f"{part}_value"
    return f"({value}.{last} if {' and '.join(tests)} else None)" if tests else f"{value}.{last}"
