"""What a person holds: `Loops`, the client together with its DataFrames."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import ModuleType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from loops_nb.client import resources as sync
from loops_nb.client.address import Address, resolve_address
from loops_nb.client.answers import readable
from loops_nb.client.call import Call
from loops_nb.client.checks import seconds
from loops_nb.client.exchange import Exchange, checked_scheme
from loops_nb.client.operations import checkpoints, deployments, runs, samplers, server, sessions
from loops_nb.client.retry import NEAR, RetryPolicy
from loops_nb.client.transport import Transport
from loops_nb.connections import CONNECTION_ATTR, mark_of
from loops_nb.credentials import ENV_KEY, PLACEHOLDER, FoundKey, LoopbackKey, resolve_key
from loops_nb.errors import CredentialsError, NotFoundError, PermissionDeniedError
from loops_nb.experiments import Metrics
from loops_nb.handling import CheckpointsHandling, RunsHandling
from loops_nb.sampling import SamplersSampling
from loops_nb.tokens import by_address, own_service
from loops_nb.watching import CheckpointsWatch, DeploymentsWatch, RunsWatch, SamplersWatch

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.models import Deployment, Run, Sampler

DEFAULT_SECONDS = 60.0


def frames_module() -> ModuleType:
    """Return `loops_nb.frames`, imported now."""
    # pandas takes 0.2 s to import; who lists no frames shall not wait for it.
    from loops_nb import accessor, frames  # noqa: F401, PLC0415 - the accessor registers itself

    return frames


def as_frame(call: Call[Any], name: str) -> Call[pd.DataFrame]:
    """Return the same request, its answer read as a frame."""

    def decode(body: bytes) -> pd.DataFrame:
        build: Callable[[bytes], pd.DataFrame] = getattr(frames_module(), name)
        return build(body)

    return call.decoded_by(decode)


def marked(frame: pd.DataFrame, exchange: Exchange) -> pd.DataFrame:
    """Return a frame that knows where it came from, for what ``df.loops`` does over the network."""
    frame.attrs[CONNECTION_ATTR] = mark_of(exchange)
    return frame


class Sessions(sync.Sessions):
    """`Sessions` with a frame."""

    def frame(self, session_id: str) -> pd.DataFrame:
        """Fetch a session as a frame of one row; columns as in `loops_nb.frames`."""
        return self._transport.send(as_frame(sessions.get(session_id), "sessions_frame"))


class Runs(sync.Runs, RunsWatch, RunsHandling):
    """`Runs` with a frame and a live panel."""

    def frame(
        self, *, run_id: str | None = None, base_model: str | None = None, scope: str | None = None, team_id: str | None = None
    ) -> pd.DataFrame:
        """List runs as a frame with the states of all their halves; arguments as in `list`.

        Two requests: the listing of runs, and that of deployments, whose state a run does not carry
        (``GET /v1/loops/runs``, ``GET /v1/loops/deployments``).  Who may not list deployments gets the column empty.
        """
        body = self._transport.send(runs.list_(run_id=run_id, base_model=base_model, scope=scope, team_id=team_id).decoded_by(bytes))
        try:
            capacity: bytes | None = self._transport.send(deployments.list_(scope=scope).decoded_by(bytes))
        except (PermissionDeniedError, NotFoundError):
            capacity = None
        with readable():
            frame: pd.DataFrame = frames_module().runs_frame(body, deployments=capacity)
        return frame

    def wait(self, run_id: str, until: str = "RUNNING", *, timeout: float | None = None, quiet: bool = False) -> Run:
        """Wait until a run is in a state, and return it.

        It looks as the panels do (``GET /v1/loops/runs``, ``GET /v1/loops/deployments``), together with all that watch the same
        connection, and rewrites one line of output that says how it stands.  While the service is away it says so there, and waits on.

        Parameters
        ----------
        run_id
            The run.
        until
            A state of the run (``ACTIVE``, ``INACTIVE``) or of its trainer, which is that of the deployment it is on: ``CREATED``,
            ``DEPLOYING``, ``RUNNING``, ``SCALED_TO_ZERO``, ``PREEMPTED``, ``FAILED``, ``STOPPED``.  Of the first three a later one counts
            too.  On serverless capacity there is no deployment: there a run counts as ``RUNNING`` while it is active, and as ``STOPPED``
            when it has ended.
        timeout
            Seconds to wait at most; None for as long as it takes.
        quiet
            Write nothing.

        Raises
        ------
        NeverReachedError
            As soon as it is clear that the run will not get there; with the checkpoint from which training can go on, if there is one.
        WaitTimeoutError
            If it took longer than ``timeout``.
        NotFoundError
            If there is no such run.
        InvalidArgumentError
            If an argument cannot be used.
        """
        from loops_nb.live import waiting  # noqa: PLC0415 - a script that waits for nothing needs no poller

        return waiting.wait(self._transport.exchange, waiting.RunAim(run_id, until), timeout=timeout, quiet=quiet)


class Samplers(sync.Samplers, SamplersWatch, SamplersSampling):
    """`Samplers` with a frame, a live panel, and completions."""

    def frame(self, *, scope: str | None = None, team_id: str | None = None) -> pd.DataFrame:
        """List samplers as a frame; arguments as in `list`, columns as in `loops_nb.frames`."""
        return self._transport.send(as_frame(samplers.list_(scope=scope, team_id=team_id), "samplers_frame"))

    def wait(self, sampler_id: str, until: str = "ACTIVE", *, timeout: float | None = None, quiet: bool = False) -> Sampler:
        """Wait until a sampler is in a state, and return it (``GET /v1/loops/samplers``).

        Parameters
        ----------
        sampler_id
            The sampler, paired or standalone.
        until
            A state of samplers.  Of ``BUILDING``, ``DEPLOYING``, ``LOADING_MODEL`` and ``ACTIVE`` a later one counts too.
        timeout, quiet
            As in ``loops.runs.wait``.

        Raises
        ------
        NeverReachedError
            As soon as it is clear that the sampler will not get there by itself.
        WaitTimeoutError, NotFoundError, InvalidArgumentError
            As in ``loops.runs.wait``.
        """
        from loops_nb.live import waiting  # noqa: PLC0415 - a script that waits for nothing needs no poller

        return waiting.wait(self._transport.exchange, waiting.SamplerAim(sampler_id, until), timeout=timeout, quiet=quiet)


class Checkpoints(sync.Checkpoints, CheckpointsWatch, CheckpointsHandling):
    """`Checkpoints` with frames and a live panel."""

    def frame(self, *, run_id: str | None = None, base_model: str | None = None, checkpoint_path: str | None = None) -> pd.DataFrame:
        """List checkpoints as a frame; arguments as in `list`, columns as in `loops_nb.frames`."""
        call = checkpoints.list_(run_id=run_id, base_model=base_model, checkpoint_path=checkpoint_path)
        return marked(self._transport.send(as_frame(call, "checkpoints_frame")), self._transport.exchange)

    def files_frame(self, checkpoint_id: str, *, page_size: int = 1000, urls: bool = False) -> pd.DataFrame:
        """List a checkpoint's files as a frame, all pages.

        Parameters
        ----------
        checkpoint_id, page_size
            As in `files`.
        urls
            Add the presigned URLs.  They are secrets: such a frame must not be shown or saved.
        """
        pages = [page.body for page in self._pages(checkpoints.files(checkpoint_id, page_size=page_size))]
        with readable():
            frame: pd.DataFrame = frames_module().files_frame(pages, urls=urls)
        return frame


class Deployments(sync.Deployments, DeploymentsWatch):
    """`Deployments` with frames and a live panel."""

    def frame(self, *, scope: str | None = None) -> pd.DataFrame:
        """List deployments as a frame; arguments as in `list`, columns as in `loops_nb.frames`."""
        return self._transport.send(as_frame(deployments.list_(scope=scope), "deployments_frame"))

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
        """Fetch log lines as a frame; arguments as in `logs`, columns as in `loops_nb.frames`."""
        call = deployments.logs(deployment_id, start=start, end=end, direction=direction, limit=limit, min_level=min_level)
        return self._transport.send(as_frame(call, "logs_frame"))

    def wait(self, deployment_id: str, until: str = "RUNNING", *, timeout: float | None = None, quiet: bool = False) -> Deployment:
        """Wait until a deployment is in a state, and return it (``GET /v1/loops/deployments``).

        Parameters
        ----------
        deployment_id
            The deployment.
        until
            A state of deployments.  Of ``CREATED``, ``DEPLOYING`` and ``RUNNING`` a later one counts too.
        timeout, quiet
            As in ``loops.runs.wait``.

        Raises
        ------
        NeverReachedError
            As soon as it is clear that the deployment will not get there.
        WaitTimeoutError, NotFoundError, InvalidArgumentError
            As in ``loops.runs.wait``.
        """
        from loops_nb.live import waiting  # noqa: PLC0415 - a script that waits for nothing needs no poller

        return waiting.wait(self._transport.exchange, waiting.DeploymentAim(deployment_id, until), timeout=timeout, quiet=quiet)


class Capabilities(sync.Capabilities):
    """`Capabilities` with a frame."""

    def frame(self, *, model: str | None = None, use_case: str = "rl", max_seq_len: int | None = None) -> pd.DataFrame:
        """List base models as a frame; arguments as in `list`, columns as in `loops_nb.frames`."""
        call = server.capabilities(model=model, use_case=use_case, max_seq_len=max_seq_len)
        return self._transport.send(as_frame(call, "capabilities_frame"))


class Connection:
    """What both flavours know of where they are connected."""

    _exchange: Exchange

    @property
    def exchange(self) -> Exchange:
        """Address, key and policy; what is made of the same one shares one poller."""
        return self._exchange

    @property
    def base_url(self) -> str:
        """Root of the API."""
        return self._exchange.address.url

    @property
    def is_local(self) -> bool:
        """Whether the service is on this machine."""
        return self._exchange.address.is_loopback

    @property
    def key_source(self) -> str:
        """Where the key came from: ``argument``, ``BASETEN_API_KEY``, ``keyring``, ``file``, ``local token`` or ``local placeholder``."""
        return self._exchange.key.source

    def reveal_key(self) -> str:
        """Return the key or token in the clear, for another client of the same service.

        Examples
        --------
        >>> service = ServiceClient(base_url=loops.base_url, api_key=loops.reveal_key())  # doctest: +SKIP
        """
        return self._exchange.key.secret.reveal()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.base_url}, key from {self.key_source}>"


class Loops(Connection):
    """A connection to Loops: the hosted service, or the embedded local one.

    Parameters
    ----------
    api_key
        The key; without it ``BASETEN_API_KEY``, then the one that ``%loops login`` stored.  A service on this machine needs none:
        a stored key is not even read for it, and a local service of this user gets its own token, whatever is given.
    base_url
        Root of the API; without it ``LOOPS_BASE_URL``, then the hosted service.
    auth_scheme
        ``"Bearer"`` or ``"Api-Key"``: how the key is sent.
    timeout
        Seconds that an answer may be silent; creates get at least 300.  An answer that has begun and comes more slowly than 16 KiB/s
        for as long is given up too, and any answer after ten times as long.
    retry
        When reads are tried again.

    Attributes
    ----------
    sessions, runs, trainers, samplers, checkpoints, deployments, capabilities, user_config, teams, model_deployments, legacy
        The resources of the API.
    metrics
        What was recorded of runs on this machine: `loops_nb.experiments.Metrics`.

    Raises
    ------
    CredentialsError
        If there is no key, or it would have to cross a network in the clear.
    InvalidArgumentError
        If an argument is out of bounds.

    Examples
    --------
    >>> with Loops(base_url="http://127.0.0.1:8787") as loops:  # doctest: +SKIP
    ...     loops.runs.frame(base_model="Qwen/Qwen3-8B")
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
        transport = self._transport = Transport(self._exchange)
        self.sessions = Sessions(transport)
        self.runs = Runs(transport)
        self.trainers = sync.Trainers(transport)
        self.samplers = Samplers(transport)
        self.checkpoints = Checkpoints(transport)
        self.deployments = Deployments(transport)
        self.capabilities = Capabilities(transport)
        self.user_config = sync.UserConfigs(transport)
        self.teams = sync.Teams(transport)
        self.model_deployments = sync.ModelDeployments(transport)
        self.legacy = sync.Legacy(transport)
        self.metrics = Metrics()

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def exchange_for(api_key: str | None, base_url: str | None, auth_scheme: str, timeout: float, retry: RetryPolicy | None) -> Exchange:
    """Return where to connect and how, from the arguments of `Loops`; the same for both flavours."""
    address = resolve_address(base_url)
    address = address._replace(url=by_address(address.url))
    policy = retry or (NEAR if address.is_loopback else RetryPolicy())
    return Exchange(address, _key(api_key, address), checked_scheme(auth_scheme), seconds("timeout", timeout), policy)


def _key(argument: str | None, address: Address) -> FoundKey:
    found = resolve_key(argument, stored=not address.is_loopback)
    if address.is_loopback:
        return _loopback_key(found, address.url)
    if found is not None:
        return found
    raise CredentialsError(
        f"No API key for {address.url}: none was given, {ENV_KEY} is not set and none is stored.",
        hint="Type %loops login to store one, or %loops local start to work without a key;"
        " then loops = %loops connect is the notebook's own connection.",
    )


def _loopback_key(found: FoundKey | None, url: str) -> FoundKey:
    service = own_service(url)
    given = found is not None and found.source == "argument"
    text = PLACEHOLDER if found is None else found.secret.reveal()
    source = "local placeholder" if found is None or (service is not None and not given) else found.source
    return FoundKey(LoopbackKey(text, url, given=given), "local token" if service is not None and service.token() else source)
