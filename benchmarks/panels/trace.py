"""How long the page's main thread worked, by Chromium's own account."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

_CATEGORIES = ["-*", "toplevel", "devtools.timeline", "disabled-by-default-devtools.timeline"]
_TASK = "RunTask"


class Work:
    """The tasks of a page's main thread, in milliseconds; filled when the trace ends."""

    def __init__(self) -> None:
        self.tasks: list[float] = []

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
        yield work
    finally:
        work.tasks = _tasks(json.loads(browser.stop_tracing())["traceEvents"])


def _tasks(events: list[dict[str, Any]]) -> list[float]:
    mains = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name" and e["args"]["name"] == "CrRendererMain"}
    by_thread: dict[tuple[int, int], list[float]] = {thread: [] for thread in mains}
    for event in events:
        thread = (event["pid"], event["tid"])
        if thread in mains and event["name"].endswith(_TASK) and event["ph"] == "X":
            by_thread[thread].append(event["dur"] / 1e3)
    # There are other renderers, of the browser's own; the page is the one that works.
    return max(by_thread.values(), key=sum, default=[])
