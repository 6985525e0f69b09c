"""What a panel shows at one moment, and the difference between two moments."""

from __future__ import annotations

from dataclasses import dataclass, field
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
        if rows is former:
            continue
        # Rows that did not change are the same objects: no cell is compared twice.
        changed = [row for key, row in rows.items() if (was := former.get(key)) is not row and was != row]
        gone = (
            [key for key in former if key not in rows]
            if len(former) + len(changed) != len(rows) or not former.keys() <= rows.keys()
            else []
        )
        if changed or gone or name not in old.tables:
            found[name] = TableChange(rows=changed, gone=gone, total=len(rows))
    return found


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
        self._kept: dict[str, tuple[tuple[Any, ...], T]] = {}
        self._values: dict[str, T] = {}

    def of(self, made_of: Iterable[tuple[str, tuple[Any, ...]]]) -> dict[str, T]:
        """Return the values by id; the same dict as before when nothing is different."""
        kept = self._kept
        fresh: dict[str, tuple[tuple[Any, ...], T]] = {}
        is_same = True
        for key, parts in made_of:
            was = kept.get(key)
            # Tuples compare the same objects without looking into them.
            if was is not None and was[0] == parts:
                fresh[key] = was
                continue
            value = self._make(*parts)
            if was is not None and was[1] == value:
                value = was[1]
            else:
                is_same = False
            fresh[key] = (parts, value)
        self._kept = fresh
        if not is_same or list(fresh) != list(kept):
            self._values = {key: entry[1] for key, entry in fresh.items()}
        return self._values
