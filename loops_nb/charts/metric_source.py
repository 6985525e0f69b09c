"""Protocols of the store of experiments that curves read from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Whole = npt.NDArray[np.int64]


class SeriesLike(Protocol):
    """Points of one metric in the order in which they came; ``mark`` is the cursor for the next ones."""

    @property
    def step(self) -> Whole: ...  # noqa: D102 - the class says it
    @property
    def at(self) -> Whole: ...  # noqa: D102
    @property
    def tokens(self) -> Floats: ...  # noqa: D102
    @property
    def value(self) -> Floats: ...  # noqa: D102
    @property
    def attempt(self) -> npt.NDArray[np.int32]: ...  # noqa: D102
    @property
    def mark(self) -> int: ...  # noqa: D102


class MetricSource(Protocol):
    """A store of experiments, as `loops_nb.tracking` has it."""

    def experiments(self, *, archived: bool = False) -> Sequence[Any]:
        """Return the experiments, each with id, name, run_id, created_at, tags, params and last_at."""

    def keys(self, experiment_id: str, /) -> Sequence[Any]:
        """Return the keys of an experiment, each with key, count and seq."""

    def series(self, experiment_id: str, key: str, /, *, after: int = 0) -> SeriesLike:
        """Return the points of a key that came after a mark."""

    def marks(self, experiment_id: str, /) -> Sequence[Any]:
        """Return the saves and notes of an experiment."""

    @property
    def identity(self) -> Hashable:
        """Of the store: with ``seq`` of a key it tells a series from those of all other stores; None: nothing does."""

    def version(self) -> int:
        """Return a number that is another one when anything was written."""


@runtime_checkable
class ReadsTogether(Protocol):
    """A source that may be far away: it reads of many experiments at once, in one round trip."""

    def keys_of(self, experiments: Iterable[str], /) -> Mapping[str, Sequence[Any]]:
        """Return the keys of experiments by their ids."""

    def marks_of(self, experiments: Iterable[str], /) -> Mapping[str, Sequence[Any]]:
        """Return the saves and notes of experiments by their ids."""

    def series_of(self, wanted: Sequence[tuple[str, str, int]], /) -> Sequence[SeriesLike]:
        """Return the points of series, each given as experiment, key and the mark that they come after."""


@runtime_checkable
class WithNotice(Protocol):
    """A source that reads on where a part of it fails or is missing."""

    @property
    def notice(self) -> str:
        """What is missing and why, in sentences; empty if nothing is."""

    @property
    def failure(self) -> str:
        """Why what it has is old: the notice then; empty if it is not."""

    @property
    def how(self) -> str:
        """How its values come, in sentences; for where there are none."""


@runtime_checkable
class CommonSpan(Protocol):
    """A source whose charts share their bounds along an axis."""

    def common_span(self, axis: Any) -> tuple[float, float] | None:
        """Return the bounds that each chart has at least; None for no common ones."""
