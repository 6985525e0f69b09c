"""What a panel shows at one moment, and the difference between two moments."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import compress
from operator import is_not, ne
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from loops_nb.panels.wire import Table, TableChange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from loops_nb.panels.wire import Fact, Row, RunHead, TableName

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Content:
    """What a panel shows; never changed, only replaced.

    Parameters
    ----------
    tables
        Rows by id, by table.
    facts
        The summary line.
    run
        Only in a run's panel.
    over
        Why nothing can change any more; empty while it can.
    """

    tables: Mapping[TableName, Mapping[str, Row]] = field(default_factory=dict)
    facts: tuple[Fact, ...] = ()
    run: RunHead | None = None
    over: str = ""


def table_changes(old: Content, new: Content) -> dict[TableName, TableChange]:
    """Return how the tables of one content become those of the other; only tables that differ."""
    found: dict[TableName, TableChange] = {}
    for name, rows in new.tables.items():
        former = old.tables.get(name, {})
        fresh, gone = differing(former, rows)
        changed = [rows[key] for key in fresh if former.get(key) != rows[key]]
        if changed or gone or name not in old.tables:
            found[name] = TableChange(rows=changed, gone=gone, total=len(rows))
    return found


def differing(old: Mapping[str, T], new: Mapping[str, T]) -> tuple[list[str], list[str]]:
    """Return the keys that are new or whose value is another object, and those that are gone.

    Thousands of values of which one is different are gone through by the interpreter's own loops: in Python they would cost more than all
    the rest of a look.
    """
    if old is new:
        return [], []
    if list(old) == list(new):
        return list(compress(new, map(is_not, old.values(), new.values()))), []
    fresh = list(compress(new, map(is_not, map(old.get, new), new.values())))
    return fresh, [key for key in old if key not in new]


def tables_of(content: Content, most: int | None) -> dict[TableName, Table]:
    """Return the tables for a snapshot, with at most so many rows each."""
    return {name: Table(rows=list(rows.values())[:most], total=len(rows)) for name, rows in content.tables.items()}


class Memo(Generic[T]):
    """Values that were made, kept for as long as what they were made of is the same.

    Parameters
    ----------
    make
        Makes a value of its parts; parts are objects that are replaced when they change, never changed themselves.
    """

    def __init__(self, make: Callable[..., T]) -> None:
        self._make = make
        self._made_of: dict[str, tuple[Any, ...]] = {}
        self._values: dict[str, T] = {}

    def of(self, keys: Iterable[str], *parts: Iterable[Any]) -> dict[str, T]:
        """Return the values by id; the same dict as before when nothing is different.

        Parameters
        ----------
        keys
            The ids.
        parts
            What the values are made of, each as long as the ids.
        """
        made_of = dict(zip(keys, zip(*parts, strict=True), strict=True))
        former, self._made_of = self._made_of, made_of
        if list(made_of) == list(former):
            # Tuples compare the same objects without looking into them.
            fresh = list(compress(made_of, map(ne, made_of.values(), former.values())))
            values = self._values
        else:
            fresh = [key for key, parts_of in made_of.items() if former.get(key) != parts_of]
            values = {key: self._values[key] for key in made_of if key in self._values}
        made = {key: self._make(*made_of[key]) for key in fresh}
        made = {key: value for key, value in made.items() if key not in values or values[key] != value}
        if values is self._values and made:
            values = {**values, **made}
        elif values is not self._values:
            values = {key: made[key] if key in made else values[key] for key in made_of}
        self._values = values
        return values
