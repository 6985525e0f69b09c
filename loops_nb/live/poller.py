"""Polls one service: requests on a few threads, snapshots to all subscribers on a single one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from loops_nb import faults
from loops_nb.client import checks
from loops_nb.client.config import ClientConfig
from loops_nb.client.request import Request
from loops_nb.client.retry import NO_RETRY
from loops_nb.client.transport import Transport
from loops_nb.config import SETTINGS
from loops_nb.config.fork_safety import ForkAware, reset_on_fork
from loops_nb.errors import LoopsError
from loops_nb.faults import Fault
from loops_nb.live.listings import Listing
from loops_nb.live.queries import Kind, Priority, Query
from loops_nb.live.scheduler import PollScheduler
from loops_nb.live.snapshot import Snapshot
from loops_nb.live.subscription import OnSnapshot, Subscription
from loops_nb.live.threads import Clock, DaemonThreadPool, EventLoopThread, TimerHandle

T = TypeVar("T")

logger: logging.Logger = logging.getLogger(__name__)
#: Seconds without a byte after which a poll fails, whatever the client allows.
MAX_SILENT_SECONDS = 15.0
_MAX_POLLS = 4
_MAX_JOBS = 4
#: How long a snapshot waits for the other responses of the same poll, with a change and without one.
_CHANGE_DELAY = 0.01
_NO_CHANGE_DELAY = 1.0
#: The same for the first snapshot of a subscriber: ten thousand rows that are made of one listing are made again when
#: the next one arrives.
_FIRST_DELAY = 0.3


class Poller(ForkAware):
    """Polls what its subscribers need.  Get one with `poller_for`.

    All subscribers are called on one thread, one after the other, so that none of them needs a lock.  What they raise
    is recorded by `loops_nb.faults` and keeps no other subscriber from its snapshots.

    Parameters
    ----------
    config : ClientConfig
        The connection.
    clock : Clock, optional
        Current time; the system's by default.

    Attributes
    ----------
    loop : EventLoopThread
        Its thread.
    """

    def __init__(self, config: ClientConfig, *, clock: Clock | None = None) -> None:
        self.config = config
        self._clock = clock or Clock()
        self._scheduler = PollScheduler(self._clock, config.address.url)
        self._scheduler.interval = float(SETTINGS["poll_interval"].default)
        self._start_over()
        reset_on_fork(self)

    def _start_over(self) -> None:
        polling = replace(self.config, seconds=min(self.config.seconds, MAX_SILENT_SECONDS), policy=NO_RETRY)
        self._poll_transport, self._transport = Transport(polling), Transport(self.config)
        self.loop: EventLoopThread = EventLoopThread(self, self._clock)
        self._lock = threading.Lock()
        self._subscriptions: dict[Subscription, None] = {}
        self._changed_subscriptions: dict[Subscription, None] = {}
        self._demand_changed = True
        self._jobs = 0
        self._poll_pool = DaemonThreadPool(_MAX_POLLS)
        self._job_pool = DaemonThreadPool(_MAX_JOBS)

    def after_fork_in_child(self) -> None:
        """Start over: threads, subscribers and sockets are the parent's."""
        history, interval = self._scheduler.history, self._scheduler.interval
        self._scheduler = PollScheduler(self._clock, self.config.address.url)
        self._scheduler.history, self._scheduler.interval = history, interval
        self._start_over()

    # From any thread

    @property
    def interval(self) -> float:
        """Seconds between two polls while something changes; up to five times as long otherwise.  Can be set."""
        return self._scheduler.interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        self._scheduler.interval = checks.seconds("interval", seconds)
        if self.loop.is_running:
            self.post(_wake_up)

    @property
    def now(self) -> float:
        """The time by the clock of `call_later`."""
        return self._clock.now()

    @property
    def is_running(self) -> bool:
        """Whether its thread runs."""
        return self.loop.is_running

    @property
    def linger(self) -> float:
        """Idle seconds after which its thread ends.  Can be set."""
        return self.loop.linger

    @linger.setter
    def linger(self, seconds: float) -> None:
        self.loop.linger = seconds

    @property
    def last_traceback(self) -> str:
        """Of the newest exception on its thread; empty for none."""
        return self.loop.last_traceback

    @property
    def current_fault(self) -> Fault | None:
        """The fault of its own that keeps it from polling now."""
        return self.loop.current_fault

    def subscribe(
        self, queries: Iterable[Query], on_snapshot: OnSnapshot, priority: Priority = Priority.VISIBLE
    ) -> Subscription:
        """Deliver snapshots of some queries.

        Parameters
        ----------
        queries : iterable of Query
            What the snapshots cover.
        on_snapshot : callable
            Called on the poller's thread with a `Snapshot` and whether its data differs from the one before: at once if
            something is known already, then after each poll that concerns it, failed ones included.
        priority : Priority, default Priority.VISIBLE
            How often the data is needed.
        """
        subscription = Subscription(
            queries, on_snapshot, priority, on_change=self._subscription_changed, on_refresh=self._refresh
        )
        with self._lock:
            self._subscriptions[subscription] = None
        self._subscription_changed(subscription)
        return subscription

    def post(self, callback: Callable[[], None]) -> None:
        """Call something soon on the poller's thread, after what was posted before."""
        self.loop.post(callback)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle:
        """Call something on the poller's thread after some seconds."""
        return self.loop.call_later(seconds, callback)

    def send(self, request: Request[T], on_result: Callable[[T | LoopsError], None]) -> None:
        """Send a request that changes nothing, with the connection's own retries.

        Parameters
        ----------
        request : Request
            What is sent.
        on_result : callable
            Called on the poller's thread with the result or the error.
        """
        self._run_job(lambda: _result_of(lambda: self._transport.send(request)), on_result)

    def send_and_refresh(self, request: Request[T], on_result: Callable[[T | LoopsError], None]) -> None:
        """Send a request that changes something, and poll at once afterwards; parameters as in `send`."""
        self._run_job(lambda: _result_of(lambda: self._transport.send(request)), self._refreshing(on_result))

    def run_in_background(self, job: Callable[[], T], on_result: Callable[[T | Exception], None]) -> None:
        """Run something that takes long on a thread of its own.

        Parameters
        ----------
        job : callable
            What is run.
        on_result : callable
            Called on the poller's thread with what it returned or raised.
        """
        self._run_job(lambda: _outcome_of(job), on_result)

    def run_and_refresh(self, job: Callable[[], T], on_result: Callable[[T | Exception], None]) -> None:
        """Run something that changes something, and poll at once afterwards; parameters as in `run_in_background`."""
        self._run_job(lambda: _outcome_of(job), self._refreshing(on_result))

    def known_items(self, kind: Kind) -> tuple[Mapping[str, Any], ...]:
        """Return what is known of a kind, by id, one mapping a listing.  Nothing is requested."""
        return self._scheduler.known_items(kind)

    def _subscription_changed(self, subscription: Subscription) -> None:
        if subscription.is_closed:
            with self._lock:
                self._subscriptions.pop(subscription, None)
        self._demand_changed = True
        needs_nothing = subscription.is_closed or subscription.priority is Priority.NONE
        if needs_nothing and not self.loop.is_running:
            # The next start of the thread takes it into account.
            return
        self.post(partial(self._note_changed, subscription))

    def _refresh(self, subscription: Subscription) -> None:
        def refresh() -> None:
            subscription.is_refreshing = True
            self._scheduler.refresh(subscription.queries)

        self.post(refresh)

    # The work of its thread

    def next_deadline(self) -> float:
        """Return when the next request or delivery is due."""
        deadlines = [s.deadline for s in tuple(self._subscriptions) if s.deadline is not None]
        return min([self._scheduler.next_deadline(), *deadlines])

    def run_once(self) -> None:
        """Request and deliver what is due."""
        self._update_demand()
        for listing in self._scheduler.take_overdue():
            self._set_deadlines(listing, changed=False)
        for listing in self._scheduler.take_due():
            future = self._poll_pool.submit(_result_of, partial(self._poll_transport.send, listing.request))
            future.add_done_callback(partial(self._post_response, listing))
        self._deliver_due()

    def is_idle(self) -> bool:
        """Tell whether nothing is left to do."""
        return not self._jobs and self._scheduler.is_idle

    def release(self) -> None:
        """Close the connections."""
        self._poll_transport.close()
        self._transport.close()

    def snapshot(self, queries: Iterable[Query]) -> Snapshot:
        """Return what is known of some queries."""
        return self._scheduler.snapshot(tuple(queries))

    # On its thread

    def _note_changed(self, subscription: Subscription) -> None:
        self._changed_subscriptions[subscription] = None
        self._demand_changed = True

    def _update_demand(self) -> None:
        if not self._demand_changed:
            return
        self._demand_changed = False
        changed, self._changed_subscriptions = self._changed_subscriptions, {}
        # A thousand subscribers may need the same.
        self._scheduler.set_demand(dict.fromkeys((s.queries, s.priority) for s in tuple(self._subscriptions)))
        now = self._clock.now()
        for subscription in changed:
            subscription.deadline = None
            is_active = subscription.priority is not Priority.NONE
            if is_active and self._scheduler.has_something_to_deliver(subscription.queries):
                subscription.deadline = now

    def _post_response(self, listing: Listing, future: Future[bytes | LoopsError]) -> None:
        response = future.result()
        self.post(lambda: self._handle_response(listing, response))

    def _handle_response(self, listing: Listing, response: bytes | LoopsError) -> None:
        was_failing = self._scheduler.is_failing
        try:
            changed = self._scheduler.handle_response(listing, response)
        except Exception as error:  # noqa: BLE001 - whatever it is, what is shown of this listing is old from now on
            fault = faults.record(logger, f"reading the answer to {listing.request.description!r}", error)
            # The same response is read from scratch the next time.
            listing.cache.forget_response()
            changed = self._scheduler.handle_response(listing, LoopsError(fault.reason, hint=faults.HINT))
        # Trouble with the connection concerns all subscribers.
        concerns_all = was_failing or self._scheduler.is_failing
        self._set_deadlines(None if concerns_all else listing, changed=changed)

    def _set_deadlines(self, listing: Listing | None, *, changed: bool) -> None:
        """Set when the subscribers of a listing, or all of them, receive a snapshot at the latest."""
        now = self._clock.now()
        concerned: dict[tuple[Query, ...], bool] = {}
        for subscription in tuple(self._subscriptions):
            queries = subscription.queries
            if subscription.priority is Priority.NONE and not subscription.is_refreshing:
                continue
            if queries not in concerned:
                concerned[queries] = listing is None or self._scheduler.concerns(listing, queries)
            if concerned[queries]:
                change_delay = _CHANGE_DELAY if subscription.has_delivered else _FIRST_DELAY
                deadline = now + (change_delay if changed else _NO_CHANGE_DELAY)
                known = subscription.deadline
                subscription.deadline = deadline if known is None else min(deadline, known)

    def _deliver_due(self) -> None:
        now = self._clock.now()
        # Subscribers with the same queries get the same snapshot.
        snapshots: dict[tuple[Query, ...], tuple[Snapshot, object]] = {}
        complete: dict[tuple[Query, ...], bool] = {}
        for subscription in tuple(self._subscriptions):
            if subscription.deadline is None:
                continue
            queries = subscription.queries
            if queries not in complete:
                complete[queries] = self._scheduler.is_complete(queries)
            if subscription.deadline > now and not complete[queries]:
                continue
            if complete[queries]:
                subscription.is_refreshing = False
            if queries not in snapshots:
                snapshots[queries] = self._scheduler.snapshot(queries), self._scheduler.version(queries)
            self.loop.call_guarded(partial(subscription.deliver, *snapshots[queries]))

    def _refreshing(self, on_result: Callable[[T], None]) -> Callable[[T], None]:
        def finish(result: T) -> None:
            self._scheduler.refresh_all()
            on_result(result)

        return finish

    def _run_job(self, job: Callable[[], T], on_result: Callable[[T], None]) -> None:
        def start() -> None:
            self._jobs += 1
            self._job_pool.submit(job).add_done_callback(post_result)

        def post_result(future: Future[T]) -> None:
            result = future.result()
            self.post(lambda: finish(result))

        def finish(result: T) -> None:
            self._jobs -= 1
            on_result(result)

        self.post(start)


class _Pollers(ForkAware):
    """The pollers of this process; each lives as long as something refers to it or its thread runs."""

    def __init__(self) -> None:
        self._pollers: WeakValueDictionary[tuple[object, ...], Poller] = WeakValueDictionary()
        self._lock = threading.Lock()
        reset_on_fork(self)

    def get(self, config: ClientConfig, *, create: bool) -> Poller | None:
        with self._lock:
            poller = self._pollers.get(config.identity)
            if poller is None and create:
                poller = self._pollers[config.identity] = Poller(config)
            return poller

    def after_fork_in_child(self) -> None:
        # Another thread of the parent may have held it.
        self._lock = threading.Lock()


_pollers = _Pollers()


def poller_for(config: ClientConfig) -> Poller:
    """Return the poller of a connection: the same one for the same address, key and authentication scheme.

    Nothing is requested before there is a subscriber.
    """
    poller = _pollers.get(config, create=True)
    assert poller is not None  # noqa: S101 - it was created
    return poller


def running_poller(config: ClientConfig) -> Poller | None:
    """Return the poller of a connection if there is one already."""
    return _pollers.get(config, create=False)


def _wake_up() -> None:
    return None


def _outcome_of(job: Callable[[], T]) -> T | Exception:
    try:
        return job()
    except LoopsError as error:
        return error.with_traceback(None)
    except Exception as error:  # noqa: BLE001 - the caller of the job gets it
        faults.record(logger, "working beside the cells", error)
        return error.with_traceback(None)
    except BaseException as error:  # noqa: BLE001 - otherwise the job would never end
        faults.record(logger, "working beside the cells", error)
        return RuntimeError(f"It was given up ({type(error).__name__}).")


def _result_of(send: Callable[[], T]) -> T | LoopsError:
    try:
        return send()
    except LoopsError as error:
        # Its traceback would keep the frames of this request alive.
        return error.with_traceback(None)
    except BaseException as error:  # noqa: BLE001 - otherwise the poll would never end
        return LoopsError(faults.record(logger, "making a request", error).reason, hint=faults.HINT)
