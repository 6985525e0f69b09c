"""The public client: `Loops` and its resources."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from loops_nb.api.models import Run
from loops_nb.client.config import DEFAULT_SECONDS, ClientConfig
from loops_nb.client.retry import RetryPolicy
from loops_nb.client.transport import Transport
from loops_nb.console import say
from loops_nb.resources.base_client import BaseClient
from loops_nb.resources.billing import Billing
from loops_nb.resources.blocking import run_evaluation
from loops_nb.resources.capabilities import Capabilities
from loops_nb.resources.checkpoints import Checkpoints
from loops_nb.resources.deployments import Deployments
from loops_nb.resources.instance_types import InstanceTypes
from loops_nb.resources.legacy import Legacy
from loops_nb.resources.logs import Logs
from loops_nb.resources.model_deployments import ModelDeployments
from loops_nb.resources.models import Models
from loops_nb.resources.runs import Runs
from loops_nb.resources.samplers import Samplers
from loops_nb.resources.secrets import Secrets
from loops_nb.resources.sessions import Sessions
from loops_nb.resources.system import System
from loops_nb.resources.teams import Teams
from loops_nb.resources.trainers import Trainers
from loops_nb.resources.user_config import UserConfigs
from loops_nb.sampling.request import MAX_TOKENS, TIMEOUT_SECONDS

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import pandas as pd

    from loops_nb.panels import DashboardPanel
    from loops_nb.resources.metrics import RecordedMetrics


class Loops(BaseClient):
    """A client of Loops: the hosted service, or the embedded local one.

    Parameters
    ----------
    api_key : str, optional
        The API key; default is ``BASETEN_API_KEY``, then the one stored by ``%loops login``.  A service on this machine
        needs none: a stored key is not even read for it, and a local service of this user gets its own token, whatever
        is given.
    base_url : str, optional
        Root of the API; default is ``LOOPS_BASE_URL``, then the hosted service.
    auth_scheme : {"Bearer", "Api-Key"}, default "Bearer"
        How the key is sent.
    timeout : float, default 60.0
        Seconds without a byte of the answer; creates get at least 300.  An answer slower than 16 KiB/s for this long is
        given up too, and any answer after ten times as long.
    retry : RetryPolicy, optional
        When reads are retried; default depends on whether the service is on this machine.

    Attributes
    ----------
    sessions, runs, trainers, samplers, checkpoints, deployments, logs, capabilities, user_config, teams, billing, \
system, models, model_deployments, instance_types, secrets, legacy
        The resources of the API.
    metrics : RecordedMetrics
        What was recorded of runs on this machine; no request is made.

    Raises
    ------
    CredentialsError
        If there is no key, or it would have to cross a network in the clear.
    InvalidArgumentError
        If an argument is out of bounds.

    Examples
    --------
    >>> with Loops(base_url="http://127.0.0.1:8787") as loops:
    ...     df = loops.runs.frame(base_model="Qwen/Qwen3-8B")
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
        super().__init__(ClientConfig.resolve(api_key, base_url, auth_scheme=auth_scheme, timeout=timeout, retry=retry))
        transport = self._transport = Transport(self.config)
        self.sessions: Sessions = Sessions(transport)
        self.runs: Runs = Runs(transport)
        self.trainers: Trainers = Trainers(transport)
        self.samplers: Samplers = Samplers(transport)
        self.checkpoints: Checkpoints = Checkpoints(transport)
        self.deployments: Deployments = Deployments(transport)
        self.logs: Logs = Logs(transport)
        self.capabilities: Capabilities = Capabilities(transport)
        self.user_config: UserConfigs = UserConfigs(transport)
        self.teams: Teams = Teams(transport)
        self.system: System = System(transport)
        self.billing: Billing = Billing(transport)
        self.models: Models = Models(transport)
        self.model_deployments: ModelDeployments = ModelDeployments(transport)
        self.instance_types: InstanceTypes = InstanceTypes(transport)
        self.secrets: Secrets = Secrets(transport)
        self.legacy: Legacy = Legacy(transport)

    @cached_property
    def metrics(self) -> RecordedMetrics:
        """What is recorded on this machine: without a network, so the same in both flavours."""
        from loops_nb.resources.metrics import RecordedMetrics  # sqlite, which a listing must not wait for

        return RecordedMetrics()

    def evaluate(
        self,
        prompts: str | os.PathLike[str] | Iterable[Any],
        runs: str | Run | Sequence[str | Run],
        *,
        score: Callable[..., Any],
        checkpoints: str | Sequence[str] = "all",
        name: str | None = None,
        n: int = 1,
        max_tokens: int = MAX_TOKENS,
        temperature: float = 0.0,
        top_p: float = 1.0,
        top_k: int | None = None,
        seed: int | None = None,
        stop: str | Sequence[str] | Sequence[int] | None = None,
        parallel: int = 4,
        tokenizer: Any = None,
        timeout: float = TIMEOUT_SECONDS,
        executor: Executor | None = None,
        quiet: bool = False,
    ) -> pd.DataFrame:
        """Score a set of prompts over the checkpoints of runs; samples and mean scores become an experiment a run.

        What was scored before, by this call or by one that was interrupted, is not asked again as long as the prompts,
        the name of the function and the sampling parameters are the same.

        Parameters
        ----------
        prompts : str, path-like or iterable
            A file of JSON lines, each an object with ``prompt`` and further fields, or a text; or a list of the same.
        runs : str, Run or sequence of these
            Ids or names of runs with a sampler.
        score : callable
            Function of the user; returns a number, or None for a completion that has no score.  It is called with those
            of ``prompt``, ``completion`` and the fields of the prompt's line that it has parameters for; one or two
            parameters of other names get the completion, or the prompt and the completion.
        checkpoints : str or sequence of str, default "all"
            Names of sampler checkpoints; by default all that a run has saved.  ``base`` is the run's base model, at
            step 0: ``["base", "all"]``.
        name : str, optional
            Name of the experiment; by default ``eval-``, the name of the file and that of the run.
        n : int, default 1
            Number of completions of each prompt.
        max_tokens, temperature, top_p, top_k, seed, stop
            As in ``loops.samplers.sample``; the temperature is 0 by default.
        parallel : int, default 4
            Most requests at a time; at most 64.
        tokenizer : object, optional
            Your own tokenizer: any object with ``encode(text)`` and ``decode(ids)``.
        timeout : float, default 600.0
            Seconds for each request.
        executor : concurrent.futures.Executor, optional
            Has its workers call ``score``: of processes, Dask (``client.get_executor()``), ipyparallel
            (``client.executor()``), ...  It is not shut down.  Requests are made here; workers get prompts, completions
            and fields, no key, and return numbers.
        quiet : bool, default False
            Write no line for each checkpoint.

        Returns
        -------
        pandas.DataFrame
            One row a checkpoint; columns as in `loops_nb.sampling.evaluation.frames.scores_frame`.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used, or ``score`` has a parameter that is no field of every prompt; nothing was
            asked.
        NotFoundError
            If there is no such run or checkpoint.
        ExecutorError
            If the executor cannot do the work.
        LoopsError
            If a request or the function fails; what was scored is kept.

        Examples
        --------
        >>> def score(completion, answer):
        ...     return float(completion.strip() == answer)
        >>> df = loops.evaluate("math.jsonl", "k4q95w5", score=score)
        >>> df = loops.evaluate("code.jsonl", "k4q95w5", score=run_tests, executor=ProcessPoolExecutor(8))
        """
        from loops_nb.sampling.evaluation.evaluation import Evaluation  # pandas

        evaluation = Evaluation(
            prompts,
            runs,
            score=score,
            checkpoints=checkpoints,
            name=name,
            n=n,
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=top_p,
            top_k=top_k,
            seed=seed,
            stop=stop,
            parallel=parallel,
            tokenizer=tokenizer,
            timeout=timeout,
            executor=executor,
            report=None if quiet else say,
        )
        return run_evaluation(self._transport, evaluation)

    def dashboard(
        self,
        *run_ids: str,
        base_model: str | None = None,
        scope: str | None = None,
        team_id: str | None = None,
        notify: bool = False,
        interval: float | None = None,
        time_zone: str = "local",
    ) -> DashboardPanel:
        """Show runs, deployments, samplers, live curves and checkpoints in one panel that updates live.

        Runs that are selected in it narrow its curves and checkpoints.  It asks the service for no more than
        ``loops.runs.watch()`` does; curves are those recorded on this machine.

        Parameters
        ----------
        *run_ids : str
            Ids of the runs that are selected at first; default is none, which shows all.
        base_model : str, optional
            Only runs of this base model, and what belongs to them.
        scope, team_id : str, optional
            As in ``loops.runs.list``.
        notify : bool, default False
            Raise a browser notification when something ends, where the browser allows it.
        interval : float, optional
            Seconds between two polls while something changes; default is unchanged.
        time_zone : str, default "local"
            Zone of the times in the static report.

        Returns
        -------
        DashboardPanel
            A widget: ``frame`` has the runs, ``checkpoints_frame`` the checkpoints and ``curves`` the panel of the
            curves; ``select`` selects runs.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used.

        Examples
        --------
        >>> panel = loops.dashboard()
        >>> panel.select("k4q95w5")
        """
        from loops_nb.panels import DashboardPanel  # widgets take 40 ms to import

        return DashboardPanel(
            self._transport,
            run_ids,
            base_model=base_model,
            scope=scope,
            team_id=team_id,
            notify=notify,
            interval=interval,
            time_zone=time_zone,
        )

    def close(self) -> None:
        """Close the connections; a later request opens new ones.

        Examples
        --------
        >>> loops.close()
        """
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
