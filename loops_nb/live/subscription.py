"""One subscriber of a poller."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from loops_nb.live.board import Board
from loops_nb.live.needs import Attention, Need

if TYPE_CHECKING:
    from loops_nb.live.poller import Poller

OnNews = Callable[[Board, bool], None]
#: A subscriber that is still at work when it is closed is waited for, but not for ever.
_LONGEST_CLOSE = 5.0


class Subscription:
    """Somebody who is told the news; made by `Poller.subscribe`.

    Parameters
    ----------
    poller
        Whose news.
    needs
        What it stands on.
    on_news
        Called on the poller's thread with a snapshot, and whether its data differs from the one before.
    attention
        How eagerly.
    """

    def __init__(self, poller: Poller, needs: Iterable[Need], on_news: OnNews, attention: Attention) -> None:
        self._poller = poller
        self._needs = tuple(dict.fromkeys(needs))
        self._attention = Attention(attention)
        self._on_news = on_news
        self._telling = threading.RLock()
        self._closed = False
        self._told: object = None
        self.deadline: float | None = None
        self.once = False

    @property
    def needs(self) -> tuple[Need, ...]:
        """What it stands on; can be set."""
        return self._needs

    @needs.setter
    def needs(self, needs: Iterable[Need]) -> None:
        self._needs = tuple(dict.fromkeys(needs))
        self._poller.reckon(self)

    @property
    def attention(self) -> Attention:
        """How eagerly it wants to know; can be set from any thread."""
        return self._attention

    @attention.setter
    def attention(self, attention: Attention) -> None:
        if attention is not self._attention:
            self._attention = Attention(attention)
            self._poller.reckon(self)

    @property
    def board(self) -> Board:
        """A snapshot of now; it may be empty.  For the poller's thread."""
        return self._poller.board(self._needs)

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def refresh(self) -> None:
        """Look now, even if asleep; the news comes as always."""
        self._poller.refresh(self)

    def close(self) -> None:
        """End it: when this returns, it is not told anything any more.  Again and again changes nothing."""
        if self._closed:
            return
        self._closed = True
        # Lets a call that runs at this moment come to its end; from within that call it passes at once.
        if self._telling.acquire(timeout=_LONGEST_CLOSE):
            self._telling.release()
        self._poller.reckon(self)

    def tell(self, board: Board, version: object) -> None:
        """Tell the news (the poller's own way in).

        Raises
        ------
        BaseException
            Whatever the subscriber raised.
        """
        with self._telling:
            if self._closed:
                return
            changed = version != self._told
            self._told, self.deadline = version, None
            self._on_news(board, changed)
