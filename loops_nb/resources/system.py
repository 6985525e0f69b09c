"""``loops.system``: GPU, CPU, memory, disk and requests of runs, deployments and samplers over time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from loops_nb.client.system_metrics import DEFAULT_AGE, read_system
from loops_nb.resources.base import Resource
from loops_nb.resources.frames import system_frame

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.panels import SystemPanel


class System(Resource):
    """System metrics by run, deployment or sampler; training metrics are in ``loops.metrics``."""

    def frame(
        self,
        target: str,
        *,
        half: str | None = None,
        since: timedelta | datetime | None = None,
        until: timedelta | datetime | None = None,
        step_seconds: int | None = None,
    ) -> pd.DataFrame:
        """Fetch system metrics of a run, a deployment or a sampler as a tidy DataFrame.

        Routes: ``POST /v1/loops/deployments/{deployment_id}/metrics`` for the trainer, and ``GET
        /v1/models/{model_id}/deployments/{deployment_id}/metrics`` for the sampler.

        Parameters
        ----------
        target : str
            Id or name of a run, id of a Loops deployment, or id of a sampler.
        half : {"trainer", "sampler", "both"}, optional
            Whose metrics; by default of both where there are two.
        since, until : datetime.timedelta or datetime.datetime, optional
            An age, or a time with a time zone; default is the last hour.
        step_seconds : int, optional
            Seconds between two points of the trainer; default is the service's choice.

        Returns
        -------
        pandas.DataFrame
            One row a value: metric, half (category), node, gpu (Int64), time (datetime64[us, UTC]), value (float64) and
            unit.  A step in which nothing was measured has no row.

        Raises
        ------
        NotFoundError
            If there is no such run, deployment or sampler.
        InvalidArgumentError
            If an argument cannot be used, or it is on shared (serverless) capacity, which has no metrics to read.

        Examples
        --------
        >>> df = loops.system.frame("k4q95w5", since=timedelta(hours=6))
        >>> df[df.metric == "gpu_utilization"].pivot_table(index="time", columns=["node", "gpu"], values="value")
        """
        steps = read_system(target, half=half, since=since, until=until, step_seconds=step_seconds)
        return system_frame(self._transport.send_each(steps))

    def watch(self, target: str, *, since: timedelta = DEFAULT_AGE) -> SystemPanel:
        """Show system metrics in a panel that updates live, on one time axis with the run's training curve.

        Parameters
        ----------
        target : str
            As in `frame`.
        since : datetime.timedelta, default one hour
            How far back it begins, up to seven days, but not before the target was created.

        Returns
        -------
        SystemPanel
            A widget; its ``frame()`` has the points that it shows.

        Raises
        ------
        NotFoundError
            If there is no such run, deployment or sampler.
        InvalidArgumentError
            If an argument cannot be used, or it is on shared (serverless) capacity.

        Examples
        --------
        >>> loops.system.watch("k4q95w5", since=timedelta(hours=6))
        """
        from loops_nb import panels  # widgets take 40 ms to import

        return panels.SystemPanel(self._transport, target, since=since)
