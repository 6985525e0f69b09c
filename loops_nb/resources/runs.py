"""``loops.runs``: training runs."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias

from loops_nb.api.models import Deactivated, DeletedRun, Run
from loops_nb.api.serving import run_page
from loops_nb.client import checks
from loops_nb.client.diagnosis import Diagnosis, deployment_of, diagnose, stuck_half
from loops_nb.client.filters import alive_only, run_filter
from loops_nb.client.operations import deployments, runs
from loops_nb.client.waiting import HalfState, half_states
from loops_nb.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError
from loops_nb.resources.base import Resource
from loops_nb.resources.blocking import run_blocking
from loops_nb.resources.frames import alive_rows, frame_of, runs_rows, with_origin

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    import pandas as pd

    from loops_nb.checkpoints.deletion import DeletionPlan
    from loops_nb.checkpoints.service import RunSelection
    from loops_nb.frames import ListingRows
    from loops_nb.panels import CurvesPanel, FleetPanel, RunPanel

# Inside the class the name `list` is the method.
RunList: TypeAlias = list[Run]
HalfStates: TypeAlias = list[HalfState]


class Runs(Resource):
    """Training runs: list, create, find, wait, watch and end them."""

    def list(
        self,
        *,
        run_id: str | None = None,
        base_model: str | None = None,
        scope: str | None = None,
        team_id: str | None = None,
        alive: bool = False,
    ) -> list[Run]:
        """List runs (``GET /v1/loops/runs``).

        Parameters
        ----------
        run_id, base_model : str, optional
            Only this run; only runs of this base model.  Filters combine.
        scope : {"org"}, optional
            Runs of the whole organisation; default is the caller's own.
        team_id : str, optional
            Only this team's, given by id or name.
        alive : bool, default False
            Leave out what has ended: INACTIVE.

        Returns
        -------
        list of Run
            In the order of the service.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.

        Examples
        --------
        >>> active = [run for run in loops.runs.list() if run.status.name == "ACTIVE"]
        """
        listing = runs.list_(run_id=run_id, base_model=base_model, scope=scope, team_id=self._team_id(team_id))
        return alive_only(self._transport.send(listing), "runs", alive=alive)

    def frame(
        self,
        *,
        run_id: str | None = None,
        base_model: str | None = None,
        scope: str | None = None,
        team_id: str | None = None,
        alive: bool = False,
    ) -> pd.DataFrame:
        """List runs as a DataFrame (``GET /v1/loops/runs``, ``GET /v1/loops/deployments``).

        The second request is for the state of the trainer, which the listing of runs does not have.

        Parameters
        ----------
        run_id, base_model, scope, team_id, alive
            As in `list`.

        Returns
        -------
        pandas.DataFrame
            One row a run; columns of the kind ``runs`` in `loops_nb.frames`.  Without permission to list deployments
            their column is empty.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.

        Examples
        --------
        >>> df = loops.runs.frame(base_model="Qwen/Qwen3-8B")
        """
        return frame_of(self.listing(run_id=run_id, base_model=base_model, scope=scope, team_id=team_id, alive=alive))

    def listing(
        self,
        *,
        run_id: str | None = None,
        base_model: str | None = None,
        scope: str | None = None,
        team_id: str | None = None,
        alive: bool = False,
    ) -> ListingRows:
        """List the rows of `frame` (``GET /v1/loops/runs``, ``GET /v1/loops/deployments``), without pandas.

        Parameters
        ----------
        run_id, base_model, scope, team_id, alive
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
        >>> loops.runs.listing().values("id")
        """
        request = runs.list_(run_id=run_id, base_model=base_model, scope=scope, team_id=self._team_id(team_id))
        body = self._transport.send(request.with_decoder(bytes))
        capacity: bytes | None = None
        with suppress(PermissionDeniedError, NotFoundError):
            capacity = self._transport.send(deployments.list_(scope=scope).with_decoder(bytes))
        found = with_origin(runs_rows(body, capacity), self._transport.config)
        return alive_rows(found) if alive else found

    def get(self, run_id: str) -> Run:
        """Fetch a run (``GET /v1/loops/runs/{run_id}``).

        Parameters
        ----------
        run_id : str
            Id of the run.

        Returns
        -------
        Run
            The run, with its ``base_url`` and sampler.

        Raises
        ------
        NotFoundError
            If there is no such run.

        Examples
        --------
        >>> loops.runs.get("k4q95w5").status.name
        'ACTIVE'
        """
        return self._transport.send(runs.get(run_id))

    def create(
        self,
        *,
        session_id: str,
        base_model: str,
        name: str | None = None,
        max_seq_len: int | None = None,
        lora_rank: int | None = 64,
        seed: int | None = None,
        scale_down_delay_seconds: int | None = None,
        path: str | None = None,
        scope: str | None = None,
        availability_model: str | None = None,
        replicas: int | None = None,
        reuse_from_run_id: str | None = None,
        reuse_from_session_id: str | None = None,
        sampler_num_replicas: int | None = None,
        team_id: str | None = None,
    ) -> Run:
        """Create a run and its sampler (``POST /v1/loops/runs``).

        Parameters
        ----------
        session_id : str
            Session of the run.
        base_model : str
            Hugging Face id, for example ``Qwen/Qwen3-8B``.
        name : str, optional
            Display name, 1 to 255 characters; default is the base model.
        max_seq_len : int, optional
            Length of the longest training example in tokens; default is the model's maximum.
        lora_rank : int or None, default 64
            Rank of the adapter, at least 1; None for the service's default.
        seed : int, optional
            Random seed.
        scale_down_delay_seconds : int, optional
            Idle seconds, 1 to 3600, before it scales to zero; default is the service's.
        path : str, optional
            ``bt://loops:<run_id>/weights/<name>``: resume from this trainer checkpoint.
        scope : {"serverless", "deployment", "default"}, optional
            Shared capacity billed by tokens, which has no deployment, or a deployment of its own billed by GPU time;
            default is ``BASETEN_LOOPS_SCOPE``, or else the service's choice.  With ``serverless`` the creation fails
            where the model, the rank or the length is not offered there.
        availability_model : {"dedicated", "spot"}, optional
            Kind of capacity of a deployment; default is ``LOOPS_AVAILABILITY_MODEL``, or else dedicated.
        replicas : int, optional
            Copies of the model's node group, at least 1.
        reuse_from_run_id, reuse_from_session_id : str, optional
            Reuse the deployment of that run or session, if possible; default is ``LOOPS_REUSE_FROM_RUN_ID``, then
            ``LOOPS_REUSE_FROM_SESSION_ID``.
        sampler_num_replicas : int, optional
            Copies of the sampler, at least 1.
        team_id : str, optional
            Create it in this team, given by id or name; default is ``LOOPS_TEAM``, or else your default team.

        Returns
        -------
        Run
            The run, with its ``id`` and sampler.

        Raises
        ------
        InvalidArgumentError
            If an argument is out of bounds; nothing was sent.
        OutcomeUnknownError
            If the answer was lost; the request is not sent twice, and the hint says how to find out.

        Examples
        --------
        >>> session = loops.sessions.create()
        >>> run = loops.runs.create(session_id=session.id, base_model="Qwen/Qwen3-8B", name="support-tone")
        """
        return self._transport.send(
            runs.create(
                session_id=session_id,
                base_model=base_model,
                name=name,
                max_seq_len=max_seq_len,
                lora_rank=lora_rank,
                seed=seed,
                scale_down_delay_seconds=scale_down_delay_seconds,
                path=path,
                scope=scope,
                availability_model=availability_model,
                replicas=replicas,
                reuse_from_run_id=reuse_from_run_id,
                reuse_from_session_id=reuse_from_session_id,
                sampler_num_replicas=sampler_num_replicas,
                team_id=self._team_id(team_id, creates=True),
            )
        )

    def page(self, run_id: str) -> str | None:
        """Return the address of a run's page in the dashboard of the hosted service; no request is made.

        Parameters
        ----------
        run_id : str
            Id of the run.

        Returns
        -------
        str or None
            None for a service that is not the hosted one.

        Examples
        --------
        >>> loops.runs.page("k4q95w5")
        'https://app.baseten.co/training/loop/k4q95w5'
        """
        return run_page(checks.identifier("run_id", run_id), self._transport.config.address.url)

    def deactivate(self, run_id: str) -> Deactivated:
        """End a run, its trainer and its sampler (``POST /v1/loops/runs/{run_id}/deactivate``); checkpoints stay.

        Parameters
        ----------
        run_id : str
            Id of the run.

        Returns
        -------
        Deactivated
            Receipt with the ``id``.

        Raises
        ------
        NotFoundError
            If there is no such run.
        OutcomeUnknownError
            If the answer was lost; the request is not sent twice.

        Examples
        --------
        >>> loops.runs.deactivate("k4q95w5")
        """
        return self._transport.send(runs.deactivate(run_id))

    def delete(self, run_id: str) -> DeletedRun:
        """Delete a run and its checkpoints for good (``DELETE /v1/loops/runs/{run_id}``).

        An active run is deactivated first.  Checkpoints that something uses, for example deployed ones, are kept and
        stay usable while they are in use.  What was recorded of the run on this machine stays, tagged ``run-deleted``.

        Parameters
        ----------
        run_id : str
            Id of the run; a name is not accepted.

        Returns
        -------
        DeletedRun
            Receipt with the ``id`` and ``kept_checkpoints``; those are None where the answer was lost and a second
            request found the run gone.

        Raises
        ------
        NotFoundError
            If there is no such run.
        OutcomeUnknownError
            If every answer was lost.

        Examples
        --------
        >>> loops.runs.delete("k4q95w5").kept_checkpoints
        []
        """
        from loops_nb.tracking.deleted_runs import mark_deleted_runs  # sqlite, which a listing must not wait for

        deleted = self._transport.send(runs.delete(run_id))
        mark_deleted_runs([deleted.id, run_id])
        return deleted

    def plan_deletion(self, selection: RunSelection) -> DeletionPlan:
        """Return what a deletion of runs would delete; nothing is deleted.

        Parameters
        ----------
        selection : str, Run, iterable of them, or pandas.DataFrame
            Ids of runs, names that only one run has, objects of `list`, or a DataFrame of runs.

        Returns
        -------
        DeletionPlan
            The runs, their checkpoints and size in bytes, and what uses them as far as listings tell.

        Raises
        ------
        InvalidArgumentError
            If nothing is named, or a name is that of several runs.
        NotFoundError
            If there is no such run.

        Examples
        --------
        >>> loops.runs.plan_deletion(["k4q95w5", "m7b2x1c"])
        """
        return run_blocking(self._transport, lambda service: service.plan_run_deletion(selection))

    def delete_many(self, selection: RunSelection | DeletionPlan, *, workers: int = 8) -> pd.DataFrame:
        """Delete several runs and their checkpoints for good, in parallel.

        Parameters
        ----------
        selection : str, Run, iterable of them, pandas.DataFrame, or DeletionPlan
            As in `plan_deletion`, or its plan.
        workers : int, default 8
            Simultaneous requests, 1 to 32.

        Returns
        -------
        pandas.DataFrame
            One row a run, followed by its checkpoints: kind, id, run_id, name, target, size_bytes, result
            (``deleted``, ``kept``, ``failed``), reason.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            As in `plan_deletion`; nothing was deleted.

        Examples
        --------
        >>> loops.runs.delete_many(loops.runs.frame().query("status == 'INACTIVE'"))
        """
        return run_blocking(self._transport, lambda service: service.delete_runs(selection, workers=workers))

    def find(
        self,
        *,
        session_id: str | None = None,
        base_model: str | None = None,
        name: str | None = None,
        status: str | None = None,
        newer_than: timedelta | datetime | None = None,
        older_than: timedelta | datetime | None = None,
        scope: str | None = None,
    ) -> RunList:
        """Search runs by what is known of them, for example after a script has died.

        One listing (``GET /v1/loops/runs``), and one of deployments when ``status`` is a state of theirs; filtered
        here.

        Parameters
        ----------
        session_id : str, optional
            Session of the run.
        base_model, name : str, optional
            A part of the text, case-insensitive; ``*`` and ``?`` are wildcards.
        status : str, optional
            State of the run (``ACTIVE``, ``INACTIVE``), of its trainer (``RUNNING``, ``FAILED``, ...) or its sampler.
        newer_than, older_than : datetime.timedelta or datetime.datetime, optional
            Created within, or before, this time: back from now, or a time with a time zone.
        scope : {"org"}, optional
            Search the whole organisation; default is the caller's own runs.

        Returns
        -------
        list of Run
            Newest first.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used; nothing was sent.

        Examples
        --------
        >>> loops.runs.find(name="support*", newer_than=timedelta(hours=2))
        """
        conditions = run_filter(
            session_id=session_id,
            base_model=base_model,
            name=name,
            status=status,
            newer_than=newer_than,
            older_than=older_than,
        )
        listed = self._transport.send(runs.list_(scope=scope))
        states: dict[str, str | None] = {}
        if conditions.needs_deployments:
            capacity = self._transport.send(deployments.list_(scope=scope))
            states = {one.id: one.status.name if one.status else None for one in capacity}
        return conditions.apply(listed, states)

    def diagnose(self, run: str | Run) -> Diagnosis | None:
        """Say why a run failed, was preempted or is stuck, from the last error lines of its trainer or sampler.

        Routes: ``GET /v1/loops/runs/{run_id}``, ``/v1/loops/deployments/{deployment_id}``, ``/v1/loops/checkpoints``
        and the logs of the half that failed.

        Parameters
        ----------
        run : str or Run
            Id of the run, or the run as it was listed.

        Returns
        -------
        Diagnosis or None
            Cause, lines, advice, and a line that resumes it from its last trainer checkpoint; None for a run that
            neither failed nor was preempted nor has been on its way up for more than 15 minutes.

        Raises
        ------
        NotFoundError
            If there is no such run.

        Examples
        --------
        >>> found = loops.runs.diagnose("k4q95w5")
        >>> found and found.cause
        'out_of_memory'
        """
        known = run if isinstance(run, Run) else self._transport.send(runs.get(run))
        deployment = self._transport.send_each(deployment_of(known))
        stuck = self._transport.send_each(stuck_half(known, deployment))
        return self._transport.send_each(diagnose(known, deployment, stuck=stuck))

    def waiting(self, run: str | Run) -> HalfStates:
        """Say what the trainer and the sampler of a run wait for, since when, and how long that usually takes.

        Routes: those of the run and its deployment, the listing of runs, and the logs of the run and of other runs of
        its base model.

        Parameters
        ----------
        run : str or Run
            Id of the run, or the run as it was listed.

        Returns
        -------
        list of HalfState
            One for each half; empty for a run that has ended.

        Raises
        ------
        NotFoundError
            If there is no such run.

        Examples
        --------
        >>> [(one.half, one.status, one.waits_for) for one in loops.runs.waiting("k4q95w5")]
        [('trainer', 'DEPLOYING', 'its nodes to start')]
        """
        known = run if isinstance(run, Run) else self._transport.send(runs.get(run))
        deployment = self._transport.send_each(deployment_of(known))
        return self._transport.send_each(half_states(known, deployment))

    def wait(self, run_id: str, until: str = "RUNNING", *, timeout: float | None = None, quiet: bool = False) -> Run:
        """Wait until a run is in a state, and return it.

        Polls together with the panels of the same connection (``GET /v1/loops/runs``, ``GET /v1/loops/deployments``)
        and rewrites one status line.  While the service is unreachable the line says so, and waiting continues.

        Parameters
        ----------
        run_id : str
            Id of the run.
        until : str, default "RUNNING"
            A state of the run (``ACTIVE``, ``INACTIVE``) or of its trainer, which is that of the deployment it is on:
            ``CREATED``, ``DEPLOYING``, ``RUNNING``, ``SCALED_TO_ZERO``, ``PREEMPTED``, ``FAILED``, ``STOPPED``.  Of the
            first three a later one counts too.  A run on serverless capacity has no deployment: it counts as
            ``RUNNING`` while it is active, and as ``STOPPED`` when it has ended.
        timeout : float, optional
            Seconds to wait at most; default is no limit.
        quiet : bool, default False
            Write nothing.

        Returns
        -------
        Run
            The run in that state.

        Raises
        ------
        NeverReachedError
            As soon as it is clear that the run will not reach the state; ``checkpoint_uri`` is the checkpoint from
            which training can continue, if there is one.
        WaitTimeoutError
            If it took longer than ``timeout``.
        NotFoundError
            If there is no such run.
        InvalidArgumentError
            If an argument cannot be used.

        Examples
        --------
        >>> run = loops.runs.wait("k4q95w5", until="RUNNING", timeout=900)
        """
        from loops_nb.live import wait as waiting  # the poller is needed only here

        return waiting.wait(self._transport.config, waiting.RunCondition(run_id, until), timeout=timeout, quiet=quiet)

    def watch(
        self,
        run_id: str | None = None,
        *,
        base_model: str | None = None,
        scope: str | None = None,
        team_id: str | None = None,
        notify: bool = False,
        interval: float | None = None,
        time_zone: str = "local",
    ) -> RunPanel | FleetPanel:
        """Show one run, or all runs and samplers, in a panel that updates live.

        Parameters
        ----------
        run_id : str, optional
            Id of the run; default is all runs and samplers.
        base_model : str, optional
            Only runs of this base model; not together with ``run_id``.
        scope, team_id : str, optional
            As in `list`.
        notify : bool, default False
            Raise a browser notification when something ends, where the browser allows it.
        interval : float, optional
            Seconds between two polls while something changes; default is unchanged.
        time_zone : str, default "local"
            Zone of the times in the static report.

        Returns
        -------
        RunPanel or FleetPanel
            A widget; its ``frame`` is the newest listing.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used.

        Examples
        --------
        >>> panel = loops.runs.watch("k4q95w5", notify=True)
        """
        from loops_nb import panels  # widgets take 40 ms to import

        if run_id is None:
            return panels.FleetPanel(
                self._transport,
                base_model=base_model,
                scope=scope,
                team_id=team_id,
                notify=notify,
                interval=interval,
                time_zone=time_zone,
            )
        if base_model is not None:
            raise InvalidArgumentError(
                "One run is watched by its id alone: leave base_model out.", argument="base_model"
            )
        return panels.RunPanel(
            self._transport, run_id, scope=scope, team_id=team_id, notify=notify, interval=interval, time_zone=time_zone
        )

    def curves(
        self,
        *runs: str,
        key: str = "",
        axis: Literal["step", "tokens", "elapsed", "clock"] = "step",
        smoothing: float = 0.0,
        group_by: str | Sequence[str] | None = None,
        band: Literal["std", "minmax", "quartiles"] = "std",
        baseline: str | None = None,
        against: Literal["difference", "ratio"] = "difference",
        color_by: str | None = None,
    ) -> CurvesPanel:
        """Show metrics recorded on this machine as curves in a panel that updates live; no request is made.

        Parameters
        ----------
        *runs : str
            Ids of runs or experiments, or names of experiments; default is the newest, or all if they are grouped.
        key : str, default ""
            The metric to show first.
        axis : {"step", "tokens", "elapsed", "clock"}, default "step"
            The horizontal axis.
        smoothing : float, default 0.0
            Weight of the exponential moving average, from 0 to below 1.
        group_by : str or sequence of str, optional
            Draw the mean of groups with a band: by a parameter, several, ``tag``, ``project``, ``name`` or
            ``seedless``, the name without its seed.
        band : {"std", "minmax", "quartiles"}, default "std"
            The band of a group.
        baseline : str, optional
            Draw differences to this experiment (name, id or run) or group (its label).
        against : {"difference", "ratio"}, default "difference"
            How lines are compared with the baseline.
        color_by : str, optional
            Color the lines by a parameter.

        Returns
        -------
        CurvesPanel
            A widget.

        Raises
        ------
        InvalidArgumentError
            If an argument cannot be used.

        Examples
        --------
        >>> loops.runs.curves("k4q95w5", key="loss", smoothing=0.9)
        >>> loops.runs.curves(group_by="seedless", band="quartiles", color_by="lr")
        """
        from loops_nb import panels  # widgets take 40 ms to import

        return panels.CurvesPanel(
            [*runs] or None,
            key=key,
            axis=axis,
            smoothing=smoothing,
            group_by=group_by,
            band=band,
            baseline=baseline,
            against=against,
            color_by=color_by,
        )

    def drift(
        self,
        run_id: str,
        *,
        target: str | None = None,
        by: str = "module",
        executor: Executor | None = None,
        share_urls: bool = False,
    ) -> pd.DataFrame:
        """Compute how the weights of a run changed over its steps, from its checkpoints.

        Parameters
        ----------
        run_id : str
            Id of the run, or its name where that is unique.
        target : {"trainer", "sampler"}, optional
            Which of its checkpoints; default is the sampler's, or the trainer's if there are no others.
        by : {"module", "layer", "module_type", "checkpoint"}, default "module"
            What the numbers are summed up by; ``module`` sums up nothing.
        executor, share_urls
            As in ``loops.checkpoints.compare``.

        Returns
        -------
        pandas.DataFrame
            One row a step and module; columns as in `loops_nb.checkpoints.compare.frames.drift_frame`.

        Raises
        ------
        InvalidArgumentError, NotFoundError
            As in ``loops.checkpoints.resolve``.
        ExecutorError
            If the executor cannot do the work.

        Examples
        --------
        >>> loops.runs.drift("k4q95w5", by="layer").loops.plot.drift()
        """
        return run_blocking(
            self._transport,
            lambda service: service.with_executor(executor, share_urls=share_urls).drift(
                service.resolve_run(run_id, target=target), by
            ),
        )
