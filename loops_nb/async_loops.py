"""`AsyncLoops`: the same as `loops_nb.loops.Loops`, awaited."""

from __future__ import annotations

from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Self

from loops_nb.client import async_resources as awaited
from loops_nb.client.answers import readable
from loops_nb.client.async_transport import AsyncTransport
from loops_nb.client.operations import checkpoints, deployments, runs, samplers, server, sessions
from loops_nb.client.retry import RetryPolicy
from loops_nb.errors import NotFoundError, PermissionDeniedError
from loops_nb.experiments import Metrics
from loops_nb.handling import AsyncCheckpointsHandling, AsyncRunsHandling
from loops_nb.loops import DEFAULT_SECONDS, Connection, as_frame, exchange_for, frames_module, marked
from loops_nb.sampling import AsyncSamplersSampling
from loops_nb.watching import CheckpointsWatch, DeploymentsWatch, RunsWatch, SamplersWatch

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.models import Deployment, Run, Sampler


class AsyncSessions(awaited.Sessions):
    """`Sessions` with a frame."""

    async def frame(self, session_id: str) -> pd.DataFrame:
        """Fetch a session as a frame of one row; columns as in `loops_nb.frames`."""
        return await self._transport.send(as_frame(sessions.get(session_id), "sessions_frame"))


class AsyncRuns(awaited.Runs, RunsWatch, AsyncRunsHandling):
    """`Runs` with a frame and a live panel."""

    async def frame(
        self, *, run_id: str | None = None, base_model: str | None = None, scope: str | None = None, team_id: str | None = None
    ) -> pd.DataFrame:
        """List runs as a frame with the states of all their halves; arguments as in `list`.

        Two requests: the listing of runs, and that of deployments, whose state a run does not carry
        (``GET /v1/loops/runs``, ``GET /v1/loops/deployments``).  Who may not list deployments gets the column empty.
        """
        body = await self._transport.send(runs.list_(run_id=run_id, base_model=base_model, scope=scope, team_id=team_id).decoded_by(bytes))
        try:
            capacity: bytes | None = await self._transport.send(deployments.list_(scope=scope).decoded_by(bytes))
        except (PermissionDeniedError, NotFoundError):
            capacity = None
        with readable():
            frame: pd.DataFrame = frames_module().runs_frame(body, deployments=capacity)
        return frame

    async def wait(self, run_id: str, until: str = "RUNNING", *, timeout: float | None = None, quiet: bool = False) -> Run:  # noqa: ASYNC109 - as the sync twin
        """Wait until a run is in a state, and return it; parameters and errors as ``wait`` of `Loops` has them."""
        from loops_nb.live import waiting  # noqa: PLC0415 - a script that waits for nothing needs no poller

        return await waiting.wait_async(self._transport.exchange, waiting.RunAim(run_id, until), timeout=timeout, quiet=quiet)


class AsyncSamplers(awaited.Samplers, SamplersWatch, AsyncSamplersSampling):
    """`Samplers` with a frame, a live panel, and completions."""

    async def frame(self, *, scope: str | None = None, team_id: str | None = None) -> pd.DataFrame:
        """List samplers as a frame; arguments as in `list`, columns as in `loops_nb.frames`."""
        return await self._transport.send(as_frame(samplers.list_(scope=scope, team_id=team_id), "samplers_frame"))

    async def wait(self, sampler_id: str, until: str = "ACTIVE", *, timeout: float | None = None, quiet: bool = False) -> Sampler:  # noqa: ASYNC109 - as the sync twin
        """Wait until a sampler is in a state, and return it; parameters and errors as ``wait`` of `Loops` has them."""
        from loops_nb.live import waiting  # noqa: PLC0415 - a script that waits for nothing needs no poller

        return await waiting.wait_async(self._transport.exchange, waiting.SamplerAim(sampler_id, until), timeout=timeout, quiet=quiet)


class AsyncCheckpoints(awaited.Checkpoints, CheckpointsWatch, AsyncCheckpointsHandling):
    """`Checkpoints` with frames and a live panel."""

    async def frame(self, *, run_id: str | None = None, base_model: str | None = None, checkpoint_path: str | None = None) -> pd.DataFrame:
        """List checkpoints as a frame; arguments as in `list`, columns as in `loops_nb.frames`."""
        call = checkpoints.list_(run_id=run_id, base_model=base_model, checkpoint_path=checkpoint_path)
        return marked(await self._transport.send(as_frame(call, "checkpoints_frame")), self._transport.exchange)

    async def files_frame(self, checkpoint_id: str, *, page_size: int = 1000, urls: bool = False) -> pd.DataFrame:
        """List a checkpoint's files as a frame, all pages.

        Parameters
        ----------
        checkpoint_id, page_size
            As in `files`.
        urls
            Add the presigned URLs.  They are secrets: such a frame must not be shown or saved.
        """
        pages = [page.body async for page in self._pages(checkpoints.files(checkpoint_id, page_size=page_size))]
        with readable():
            frame: pd.DataFrame = frames_module().files_frame(pages, urls=urls)
        return frame


class AsyncDeployments(awaited.Deployments, DeploymentsWatch):
    """`Deployments` with frames and a live panel."""

    async def frame(self, *, scope: str | None = None) -> pd.DataFrame:
        """List deployments as a frame; arguments as in `list`, columns as in `loops_nb.frames`."""
        return await self._transport.send(as_frame(deployments.list_(scope=scope), "deployments_frame"))

    async def logs_frame(
        self,
        deployment_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        direction: str | None = None,
        limit: int | None = 500,
        min_level: str | None = None,
    ) -> pd.DataFrame:
        """Fetch log lines as a frame; arguments as in `logs`, columns as in `loops_nb.frames`."""
        call = deployments.logs(deployment_id, start=start, end=end, direction=direction, limit=limit, min_level=min_level)
        return await self._transport.send(as_frame(call, "logs_frame"))

    async def wait(self, deployment_id: str, until: str = "RUNNING", *, timeout: float | None = None, quiet: bool = False) -> Deployment:  # noqa: ASYNC109 - as the sync twin
        """Wait until a deployment is in a state, and return it; parameters and errors as ``wait`` of `Loops` has them."""
        from loops_nb.live import waiting  # noqa: PLC0415 - a script that waits for nothing needs no poller

        return await waiting.wait_async(self._transport.exchange, waiting.DeploymentAim(deployment_id, until), timeout=timeout, quiet=quiet)


class AsyncCapabilities(awaited.Capabilities):
    """`Capabilities` with a frame."""

    async def frame(self, *, model: str | None = None, use_case: str = "rl", max_seq_len: int | None = None) -> pd.DataFrame:
        """List base models as a frame; arguments as in `list`, columns as in `loops_nb.frames`."""
        call = server.capabilities(model=model, use_case=use_case, max_seq_len=max_seq_len)
        return await self._transport.send(as_frame(call, "capabilities_frame"))


class AsyncLoops(Connection):
    """The same as `Loops`, with awaitable methods and async iterators.

    Parameters
    ----------
    api_key, base_url, auth_scheme, timeout, retry
        As in `Loops`.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        auth_scheme: str = "Bearer",
        timeout: float = DEFAULT_SECONDS,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._exchange = exchange_for(api_key, base_url, auth_scheme, timeout, retry)
        transport = self._transport = AsyncTransport(self._exchange)
        self.sessions = AsyncSessions(transport)
        self.runs = AsyncRuns(transport)
        self.trainers = awaited.Trainers(transport)
        self.samplers = AsyncSamplers(transport)
        self.checkpoints = AsyncCheckpoints(transport)
        self.deployments = AsyncDeployments(transport)
        self.capabilities = AsyncCapabilities(transport)
        self.user_config = awaited.UserConfigs(transport)
        self.teams = awaited.Teams(transport)
        self.model_deployments = awaited.ModelDeployments(transport)
        self.legacy = awaited.Legacy(transport)
        # On this machine, without a network: nothing to wait for.
        self.metrics = Metrics()

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()
