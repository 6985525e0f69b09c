"""The poller of a connection: one thread that tells the news, a few that ask."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from loops_nb import faults
from loops_nb.client import checks
from loops_nb.client.call import Call
from loops_nb.client.exchange import Exchange
from loops_nb.client.retry import NO_RETRY
from loops_nb.client.transport import Transport
from loops_nb.config import SETTINGS
from loops_nb.errors import LoopsError
from loops_nb.faults import Fault
from loops_nb.live.agenda import Agenda
from loops_nb.live.board import Board
from loops_nb.live.clock import Clock
from loops_nb.live.forks import mind
from loops_nb.live.hands import Hands
from loops_nb.live.needs import Attention, Kind, Need
from loops_nb.live.source import Source
from loops_nb.live.subscription import OnNews, Subscription
from loops_nb.live.writer import LINGER, Later, Writer

T = TypeVar("T")
R = TypeVar("R")
_LOG = logging.getLogger(__name__)

#: Seconds that an answer to a look may be silent, whatever the client allows.
LONGEST_SILENCE = 15.0
_MOST_LOOKS = 4
_MOST_ACTS = 4
#: How long news waits for the other answers of the same look: what changed hardly at all, "nothing new" longer.
_PATIENCE_CHANGED = 0.01
_PATIENCE_SAME = 1.0


class Poller:
    """Keeps what is watched fresh.  Get one with `poller_for`.

    All subscribers are called on one thread, one after the other, so that none of them needs a lock.  What they raise is recorded by
    `loops_nb.faults`, and stops no other.

    Parameters
    ----------
    exchange
        Where to ask, and with which key.
    clock
        Tells the time.

    Attributes
    ----------
    writer
        Its thread.
    """

    def __init__(self, exchange: Exchange, *, clock: Clock | None = None) -> None:
        self.exchange = exchange
        self._clock = clock or Clock()
        self._agenda = Agenda(self._clock, exchange.address.url)
        self._agenda.interval = float(SETTINGS["poll_interval"].default)
        self._looks = Transport(replace(exchange, seconds=min(exchange.seconds, LONGEST_SILENCE), policy=NO_RETRY))
        self._acts = Transport(exchange)
        self._prepare()
        mind(self)

    def _prepare(self) -> None:
        self.writer = Writer(self, self._clock)
        self._subscribing = threading.Lock()
        self._subscriptions: dict[Subscription, None] = {}
        self._wishers: dict[Subscription, None] = {}
        self._stale = True
        self._acting = 0
        self._asking = Hands(_MOST_LOOKS, LINGER)
        self._writing = Hands(_MOST_ACTS, LINGER)

    # For everybody, on any thread

    @property
    def interval(self) -> float:
        """Seconds between two looks while something changes; up to five times as long when all has been still.  Can be set."""
        return self._agenda.interval

    @interval.setter
    def interval(self, seconds: float) -> None:
        self._agenda.interval = checks.seconds("interval", seconds)
        if self.writer.is_running:
            self.post(_nothing)

    @property
    def now(self) -> float:
        """The time by the clock of `call_later`."""
        return self._clock.now()

    @property
    def is_running(self) -> bool:
        """Whether its thread runs."""
        return self.writer.is_running

    @property
    def linger(self) -> float:
        """Seconds without anything to do after which its thread ends.  Can be set."""
        return self.writer.linger

    @linger.setter
    def linger(self, seconds: float) -> None:
        self.writer.linger = seconds

    @property
    def fault(self) -> str:
        """The traceback of what was raised last on its thread; empty for nothing."""
        return self.writer.fault

    @property
    def trouble(self) -> Fault | None:
        """The fault of its own that keeps it from asking now; None while it works."""
        return self.writer.trouble

    def subscribe(self, needs: Iterable[Need], on_news: OnNews, attention: Attention = Attention.WATCHED) -> Subscription:
        """Have somebody told the news.

        Parameters
        ----------
        needs
            The listings that it stands on.
        on_news
            Called on the poller's thread with a `Board` and whether its data differs from the one before; after each look that concerns
            it, failed ones included.  At once, if something is known already.
        attention
            How eagerly.
        """
        subscription = Subscription(self, needs, on_news, attention)
        with self._subscribing:
            self._subscriptions[subscription] = None
        self.reckon(subscription)
        return subscription

    def post(self, do: Callable[[], None]) -> None:
        """Have something done soon on the poller's thread, after what was posted before."""
        self.writer.post(do)

    def call_later(self, seconds: float, do: Callable[[], None]) -> Later:
        """Have something done on the poller's thread after some seconds."""
        return self.writer.call_later(seconds, do)

    def act(self, call: Call[T], done: Callable[[T | LoopsError], None]) -> None:
        """Carry out a request that changes something, by the connection's own rules, and look at once afterwards.

        Parameters
        ----------
        call
            The request.
        done
            Called on the poller's thread with the result, or with what went wrong.
        """
        self._request(call, done, look=True)

    def ask(self, call: Call[T], done: Callable[[T | LoopsError], None]) -> None:
        """Carry out a request that changes nothing; `done` as in `act`."""
        self._request(call, done, look=False)

    def work(self, job: Callable[[], T], done: Callable[[T | Exception], None]) -> None:
        """Carry out something that takes a while on a thread of its own.

        Parameters
        ----------
        job
            What.
        done
            Called on the poller's thread with what it returned or raised.
        """
        self._carry_out(partial(_returned, job), done)

    def refresh(self, subscription: Subscription) -> None:
        """Look now for a subscriber, even if it is asleep."""

        def do() -> None:
            subscription.once = True
            self._agenda.refresh(subscription.needs)

        self.post(do)

    def reckon(self, subscription: Subscription) -> None:
        """Take in that a subscriber wants something else (`Subscription` calls it)."""
        if subscription.is_closed:
            with self._subscribing:
                self._subscriptions.pop(subscription, None)
        self._stale = True
        if not self.writer.is_running and (subscription.is_closed or subscription.attention is Attention.ASLEEP):
            # Nobody has to be woken up for that; whoever is next finds out.
            return
        self.post(partial(self._enlist, subscription))

    def board(self, needs: Iterable[Need]) -> Board:
        """Return a snapshot of what some needs cover.  For the poller's thread."""
        return self._agenda.board(tuple(needs))

    def listed(self, kind: Kind) -> tuple[Mapping[str, Any], ...]:
        """Return what is known of a kind, by id, one mapping a listing, whoever asked for it.  Asks for nothing; any thread may call it."""
        return self._agenda.listed(kind)

    # The duty of its thread

    def next_turn(self) -> float:
        """Return when the next request or the next news is due."""
        deadlines = [s.deadline for s in tuple(self._subscriptions) if s.deadline is not None]
        return min([self._agenda.next_at(), *deadlines])

    def turn(self) -> None:
        """Ask and tell what is due."""
        self._take_wishes()
        for source in self._agenda.late():
            self._news(source, changed=False)
        for source in self._agenda.start():
            self._asking.do(partial(self._look, source))
        self._tell_all()

    def is_idle(self) -> bool:
        """Tell whether nothing is to be done any more."""
        return not self._acting and self._agenda.is_idle

    def rest(self) -> None:
        """Close the connections."""
        self._looks.close()
        self._acts.close()

    # What happens on it

    def _enlist(self, subscription: Subscription) -> None:
        self._wishers[subscription] = None
        self._stale = True

    def _take_wishes(self) -> None:
        if not self._stale:
            return
        self._stale = False
        wishers, self._wishers = self._wishers, {}
        wishes: dict[tuple[tuple[Need, ...], Attention], None] = {}
        for subscription in tuple(self._subscriptions):
            wishes[subscription.needs, subscription.attention] = None
        self._agenda.want(wishes)
        now = self._clock.now()
        for subscription in wishers:
            subscription.deadline = None
            if subscription.attention is not Attention.ASLEEP and self._agenda.has_news(subscription.needs):
                subscription.deadline = now

    def _look(self, source: Source) -> None:
        body = _outcome(lambda: self._looks.send(source.call))
        self.post(lambda: self._came(source, body))

    def _came(self, source: Source, body: bytes | LoopsError) -> None:
        was_failing = self._agenda.is_failing
        try:
            changed = self._agenda.answered(source, body)
        except Exception as error:  # noqa: BLE001 - whatever it is, what is shown of this listing is old from now on
            fault = faults.record(_LOG, f"reading the answer to {source.call.does!r}", error)
            # The same answer counts as another one the next time, so that it is read as a whole again.
            source.shelf.forget_body()
            changed = self._agenda.answered(source, LoopsError(fault.reason, hint=faults.HINT))
        # Trouble with the connection is everybody's.
        self._news(None if was_failing or self._agenda.is_failing else source, changed=changed)

    def _news(self, source: Source | None, *, changed: bool) -> None:
        patience = _PATIENCE_CHANGED if changed else _PATIENCE_SAME
        until = self._clock.now() + patience
        concerned: dict[tuple[Need, ...], bool] = {}
        for subscription in tuple(self._subscriptions):
            needs = subscription.needs
            if subscription.attention is Attention.ASLEEP and not subscription.once:
                continue
            if needs not in concerned:
                concerned[needs] = source is None or self._agenda.concerns(source, needs)
            if concerned[needs]:
                subscription.deadline = until if subscription.deadline is None else min(until, subscription.deadline)

    def _tell_all(self) -> None:
        now = self._clock.now()
        # Thousands may watch the same: they get the same board.
        boards: dict[tuple[Need, ...], tuple[Board, object]] = {}
        whole: dict[tuple[Need, ...], bool] = {}
        for subscription in tuple(self._subscriptions):
            if subscription.deadline is None:
                continue
            needs = subscription.needs
            if needs not in whole:
                whole[needs] = self._agenda.is_whole(needs)
            if subscription.deadline > now and not whole[needs]:
                continue
            subscription.once &= not whole[needs]
            if needs not in boards:
                boards[needs] = self._agenda.board(needs), self._agenda.version(needs)
            self.writer.guarded(partial(subscription.tell, *boards[needs]))

    def _request(self, call: Call[T], done: Callable[[T | LoopsError], None], *, look: bool) -> None:
        def finish(result: T | LoopsError) -> None:
            if look:
                self._agenda.refresh_all()
            done(result)

        self._carry_out(lambda: _outcome(lambda: self._acts.send(call)), finish)

    def _carry_out(self, job: Callable[[], R], done: Callable[[R], None]) -> None:
        def at_work() -> None:
            result = job()
            self.post(lambda: finish(result))

        def begin() -> None:
            self._acting += 1
            self._writing.do(at_work)

        def finish(result: R) -> None:
            self._acting -= 1
            done(result)

        self.post(begin)

    def forked(self) -> None:
        """Begin anew in a forked child: the threads, the subscribers and the sockets are the parent's."""
        self._looks, self._acts = Transport(self._looks.exchange), Transport(self._acts.exchange)
        history, interval = self._agenda.history, self._agenda.interval
        self._agenda = Agenda(self._clock, self.exchange.address.url)
        self._agenda.history, self._agenda.interval = history, interval
        self._prepare()


def _nothing() -> None:
    return None


def _returned(job: Callable[[], T]) -> T | Exception:
    try:
        return job()
    except LoopsError as error:
        return error.with_traceback(None)
    except Exception as error:  # noqa: BLE001 - the one who gave the job gets it
        faults.record(_LOG, "working beside the cells", error)
        return error.with_traceback(None)
    except BaseException as error:  # noqa: BLE001 - a thread that dies silently would be a job that never ends
        faults.record(_LOG, "working beside the cells", error)
        return RuntimeError(f"It was given up ({type(error).__name__}).")


def _outcome(send: Callable[[], T]) -> T | LoopsError:
    try:
        return send()
    except LoopsError as error:
        # Its traceback would keep the frames of this look alive.
        return error.with_traceback(None)
    except BaseException as error:  # noqa: BLE001 - a thread that dies silently would be a look that never ends
        return LoopsError(faults.record(_LOG, "making a request", error).reason, hint=faults.HINT)
