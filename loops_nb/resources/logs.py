"""``loops.logs``: log lines of runs, deployments and samplers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from loops_nb.api.models import LogLine
from loops_nb.client import checks
from loops_nb.client.logs import LogQuery, LogReading, LogTail, find_target, log_query, read_logs
from loops_nb.resources.base import Resource
from loops_nb.resources.frames import log_lines_frame
from loops_nb.sampling.blocking import sleep

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.panels import LogsPanel


class Logs(Resource):
    """Log lines by run, deployment or sampler, as far back as the service has them."""

    def list(
        self,
        target: str,
        *,
        half: str | None = None,
        since: timedelta | datetime | None = None,
        until: timedelta | datetime | None = None,
        grep: str | re.Pattern[str] | None = None,
        min_level: str | None = None,
        limit: int | None = None,
    ) -> list[LogLine]:
        """Fetch log lines of a run, a deployment or a sampler, oldest first.

        Routes: ``GET /v1/loops/deployments/{deployment_id}/logs``, and ``GET
        /v1/models/{model_id}/deployments/{deployment_id}/logs`` for samplers.  One answer holds 1,000 lines of at most
        seven days; as many are requested as are needed.

        Parameters
        ----------
        target : str
            Id or name of a run, id of a Loops deployment, or id of a sampler.
        half : {"trainer", "sampler", "both"}, optional
            Whose lines; default is the trainer's, and for a sampler its own.  ``both`` merges them by time.
        since, until : datetime.timedelta or datetime.datetime, optional
            An age, or a time with a time zone.  Default is from the creation of the run to now, or to the creation of
            the run that took over its deployment.
        grep : str or re.Pattern, optional
            Only lines in which this regular expression is found.
        min_level : {"DEBUG", "INFO", "WARNING", "ERROR"}, optional
            Lowest level; setting it leaves out lines without a level.
        limit : int, optional
            The newest so many lines, 100,000 at most; default is 500 without ``since``, else 100,000.

        Returns
        -------
        list of LogLine
            The lines, oldest first.

        Raises
        ------
        NotFoundError
            If there is no such run, deployment or sampler.
        InvalidArgumentError
            If an argument cannot be used, or it is on shared (serverless) capacity, which has no log lines to read.

        Examples
        --------
        >>> for line in loops.logs.list("k4q95w5", since=timedelta(hours=2), grep="out of memory"):
        ...     print(line.message)
        """
        query = log_query(half=half, since=since, until=until, grep=grep, min_level=min_level, limit=limit)
        reading = self._read(target, query)
        return [line.line for line in reading.lines]

    def frame(
        self,
        target: str,
        *,
        half: str | None = None,
        since: timedelta | datetime | None = None,
        until: timedelta | datetime | None = None,
        grep: str | re.Pattern[str] | None = None,
        min_level: str | None = None,
        limit: int | None = None,
    ) -> pd.DataFrame:
        """Fetch log lines as a DataFrame, oldest first.

        Parameters
        ----------
        target, half, since, until, grep, min_level, limit
            As in `list`.

        Returns
        -------
        pandas.DataFrame
            One row a line; columns ``timestamp`` (datetime64[ns, UTC]), ``level`` (ordered category), ``half``
            (category: trainer or sampler), ``replica``, ``request_id`` and ``message`` (strings).

        Raises
        ------
        NotFoundError, InvalidArgumentError
            As `list`.

        Examples
        --------
        >>> df = loops.logs.frame("k4q95w5", half="both", min_level="WARNING")
        >>> df.groupby(["half", "level"], observed=True).size()
        """
        query = log_query(half=half, since=since, until=until, grep=grep, min_level=min_level, limit=limit)
        return log_lines_frame(self._read(target, query))

    def follow(
        self,
        target: str,
        *,
        half: str | None = None,
        since: timedelta | datetime | None = None,
        grep: str | re.Pattern[str] | None = None,
        min_level: str | None = None,
        limit: int | None = None,
        interval: float = 2.0,
    ) -> Iterator[LogLine]:
        """Yield log lines as they come, after the newest ones; it does not end by itself.

        Parameters
        ----------
        target, half, since, grep, min_level, limit
            As in `list`; the limit is that of the lines to begin with.
        interval : float, default 2.0
            Seconds between two requests.

        Yields
        ------
        LogLine
            A line; a late one may be older than the one before.

        Raises
        ------
        NotFoundError, InvalidArgumentError
            As `list`.
        ServiceUnreachableError, ServerError
            If the service does not answer after all tries, and the iteration ends; begin it again with ``since``.

        Examples
        --------
        >>> for line in loops.logs.follow("k4q95w5", min_level="WARNING"):
        ...     print(line.message)
        """
        seconds = checks.seconds("interval", interval)
        query = log_query(half=half, since=since, grep=grep, min_level=min_level, limit=limit)
        found = self._transport.send_each(find_target(target, query.half))
        follower = LogTail(found, query)
        while True:
            reading = self._transport.send_each(follower.steps())
            for line in reading.lines:
                yield line.line
            sleep(seconds)

    def watch(
        self,
        target: str,
        *,
        half: str | None = None,
        since: timedelta | datetime | None = None,
        grep: str | re.Pattern[str] | None = None,
        min_level: str | None = None,
        limit: int | None = None,
        time_zone: str = "local",
    ) -> LogsPanel:
        """Show log lines in a panel that updates live: search, levels, pause, copy.

        Parameters
        ----------
        target, half, since, grep, min_level, limit
            As in `list`; the limit is that of the lines to begin with.
        time_zone : str, default "local"
            Zone of the times in the static report.

        Returns
        -------
        LogsPanel
            A widget.

        Raises
        ------
        NotFoundError, InvalidArgumentError
            As `list`.

        Examples
        --------
        >>> loops.logs.watch("k4q95w5", half="both")
        """
        from loops_nb.panels import LogsPanel  # widgets take 40 ms to import

        return LogsPanel(
            self._transport,
            target,
            half=half,
            since=since,
            grep=grep,
            min_level=min_level,
            limit=limit,
            time_zone=time_zone,
        )

    def _read(self, target: str, query: LogQuery) -> LogReading:
        return self._transport.send_each(read_logs(target, query))
