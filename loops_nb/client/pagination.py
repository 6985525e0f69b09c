"""Sans-IO pagination with loop detection."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from loops_nb.api.decoding import decode_page
from loops_nb.api.models import CheckpointFile
from loops_nb.client.request import Request
from loops_nb.errors import EndlessPagesError, UnreadableAnswerError

PageToken = int | str | None
MOST_PAGES = 100_000
#: A token goes into the next URL.
_LONGEST_TOKEN = 4000


class Page(NamedTuple):
    """One page of a file listing; the token of the next one is None on the last."""

    body: bytes
    files: list[CheckpointFile]
    next_token: PageToken
    total: int | None


class FilesPage(NamedTuple):
    """One page of the files of a checkpoint or of a debug archive, as ``files_page`` returns it.

    Parameters
    ----------
    files : list of CheckpointFile
        Each with its presigned URL, which a repr does not show.
    next_page_token : int, str or None
        What ``page_token`` of the next page is; None on the last.
    total_count : int or None
        Files on all pages; None where the route does not say.
    """

    files: list[CheckpointFile]
    next_page_token: PageToken
    total_count: int | None


def files_page(body: bytes) -> FilesPage:
    """Decode one page for a user; raises what `page` raises."""
    found = page(body)
    return FilesPage(found.files, None if found.next_token == "" else found.next_token, found.total)


def page(body: bytes) -> Page:
    """Decode one page.

    Raises
    ------
    UnreadableAnswerError
        If it is not a page, or its token is too long to be sent back.
    """
    files, token, total = decode_page(body)
    if len(str(token)) > _LONGEST_TOKEN:
        raise UnreadableAnswerError(
            f"The service answered a token of more than {_LONGEST_TOKEN} characters for the next page."
        )
    return Page(body, files, token, total)


class PageWalk:
    """Yields the request for the next page until there is none; raises when the pages repeat.

    Parameters
    ----------
    request_for : callable
        Returns the request for the page with a token.
    first : int, str or None
        The token of the first page.
    """

    def __init__(self, request_for: Callable[[PageToken], Request[Page]], *, first: PageToken) -> None:
        self._request_for = request_for
        self._next: Request[Page] | None = request_for(first)
        self._description = self._next.description
        self._seen = {str(first)}
        self._offset = first if isinstance(first, int) else -1
        self._pages = 0
        self._files = 0

    @property
    def next_request(self) -> Request[Page] | None:
        """The next request, or None when the last page was accepted."""
        return self._next

    def accept(self, page_read: Page) -> Page:
        """Record a page and return it.

        Raises
        ------
        EndlessPagesError
            If the next token was seen before, goes backwards, follows an empty page, or leads beyond the total of the
            service.
        """
        self._pages += 1
        self._files += len(page_read.files)
        token = page_read.next_token
        if token is None or token == "":
            self._next = None
            return page_read
        why = self._loop_reason(token, page_read)
        if why:
            raise EndlessPagesError(
                f"Could not {self._description}: the service's pages do not end ({why}, after {self._pages} pages).",
                hint="This is a fault of the service; try again, and report it if it persists.",
            )
        self._seen.add(str(token))
        self._offset = token if isinstance(token, int) else self._offset
        self._next = self._request_for(token)
        return page_read

    def _loop_reason(self, token: int | str, page_read: Page) -> str:
        if not page_read.files:
            return "an empty page points to another one"
        if str(token) in self._seen or (isinstance(token, int) and token <= self._offset):
            return f"the token {str(token)[:40]!r} does not lead on"
        if page_read.total is not None and self._files > page_read.total:
            return f"more than the {page_read.total} files there are"
        if self._pages >= MOST_PAGES:
            return "more pages than any listing has"
        return ""
