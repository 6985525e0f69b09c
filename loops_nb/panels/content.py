"""What a panel shows at one moment, and the difference between two moments."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import compress
from operator import is_not
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

    Attributes
    ----------
    fresh
        Ids of the values that were different the last time; None when there were others, or in another order.
    """

    def __init__(self, make: Callable[..., T]) -> None:
        self.fresh: list[str] | None = None
        self._make = make
        self._parts: tuple[Mapping[str, Any], ...] = ()
        self._values: dict[str, T] = {}

    def of(self, *parts: Mapping[str, Any]) -> dict[str, T]:
        """Return the values by id; the same dict as before when nothing is different.

        Parameters
        ----------
        parts
            What the values are made of, by id; None where the first one has an id that another one has not.
        """
        first, values = parts[0], self._values
        former = self._parts or tuple({} for _ in parts)
        touched = [differing(was, now) for was, now in zip(former, parts, strict=True)]
        made = {}
        for key in dict.fromkeys(key for keys in touched for key in (*keys[0], *keys[1]) if key in first):
            value = self._make(*(part.get(key) for part in parts))
            if key not in values or values[key] != value:
                made[key] = value
        self._parts, self.fresh = parts, list(made)
        if list(values) != list(first):
            self.fresh = None
            self._values = {key: made[key] if key in made else values[key] for key in first}
        elif made:
            self._values = {**values, **made}
        return self._values


class Derived(Generic[T]):
    """One thing that is worked out of each value of a mapping, anew only for values that are other objects than before.

    Parameters
    ----------
    work_out
        Returns it.
    """

    def __init__(self, work_out: Callable[[Any], T]) -> None:
        self._work_out = work_out
        self._worked_out: dict[str, T] = {}

    def of(self, values: Mapping[str, Any], fresh: Iterable[str] | None) -> dict[str, T]:
        """Return it by id; the same dict as before when nothing is different.

        Parameters
        ----------
        values
            The values.
        fresh
            Which of them are different from the last time; None for all.
        """
        if fresh is None:
            self._worked_out = {key: self._work_out(value) for key, value in values.items()}
            return self._worked_out
        known = self._worked_out
        found = {key: self._work_out(values[key]) for key in fresh}
        different = {key: value for key, value in found.items() if known[key] is not value and known[key] != value}
        if different:
            self._worked_out = {**known, **different}
        return self._worked_out
