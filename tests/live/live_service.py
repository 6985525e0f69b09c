"""Shared by the tests of `loops_nb.live`: a service that fails on request, a recorder of snapshots, a fixed clock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from loops_nb import Loops
from loops_nb.live import Poller, Priority, Query, Snapshot, Subscription
from loops_nb.live.threads import Clock
from tests.service import ThreadService, running_service

RUNS, DEPLOYMENTS, SAMPLERS, CHECKPOINTS = (
    Query("runs"),
    Query("deployments"),
    Query("samplers"),
    Query("checkpoints"),
)
WAIT = 20.0


@dataclass
class Delivery:
    """One piece of news."""

    snapshot: Snapshot
    changed: bool
    thread: threading.Thread


class SnapshotRecorder:
    """A subscriber that keeps what it was told, and lets a test wait for it."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self._more = threading.Condition()

    def __call__(self, snapshot: Snapshot, changed: bool) -> None:
        with self._more:
            self.deliveries.append(Delivery(snapshot, changed, threading.current_thread()))
            self._more.notify_all()

    def until(self, met: Callable[[Delivery], Any], *, after: int = 0) -> Delivery:
        """Return the first delivery from a number on that meets a condition."""
        with self._more:
            end = time.monotonic() + WAIT
            while True:
                for delivery in self.deliveries[after:]:
                    if met(delivery):
                        return delivery
                assert self._more.wait(end - time.monotonic()), (
                    f"not within {WAIT} s, of {len(self.deliveries)} pages: {self._last()}"
                )

    def _last(self) -> str:
        return str(self.deliveries[-1].snapshot.health()) if self.deliveries else "none"


@dataclass
class Gate:
    """Stands before the service: counts what is asked, and answers in its place when told to."""

    app: ASGIApp
    asked: list[str] = field(default_factory=list)
    answer: Callable[[str], Response | None] = lambda _: None
    opened: threading.Event = field(default_factory=threading.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            target = scope["path"] + (f"?{scope['query_string'].decode()}" if scope["query_string"] else "")
            self.asked.append(f"{scope['method']} {target}")
            instead = self.answer(target)
            if instead is not None:
                await instead(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def count(self, part: str) -> int:
        return sum(part in line for line in self.asked)


@dataclass
class LiveService:
    """A service, a gate before it, a client and its poller."""

    service: ThreadService
    gate: Gate
    loops: Loops
    poller: Poller

    def watch(self, *queries: Query, priority: Priority = Priority.WAITING) -> tuple[Subscription, SnapshotRecorder]:
        recorder = SnapshotRecorder()
        return self.poller.subscribe(queries or (RUNS,), recorder, priority), recorder

    def make_run(self, **more: Any) -> Any:
        session = self.loops.sessions.create()
        return self.loops.runs.create(session_id=session.id, base_model="Qwen/Qwen3-8B", **more)


@contextmanager
def live_service(*, interval: float = 0.05, sample: bool = False, **settings: Any) -> Iterator[LiveService]:
    """Run a service with a poller; at the end the poller's thread must have ended."""
    gates: list[Gate] = []

    def wrap(app: ASGIApp) -> ASGIApp:
        gates.append(Gate(app))
        return gates[0]

    with running_service(wrap=wrap, sample=sample, **settings) as service, Loops("sentinel-key", service.url) as loops:
        assert isinstance(service, ThreadService)
        poller = Poller(loops.config)
        poller.interval = interval
        poller.linger = 0.05
        yield LiveService(service, gates[0], loops, poller)
        assert poller.last_traceback == ""
        end_of(poller)


def end_of(poller: Poller) -> None:
    """Close who is left, and wait until the poller's thread has ended."""
    for subscription in tuple(poller._subscriptions):
        subscription.close()
    until(lambda: not poller.is_running, "the poller's thread ends")


def until(met: Callable[[], Any], what: str) -> None:
    """Wait until something is so, for what has no event to wait on."""
    end = time.monotonic() + WAIT
    while not met():
        assert time.monotonic() < end, f"not within {WAIT} s: {what}"
        time.sleep(0.002)


class StoppedClock(Clock):
    """A clock that only a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.ms = 1_800_000_000_000.0

    def now(self) -> float:
        return self.seconds

    def epoch_ms(self) -> float:
        return self.ms

    def pass_(self, seconds: float) -> None:
        self.seconds += seconds
        self.ms += seconds * 1000.0


def body(key: str, *items: dict[str, Any]) -> bytes:
    """Return a listing as the service sends it."""
    return msgspec.json.encode({key: items})


def run(key: str, status: str | None = "ACTIVE", **more: Any) -> dict[str, Any]:
    return {"id": key, "base_model": "Qwen/Qwen3-8B", "status": {"name": status}, **more}


def deployment(key: str, status: str, **more: Any) -> dict[str, Any]:
    return {"id": key, "status": {"name": status}, **more}
