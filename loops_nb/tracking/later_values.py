"""Parameters and summary of an open experiment as mappings: what is set is queued like everything that is logged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Literal

from loops_nb.errors import InvalidArgumentError
from loops_nb.tracking.entries import UpdateEntry, WriteSession
from loops_nb.tracking.params import plain_params, read_params

if TYPE_CHECKING:
    from loops_nb.tracking.writer import EntryWriter

_LONGEST_NAME = 500


class LaterValues(Mapping[str, Any]):
    """Parameters or summary values of an experiment, which can be set while it runs and afterwards.

    Reading gives what this process knows: the values from the begin, and those that it has set since.  Setting never
    waits for the disk.  A value that is set again replaces the former one, whichever attempt or process set that: the
    one that is written last is kept.  Names cannot be removed.

    Parameters
    ----------
    session : WriteSession
        The session.
    field : {"params", "summary"}
        What it holds.
    writer : EntryWriter
        Takes what is set.

    Examples
    --------
    >>> exp.summary["best_accuracy"] = 0.93  # doctest: +SKIP
    >>> exp.params.update({"warmup": 100})  # doctest: +SKIP
    """

    __slots__ = ("_field", "_session", "_writer")

    def __init__(self, session: WriteSession, field: Literal["params", "summary"], writer: EntryWriter) -> None:
        self._session = session
        self._field: Literal["params", "summary"] = field
        self._writer = writer

    def __getitem__(self, name: str) -> Any:
        # A copy: changing it would record nothing.
        return deepcopy(self._values()[name])

    def __setitem__(self, name: str, value: Any) -> None:
        self.update({name: value})

    def update(self, values: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, **more: Any) -> None:
        """Set values; nested mappings replace what is there under their name.

        Parameters
        ----------
        values : mapping of str to object, or iterable of (str, object)
            Values by name: numbers, strings, flags, lists and dictionaries; other objects are stored as strings, and
            values under names such as ``api_key`` are not kept.
        **more : object
            Values by name.

        Raises
        ------
        InvalidArgumentError
            If ``values`` is no mapping, or a name is no string of 1 to 500 characters.

        Examples
        --------
        >>> exp.params.update({"lr": 1e-4}, warmup=100)  # doctest: +SKIP
        """
        given = self._checked(values, more)
        if not given:
            return
        kept = plain_params(given)
        target = self._session.summary if self._field == "summary" else self._session.later_params
        # One call of C: the thread that writes may copy it at any moment.
        target.update(kept)
        self._writer.add(UpdateEntry(self._session, self._field, kept))
        if self._writer.has_warnings:
            self._writer.emit_warnings()

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def __repr__(self) -> str:
        return repr(self._values())

    def _values(self) -> dict[str, Any]:
        if self._field == "summary":
            return self._session.summary.copy()
        return {**read_params(self._session.params), **self._session.later_params.copy()}

    def _checked(self, values: Any, more: dict[str, Any]) -> dict[str, Any]:
        example = 'exp.summary.update({"best_accuracy": 0.93})'
        if self._field == "params":
            example = 'exp.params.update({"lr": 1e-4})'
        try:
            given = {**dict(values), **more}
        except (TypeError, ValueError):
            raise InvalidArgumentError(
                f"exp.{self._field}.update needs a dictionary, not {type(values).__name__}. Nothing was recorded by"
                " this call.",
                argument="values",
                hint=f"For example {example}",
            ) from None
        for name in given:
            if not (isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME):
                raise InvalidArgumentError(
                    f"{name!r:.60} cannot be a name in exp.{self._field}: a name is a string of 1 to 500 characters."
                    " Nothing was recorded by this call.",
                    argument="values",
                    hint=f"For example {example}",
                )
        return given
