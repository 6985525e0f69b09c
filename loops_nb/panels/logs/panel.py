"""The panel of log lines: a widget with a static report."""

from __future__ import annotations

import re
import shlex
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from loops_nb.client.logs import find_target, log_query
from loops_nb.config.time_text import text_of_age
from loops_nb.config.time_zone import display_zone
from loops_nb.panels.bundle import page_code
from loops_nb.panels.logs.controller import LogsController
from loops_nb.panels.logs.report import report_of, text_report_of
from loops_nb.panels.reported_widget import ReportedWidget
from loops_nb.render.formatting import many

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from loops_nb.client.config import HasConfig
    from loops_nb.panels.logs.messages import LogSnapshot
    from loops_nb.panels.visibility import Visibility

#: How long the end of a cell waits for the newest lines.
LAST_LOOK_SECONDS = 5.0


class LogsPanel(ReportedWidget):
    """Log lines of a run, a deployment or a sampler as they come: searched, filtered by level, paused, copied.

    It shows itself when it is a cell's last value, or with `show`.  The newest lines stay in the saved notebook.

    Parameters
    ----------
    loops : Loops or AsyncLoops
        The connection.
    target, half, since, grep, min_level, limit
        As in ``loops.logs.list``; the limit is that of the lines to begin with.
    time_zone : str, default "local"
        Zone of the times in the static report.

    Raises
    ------
    NotFoundError
        If there is no such run, deployment or sampler.
    InvalidArgumentError
        If an argument cannot be used.

    Examples
    --------
    >>> panel = LogsPanel(Loops(), "k4q95w5")  # doctest: +SKIP
    """

    _controller: LogsController

    def __init__(
        self,
        loops: HasConfig,
        target: str,
        *,
        half: str | None = None,
        since: timedelta | datetime | None = None,
        grep: str | re.Pattern[str] | None = None,
        min_level: str | None = None,
        limit: int | None = None,
        time_zone: str = "local",
    ) -> None:
        from loops_nb.client.transport import Transport  # httpx

        query = log_query(half=half, since=since, grep=grep, min_level=min_level, limit=limit)
        display_zone(time_zone)
        page = page_code("logs.js")
        transport = Transport(loops.config)
        found = transport.send_each(find_target(target, query.half))
        self._time_zone = time_zone
        options = {
            "--half": half,
            "--since": text_of_age(since) if isinstance(since, timedelta) else since and since.isoformat(),
            "--grep": grep.pattern if isinstance(grep, re.Pattern) else grep,
            "--level": min_level,
            "--limit": limit,
        }
        words = [word for flag, value in options.items() if value is not None for word in (flag, str(value))]
        line = " ".join(["%loops logs", *map(shlex.quote, [target, *words]), "-f"])
        title = f"Log of {found.what} {target}"

        def made(tell: Callable[[dict[str, Any]], None], visibility: Visibility) -> LogsController:
            return LogsController(transport, found, query, tell, visibility, title=title, line=line)

        super().__init__(made, page)
        self._controller.start()

    def snapshot_now(self) -> LogSnapshot:
        """Return everything that is shown now."""
        return self._controller.snapshot()

    def pause(self) -> None:
        """Stop reading new lines; what is shown stays."""
        self._controller.set_paused(paused=True)

    def resume(self) -> None:
        """Go on reading new lines."""
        self._controller.set_paused(paused=False)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._controller.title!r}, {many(len(self._controller.rows), 'line')}>"

    # The report.

    def _version(self) -> object:
        return self._controller.snapshot(0).seq

    def _make_report(self, *, live: bool) -> dict[str, str]:
        return report_of(self._controller, live=live, time_zone=self._time_zone)

    def _words(self, width: int) -> str:  # noqa: ARG002 - lines of a log are not cut
        return text_report_of(self._controller, time_zone=self._time_zone)

    def _look_now(self) -> None:
        if self._controller.read_error:
            return
        # On a thread of its own: a service that does not answer must not hold the cell.
        looking = threading.Thread(target=self._controller.update, name="loops-nb-logs-last", daemon=True)
        looking.start()
        looking.join(LAST_LOOK_SECONDS)
