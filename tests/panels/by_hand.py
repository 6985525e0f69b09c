"""A poller whose looks are made by hand: boards are put in, time is turned on, and what was asked for is written down."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from loops_nb.faults import Fault
from loops_nb.live import Attention, Board, Need
from loops_nb.live.board import Found, Standing
from loops_nb.live.history import History
from loops_nb.live.needs import KINDS
from loops_nb.live.shelf import Shelf
from loops_nb.live.source import ByRun

NOW = 1_790_000_000_000.0


class Handle:
    def __init__(self, at: float, do: Callable[[], None]) -> None:
        self.at, self.do, self.is_pending = at, do, True

    def cancel(self) -> None:
        self.is_pending = False


class ByHand:
    """Stands in for `loops_nb.live.Poller` where a test decides what comes when; everything happens at once, on this thread."""

    def __init__(self, needs: tuple[Need, ...] = ()) -> None:
        self.interval = 2.0
        self.at = NOW
        self.timers: list[Handle] = []
        self.acts: list[tuple[Any, Callable[[object], None]]] = []
        self.refreshed = 0
        self.attention: Any = Attention.ASLEEP
        self.closed = False
        self.trouble: Fault | None = None
        self.needs = needs
        self._shelves: dict[str, Shelf] = {kind: Shelf(kind) for kind in KINDS}
        self._history = History()
        self._last: dict[str, float] = {}
        self._on_news: Callable[[Board, bool], None] = lambda _board, _changed: None

    # What a panel calls.

    @property
    def now(self) -> float:
        return self.at / 1000

    def subscribe(self, needs: tuple[Need, ...], on_news: Callable[[Board, bool], None], *, attention: Attention) -> ByHand:
        self.needs, self._on_news, self.attention = tuple(needs), on_news, attention
        return self

    def post(self, do: Callable[[], None]) -> None:
        do()

    def call_later(self, seconds: float, do: Callable[[], None]) -> Handle:
        handle = Handle(self.at + seconds * 1000, do)
        self.timers.append(handle)
        return handle

    def act(self, call: Any, done: Callable[[object], None]) -> None:
        self.acts.append((call, done))

    def work(self, job: Callable[[], Any], done: Callable[[Any], None]) -> None:
        try:
            found = job()
        except Exception as error:  # noqa: BLE001 - as the poller does
            found = error
        done(found)

    def refresh(self) -> None:
        self.refreshed += 1

    def close(self) -> None:
        self.closed = True

    # What a test calls.

    @property
    def wall(self) -> float:
        return self.at / 1000

    def answer(self, listings: Mapping[str, list[dict[str, Any]]] | None = None, /, *, failing: str = "", **more: Any) -> None:
        """Bring one look's answers; a listing that is not named stays as it was, and ``failing`` says why nothing came."""
        changed = False
        for kind, items in {**(listings or {}), **more}.items():
            shelf = self._shelves[kind]
            if shelf.put(json.dumps({kind: items}).encode()):
                changed = True
                self._history.saw(shelf.kind, shelf.fresh, shelf.gone, at=self.at, last=self._last.get(kind))
            self._last[kind] = self.at
        self._on_news(self.board(failing), changed)

    def turn(self, seconds: float) -> None:
        """Let time pass; timers that are due are called."""
        self.at += seconds * 1000
        due = [timer for timer in self.timers if timer.is_pending and timer.at <= self.at]
        self.timers = [timer for timer in self.timers if timer.is_pending and timer.at > self.at]
        for timer in due:
            timer.is_pending = False
            timer.do()

    def wanted(self) -> Any:
        return self.attention

    def board(self, failing: str = "") -> Board:
        """Return what is known now."""
        checkpoints = ByRun(self._shelves["checkpoints"].items)
        listings: dict[Need, dict[str, Any]] = {}
        found, standings = {}, {}
        for need in self.needs:
            known = need.kind in self._last
            standings[need] = Standing(
                known=known,
                good_at=self._last.get(need.kind),
                asked_at=self._last.get(need.kind, 0.0),
                every=self.interval,
                refused=False,
                since=self.at if failing else None,
                next_at=self.at + 4000 if failing else None,
                reason=failing,
                hint="Check the network." if failing else "",
            )
            if need.kind == "checkpoints":
                found[need] = Found((checkpoints,), frozenset({need.run_id}) if need.run_id else None)
            else:
                listings[need] = self._shelves[need.kind].items
        return Board(self.needs, listings, found, standings, self._history)
