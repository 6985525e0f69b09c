"""``loops.deployments``: the capacity that runs execute on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from loops_nb.api.models import CheckpointFile, Deactivated, Deployment, DeploymentMetrics, LogLine
from loops_nb.client.filters import alive_only
from loops_nb.client.logs import find_target
from loops_nb.client.operations import deployments
from loops_nb.client.pagination import FilesPage
from loops_nb.resources.base import Resource
from loops_nb.resources.blocking import run_blocking
from loops_nb.resources.frames import alive_rows, frame_of, system_frame

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.frames import ListingRows
    from loops_nb.panels import DeploymentsPanel

# Inside the class the name `list` is the method.
LogLines: TypeAlias = list[LogLine]


class Deployments(Resource):
    """Loops deployments: list, inspect, wait for, watch and end them."""

    def list(self, *, scope: str | None = None, alive: bool = False) -> list[Deployment]:
        """List deployments (``GET /v1/loops/deployments``).

        Parameters
        ----------
        scope : {"org"}, optional
            Deployments of the whole organisation; default is the caller's own.
        alive : bool, default False
            Leave out what has ended: STOPPED, FAILED and PREEMPTED.

        Returns
        -------
        list of Deployment
            In the order of the service.

        Examples
        --------
        >>> running = [one for one in loops.deployments.list() if one.status.name == "RUNNING"]
        """
        return alive_only(self._transport.send(deployments.list_(scope=scope)), "deployments", alive=alive)

    def frame(self, *, scope: str | None = None, alive: bool = False) -> pd.DataFrame:
        """List deployments as a DataFrame (``GET /v1/loops/deployments``).

        Parameters
        ----------
        scope, alive
            As in `list`.

        Returns
        -------
        pandas.DataFrame
            One row a deployment; columns of the kind ``deployments`` in `loops_nb.frames`.

        Examples
        --------
        >>> df = loops.deployments.frame(scope="org")
        """
        return frame_of(self.listing(scope=scope, alive=alive))

    def listing(self, *, scope: str | None = None, alive: bool = False) -> ListingRows:
        """List the rows of `frame` (``GET /v1/loops/deployments``), without pandas.

        Parameters
        ----------
        scope, alive
            As in `frame`.

        Returns
        -------
        ListingRows
            See `loops_nb.frames.ListingRows`; its method ``frame`` makes the DataFrame.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.

        Examples
        --------
        >>> loops.deployments.listing().values("id")
        """
        found = self._listing(deployments.list_(scope=scope), "deployments")
        return alive_rows(found) if alive else found

    def get(self, deployment_id: str) -> Deployment:
        """Fetch a deployment (``GET /v1/loops/deployments/{deployment_id}``).

        Parameters
        ----------
        deployment_id : str
            Id of the Loops deployment.

        Returns
        -------
        Deployment
            The deployment.

        Raises
        ------
        NotFoundError
            If there is no such deployment.

        Examples
        --------
        >>> loops.deployments.get("dep_1").status.name
        'RUNNING'
        """
        return self._transport.send(deployments.get(deployment_id))

    def deactivate(self, deployment_id: str) -> Deactivated:
        """Shut a deployment down (``POST /v1/loops/deployments/{deployment_id}/deactivate``); checkpoints stay.

        Parameters
        ----------
        deployment_id : str
            Id of the Loops deployment.

        Returns
        -------
        Deactivated
            Receipt with the ``id``.

        Raises
        ------
        OutcomeUnknownError
            If the answer was lost; the request is not sent twice.

        Examples
        --------
        >>> loops.deployments.deactivate("dep_1")
        """
        return self._transport.send(deployments.deactivate(deployment_id))

    def logs(
        self,
        deployment_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        direction: str | None = None,
        limit: int | None = 500,
        min_level: str | None = None,
    ) -> LogLines:
        """Fetch log lines of the trainer (``GET /v1/loops/deployments/{deployment_id}/logs``).

        Parameters
        ----------
        deployment_id : str
            Id of the Loops deployment.
        start, end : datetime.datetime, optional
            With a time zone; default is the last 30 minutes, 7 days at most.
        direction : {"asc", "desc"}, optional
            Order of time; default is newest first.
        limit : int, default 500
            1 to 1000 lines.
        min_level : {"DEBUG", "INFO", "WARNING", "ERROR"}, optional
            Lowest level; setting it leaves out lines without a level.

        Returns
        -------
        list of LogLine
            In that order.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.

        Examples
        --------
        >>> for line in loops.deployments.logs("dep_1", min_level="ERROR"):
        ...     print(line.message)
        """
        return self._transport.send(
            deployments.logs(deployment_id, start=start, end=end, direction=direction, limit=limit, min_level=min_level)
        )

    def logs_frame(
        self,
        deployment_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        direction: str | None = None,
        limit: int | None = 500,
        min_level: str | None = None,
    ) -> pd.DataFrame:
        """Fetch log lines as a DataFrame (``GET /v1/loops/deployments/{deployment_id}/logs``).

        Parameters
        ----------
        deployment_id, start, end, direction, limit, min_level
            As in `logs`.

        Returns
        -------
        pandas.DataFrame
            One row a line; columns of the kind ``logs`` in `loops_nb.frames`.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.

        Examples
        --------
        >>> df = loops.deployments.logs_frame("dep_1", limit=1000)
        """
        request = deployments.logs(
            deployment_id, start=start, end=end, direction=direction, limit=limit, min_level=min_level
        )
        return self._frame(request, "logs")

    def metrics(
        self,
        deployment_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        step_seconds: int | None = None,
        time_divisor_seconds: int | None = None,
    ) -> DeploymentMetrics:
        """Fetch system metrics (``POST /v1/loops/deployments/{deployment_id}/metrics``), not training metrics.

        Parameters
        ----------
        deployment_id : str
            Id of the Loops deployment.
        start, end : datetime.datetime, optional
            With a time zone.
        step_seconds : int, optional
            Seconds between points; default depends on the range.
        time_divisor_seconds : int, optional
            Unit of rates in seconds; default is per second.

        Returns
        -------
        DeploymentMetrics
            Series of ``{value, timestamp}``.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.

        Examples
        --------
        >>> loops.deployments.metrics("dep_1", step_seconds=60).gpu_utilization
        """
        return self._transport.send(
            deployments.metrics(
                deployment_id,
                start=start,
                end=end,
                step_seconds=step_seconds,
                time_divisor_seconds=time_divisor_seconds,
            )
        )

    def metrics_frame(
        self,
        deployment_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        step_seconds: int | None = None,
        time_divisor_seconds: int | None = None,
    ) -> pd.DataFrame:
        """Fetch system metrics as a tidy DataFrame (``POST /v1/loops/deployments/{deployment_id}/metrics``).

        Parameters
        ----------
        deployment_id, start, end, step_seconds, time_divisor_seconds
            As in `metrics`.

        Returns
        -------
        pandas.DataFrame
            One row a value: metric, half (category), node, gpu (Int64), time (datetime64[us, UTC]), value (float64) and
            unit.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.

        Examples
        --------
        >>> df = loops.deployments.metrics_frame("dep_1", step_seconds=60)
        >>> df[df.metric == "gpu_utilization"].groupby(["node", "gpu"]).value.mean()
        """
        request = deployments.metrics(
            deployment_id,
            start=start,
            end=end,
            step_seconds=step_seconds,
            time_divisor_seconds=time_divisor_seconds,
        )
        found = self._transport.send(request)
        return system_frame([("trainer", found)], time_divisor_seconds=time_divisor_seconds)

    def debug_files(self, deployment_id: str, *, page_size: int = 1000) -> Iterator[CheckpointFile]:
        """Iterate over the files of the debug archive, fetching pages as needed.

        Route: ``GET /v1/loops/deployments/{deployment_id}/debug_archive/files``.

        Parameters
        ----------
        deployment_id : str
            Id of the Loops deployment.
        page_size : int, default 1000
            Files a request, 1 to 1000.

        Yields
        ------
        CheckpointFile
            A file with its presigned URL, which expires and is a secret.

        Raises
        ------
        EndlessPagesError
            If the pages of the service do not end; what came before is valid.

        Examples
        --------
        >>> for file in loops.deployments.debug_files("dep_1"):
        ...     print(file.relative_file_name)
        """
        return self._files(deployments.debug_files(deployment_id, page_size=page_size))

    def debug_files_page(
        self, deployment_id: str, *, page_size: int = 1000, page_token: str | None = None
    ) -> FilesPage:
        """Fetch one page of the files of the debug archive.

        Route: ``GET /v1/loops/deployments/{deployment_id}/debug_archive/files``.  `debug_files` follows the pages by
        itself.

        Parameters
        ----------
        deployment_id : str
            Id of the Loops deployment.
        page_size : int, default 1000
            Files of the page, 1 to 1000.
        page_token : str, optional
            ``next_page_token`` of the page before; default is the first page.

        Returns
        -------
        FilesPage
            ``files`` with presigned URLs and ``next_page_token`` (None on the last page); ``total_count`` is None, for
            this route has none.

        Raises
        ------
        NotFoundError
            If there is no such deployment.

        Examples
        --------
        >>> loops.deployments.debug_files_page("dep_1").next_page_token
        """
        return self._transport.send(
            deployments.one_debug_page(deployment_id, page_size=page_size, page_token=page_token)
        )

    def debug_archive(self, target: str, into: str | os.PathLike[str], *, quiet: bool = False) -> pd.DataFrame:
        """Download the debug archive of a deployment as of now, with the checks of a download of checkpoints.

        Route: ``GET /v1/loops/deployments/{deployment_id}/debug_archive/files``.

        Parameters
        ----------
        target : str
            Id or name of a run, or id of a Loops deployment.
        into : str or path-like
            Folder; the archive gets a folder of its own below it, ``TIME/DEPLOYMENT``.
        quiet : bool, default False
            Show no progress.

        Returns
        -------
        pandas.DataFrame
            One row a file; columns ``relative_file_name``, ``path`` (strings) and ``size_bytes`` (Int64).

        Raises
        ------
        NotFoundError
            If there is no such run or deployment.
        InvalidArgumentError
            If it has no deployment of its own: it is on shared (serverless) capacity, or a sampler.
        DownloadError
            If a file cannot be downloaded; no incomplete file has its name.

        Examples
        --------
        >>> df = loops.deployments.debug_archive("k4q95w5", "debug")
        """
        found = self._transport.send_each(find_target(target, "trainer"))
        deployment_id = found.sources[0].deployment_id
        return run_blocking(self._transport, lambda service: service.debug_archive(deployment_id, into, quiet=quiet))

    def wait(
        self, deployment_id: str, until: str = "RUNNING", *, timeout: float | None = None, quiet: bool = False
    ) -> Deployment:
        """Wait until a deployment is in a state, and return it (``GET /v1/loops/deployments``).

        Parameters
        ----------
        deployment_id : str
            Id of the Loops deployment.
        until : str, default "RUNNING"
            A state of deployments.  Of ``CREATED``, ``DEPLOYING`` and ``RUNNING`` a later one counts too.
        timeout : float, optional
            Seconds to wait at most; default is no limit.
        quiet : bool, default False
            Write nothing.

        Returns
        -------
        Deployment
            The deployment in that state.

        Raises
        ------
        NeverReachedError
            As soon as it is clear that the deployment will not reach the state.
        WaitTimeoutError
            If it took longer than ``timeout``.
        NotFoundError
            If there is no such deployment.
        InvalidArgumentError
            If an argument cannot be used.

        Examples
        --------
        >>> loops.deployments.wait("dep_1", timeout=900)
        """
        from loops_nb.live import wait as waiting  # the poller is needed only here

        return waiting.wait(
            self._transport.config, waiting.DeploymentCondition(deployment_id, until), timeout=timeout, quiet=quiet
        )

    def watch(
        self,
        *,
        scope: str | None = None,
        notify: bool = False,
        interval: float | None = None,
        time_zone: str = "local",
    ) -> DeploymentsPanel:
        """Show all Loops deployments in a panel that updates live.

        Parameters
        ----------
        scope : {"org"}, optional
            As in `list`.
        notify : bool, default False
            Raise a browser notification when something ends, where the browser allows it.
        interval : float, optional
            Seconds between two polls while something changes; default is unchanged.
        time_zone : str, default "local"
            Zone of the times in the static report.

        Returns
        -------
        DeploymentsPanel
            A widget; its ``frame`` is the newest listing.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used.

        Examples
        --------
        >>> loops.deployments.watch()
        """
        from loops_nb import panels  # widgets take 40 ms to import

        return panels.DeploymentsPanel(
            self._transport, scope=scope, notify=notify, interval=interval, time_zone=time_zone
        )
