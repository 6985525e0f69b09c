"""View model: what a panel shows at one moment, and the difference between two moments."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import compress
from operator import is_not
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from loops_nb.panels.messages import TableChange, TableRows

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from loops_nb.panels.messages import Fact, Row, RunSummary, TableName

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ViewModel:
    """What a panel shows; immutable.

    Parameters
    ----------
    tables : mapping
        Rows by id, by table.
    facts : tuple of Fact
        The summary line.
    run : RunSummary or None
        Only in a run's panel.
    over : str
        Why nothing can change any more; empty while it can.
    selected_runs : tuple of str or None
        As in `loops_nb.panels.messages.PanelSnapshot`.
    """

    tables: Mapping[TableName, Mapping[str, Row]] = field(default_factory=dict)
    facts: tuple[Fact, ...] = ()
    run: RunSummary | None = None
    over: str = ""
    selected_runs: tuple[str, ...] | None = None


def table_changes(old: ViewModel, new: ViewModel) -> dict[TableName, TableChange]:
    """Return the changes of the tables that differ."""
    found: dict[TableName, TableChange] = {}
    for name, rows in new.tables.items():
        former = old.tables.get(name, {})
        fresh, gone = differing(former, rows)
        changed = [rows[key] for key in fresh if former.get(key) != rows[key]]
        if changed or gone or name not in old.tables:
            found[name] = TableChange(rows=changed, removed=gone, total=len(rows))
    return found


def differing(old: Mapping[str, T], new: Mapping[str, T]) -> tuple[list[str], list[str]]:
    """Return the keys that are new or whose value is another object, and the removed ones.

    Loops of the interpreter (`compress`, `map`) compare thousands of values faster than loops in Python.
    """
    if old is new:
        return [], []
    if list(old) == list(new):
        return list(compress(new, map(is_not, old.values(), new.values()))), []
    fresh = list(compress(new, map(is_not, map(old.get, new), new.values())))
    return fresh, [key for key in old if key not in new]


def tables_of(content: ViewModel, most: int | None) -> dict[TableName, TableRows]:
    """Return the tables for a snapshot, with at most so many rows each."""
    return {name: TableRows(rows=list(rows.values())[:most], total=len(rows)) for name, rows in content.tables.items()}


class Memo(Generic[T]):
    """Values computed per id, kept for as long as their inputs are the same objects.

    Parameters
    ----------
    make : callable
        Computes a value from its inputs, which are replaced when they change, never modified.
    """

    def __init__(self, make: Callable[..., T]) -> None:
        self._make = make
        self._parts: tuple[Mapping[str, Any], ...] = ()
        self._values: dict[str, T] = {}

    def of(self, *parts: Mapping[str, Any]) -> dict[str, T]:
        """Return the values by id; the same dict as before when nothing differs.

        Parameters
        ----------
        *parts : mapping
            The inputs by id; None where the first mapping has an id that another one lacks.
        """
        first, values = parts[0], self._values
        former = self._parts or tuple({} for _ in parts)
        touched = [differing(was, now) for was, now in zip(former, parts, strict=True)]
        made = {}
        for key in dict.fromkeys(key for keys in touched for key in (*keys[0], *keys[1]) if key in first):
            value = self._make(*(part.get(key) for part in parts))
            if key not in values or values[key] != value:
                made[key] = value
        self._parts = parts
        if list(values) != list(first):
            self._values = {key: made[key] if key in made else values[key] for key in first}
        elif made:
            self._values = {**values, **made}
        return self._values
