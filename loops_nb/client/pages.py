"""Walking the pages of a file listing, without doing any I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from loops_nb.client.call import Call
from loops_nb.decoding import decode_page
from loops_nb.errors import EndlessPagesError, UnreadableAnswerError
from loops_nb.models import CheckpointFile

PageToken = int | str | None
MOST_PAGES = 100_000
#: A token goes into the next URL.
_LONGEST_TOKEN = 4000


class Page(NamedTuple):
    """One page: its bytes, its files, and the token of the next one (None on the last)."""

    body: bytes
    files: list[CheckpointFile]
    next_token: PageToken
    total: int | None


def page(body: bytes) -> Page:
    """Decode one page.

    Raises
    ------
    UnreadableAnswerError
        If it is none, or its token could not be sent back.
    """
    files, token, total = decode_page(body)
    if len(str(token)) > _LONGEST_TOKEN:
        raise UnreadableAnswerError(f"The service answered a token of more than {_LONGEST_TOKEN} characters for the next page.")
    return Page(body, files, token, total)


class PageWalk:
    """Says which page to ask for next, until there is none; ends a listing that goes round in circles.

    Parameters
    ----------
    at
        From a token to the request for that page.
    first
        The token of the first page.
    """

    def __init__(self, at: Callable[[PageToken], Call[Page]], *, first: PageToken) -> None:
        self._at = at
        self._next: Call[Page] | None = at(first)
        self._does = self._next.does
        self._seen = {str(first)}
        self._offset = first if isinstance(first, int) else -1
        self._pages = 0
        self._files = 0

    @property
    def next_call(self) -> Call[Page] | None:
        """The next request, or None when the last page was accepted."""
        return self._next

    def accept(self, got: Page) -> Page:
        """Take note of a page and return it.

        Raises
        ------
        EndlessPagesError
            If the next token was there before, goes back, follows an empty page, or leads beyond the total that the service gave.
        """
        self._pages += 1
        self._files += len(got.files)
        token = got.next_token
        if token is None or token == "":
            self._next = None
            return got
        why = self._runs_in_circles(token, got)
        if why:
            raise EndlessPagesError(
                f"Could not {self._does}: the service's pages do not end ({why}, after {self._pages} pages).",
                hint="This is a fault of the service; try again, and report it if it stays.",
            )
        self._seen.add(str(token))
        self._offset = token if isinstance(token, int) else self._offset
        self._next = self._at(token)
        return got

    def _runs_in_circles(self, token: int | str, got: Page) -> str:
        if not got.files:
            return "an empty page points to another one"
        if str(token) in self._seen or (isinstance(token, int) and token <= self._offset):
            return f"the token {str(token)[:40]!r} does not lead on"
        if got.total is not None and self._files > got.total:
            return f"more than the {got.total} files there are"
        if self._pages >= MOST_PAGES:
            return "more pages than any listing has"
        return ""
