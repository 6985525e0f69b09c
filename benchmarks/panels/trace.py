"""How long the page's main thread worked, by Chromium's own account.

Its CPU time is counted, so that others at work on the machine make it no longer.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

_CATEGORIES = ["-*", "blink.user_timing", "devtools.timeline", "disabled-by-default-devtools.timeline"]
_TASK, _FRAME = "RunTask", "FireAnimationFrame"
#: Beginning and ending a trace is work, too, and not the page's.
_FROM, _TO = "bench: from here", "bench: to here"


class Work:
    """The tasks of a page's main thread, in milliseconds of CPU time; filled when the trace ends."""

    def __init__(self) -> None:
        self.tasks: list[float] = []
        #: Of each frame that a script drew the longest task since the frame before, its own included: as much later
        #: than its moment it is at least.
        self.frames: list[float] = []

    @property
    def longest(self) -> float:
        """The longest task."""
        return max(self.tasks, default=0.0)

    @property
    def all(self) -> float:
        """All of them together."""
        return sum(self.tasks)


@contextmanager
def traced(browser: Browser, page: Page) -> Iterator[Work]:
    """Trace a page while the block runs."""
    work = Work()
    browser.start_tracing(page=page, categories=_CATEGORIES)
    try:
        page.evaluate("name => performance.mark(name)", _FROM)
        yield work
        page.evaluate("name => performance.mark(name)", _TO)
    finally:
        events = json.loads(browser.stop_tracing())["traceEvents"]
    tasks = _tasks(events)
    work.tasks = [took for _, _, took in tasks]
    work.frames = _frames(tasks, sorted(event["ts"] for event in events if event["name"] == _FRAME))


def _frames(tasks: list[tuple[int, int, float]], fired: list[int]) -> list[float]:
    found, longest = [], 0.0
    for begin, end, took in sorted(tasks):
        longest = max(longest, took)
        place = bisect_left(fired, begin)
        if place < len(fired) and fired[place] < end:
            found.append(longest)
            longest = 0.0
    return found


def _tasks(events: list[dict[str, Any]]) -> list[tuple[int, int, float]]:
    """Return when each task began and ended, in microseconds, and its CPU time in milliseconds."""
    marks = {event["name"]: event for event in events if event["name"] in {_FROM, _TO}}
    start, end = marks[_FROM], marks[_TO]
    thread = start["pid"], start["tid"]
    return [
        (event["ts"], event["ts"] + event["dur"], event["tdur"] / 1e3)
        for event in events
        if event["name"] == _TASK
        and "tdur" in event
        and (event["pid"], event["tid"]) == thread
        and start["ts"] <= event["ts"] < end["ts"]
    ]
