"""A live panel whose report is renewed with its news: at most once a minute, and at the end of a cell."""

from __future__ import annotations

import time
from abc import abstractmethod
from typing import Any

from loops_nb.panels.widget import REPORT_SECONDS, LiveWidget


class ReportedWidget(LiveWidget):
    """A panel that tells its page what is new, and now and then writes the same into its report."""

    #: What the report of the notebook shows.
    _reported_version: object = None

    @abstractmethod
    def _version(self) -> object:
        """Return what changes with everything that is shown."""

    @abstractmethod
    def _make_report(self, *, live: bool) -> dict[str, str]:
        """Return the static report of what is shown now."""

    def _tell(self, message: dict[str, Any]) -> None:
        super()._tell(message)
        if time.monotonic() - self._reported_at >= REPORT_SECONDS:
            self._renew_report()

    def _renew_report(self) -> None:
        # Not waited for: who closes the panel waits for the thread that may be here.
        if not self._closing.acquire(blocking=False):
            return
        try:
            if not self._is_closed and self._marks is not None:
                self._publish(0, self._report(live=True), update=True)
        finally:
            self._closing.release()

    def _cell_ended(self) -> None:
        self._look_now()
        if self._version() != self._reported_version:
            self._renew_report()

    def _report(self, *, live: bool) -> dict[str, str]:
        self._reported_at = time.monotonic()
        self._reported_version = self._version()
        return self._make_report(live=live)
