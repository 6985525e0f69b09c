"""Calls of a training loop that are being watched: what to record when they are accepted, when their results come, when they fail."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from loops_nb.tracking.proxies import FutureStandIn

if TYPE_CHECKING:
    from loops_nb.tracking.tracker import Tracker


class Careful:
    """Keeps every error that happens inside from going any further."""

    def __init__(self, fault: Callable[[Exception], None]) -> None:
        self._fault = fault

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if isinstance(error, Exception):
            self._fault(error)
            return True
        return False


class Clock:
    """Tells the time of what is recorded; another kind of it tells the time at which something was recorded elsewhere."""

    def seconds(self) -> float:
        """Return seconds since some moment, for differences."""
        return time.perf_counter()

    def millis(self) -> int:
        """Return milliseconds since 1970."""
        return time.time_ns() // 1_000_000


class Place:
    """Where training stood when a call was made."""

    __slots__ = ("_began", "_clock", "step", "tokens", "turn")

    def __init__(self, step: int, turn: int, tokens: float, clock: Clock) -> None:
        self.step = step
        self.turn = turn
        self.tokens = tokens
        self._clock = clock
        self._began = clock.seconds()

    @property
    def seconds(self) -> float:
        """Seconds since the call was made; microseconds are what clocks can tell, all below is what subtracting makes."""
        return round(self._clock.seconds() - self._began, 6)


class Nothing:
    """A call of which nothing is recorded."""

    def accepted(self, answer: Any) -> Any:
        """Return the answer."""
        return answer

    def failed(self) -> None:
        """Do nothing."""


class Operation:
    """A call whose answer is a result, or a future of one."""

    def __init__(
        self,
        tracker: Tracker,
        place: Place,
        told: Callable[[Any], None],
        at_once: Mapping[str, Any],
        *,
        on_drop: Callable[[], None] | None = None,
        on_failure: Callable[[], None] | None = None,
    ) -> None:
        self._tracker = tracker
        self._place = place
        self._told = told
        self._at_once = at_once
        self._on_drop = on_drop
        self._on_failure = on_failure

    def accepted(self, answer: Any) -> Any:
        """Record what is known at once; of a future, give back a stand-in that records its result."""
        with self._tracker.careful():
            self._tracker.record(self._place, self._at_once)
        if not callable(getattr(answer, "result", None)):
            self._result(answer)
            return answer
        with self._tracker.careful():
            return FutureStandIn(answer, self._result, self._dropped)
        return answer

    def failed(self) -> None:
        """Take back what was counted for the call."""
        with self._tracker.careful():
            if self._on_failure is not None:
                self._on_failure()

    def _result(self, result: Any) -> None:
        with self._tracker.careful():
            self._told(result)

    def _dropped(self) -> None:
        with self._tracker.careful():
            if self._on_drop is not None:
                self._on_drop()


class SamplerMade:
    """A call that gives a sampling client; with a name it has saved a checkpoint too."""

    def __init__(self, tracker: Tracker, place: Place, name: str | None) -> None:
        self._tracker = tracker
        self._place = place
        self._name = name

    def accepted(self, answer: Any) -> Any:
        """Mark what was saved, and give back a sampling client whose calls are recorded."""
        tracker = self._tracker
        if not hasattr(answer, "sample") and callable(getattr(answer, "result", None)):
            with tracker.careful():
                return FutureStandIn(answer, self._saved, lambda: None)
            return answer
        self._saved(answer)
        with tracker.careful():
            return tracker.sampling(answer)
        return answer

    def failed(self) -> None:
        """Do nothing."""

    def _saved(self, client: Any) -> None:
        tracker = self._tracker
        with tracker.careful():
            if self._name is not None:
                uri = tracker.uri("sampler_weights", self._name, getattr(client, "checkpoint_path", None))
                tracker.mark(self._place, self._name, uri, "sampler")
