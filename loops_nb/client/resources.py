"""The resources of the sync client: one class a resource, one method an operation, nothing but the call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from loops_nb.client.finding import run_filter
from loops_nb.client.operations import checkpoints, deployments, legacy, runs, samplers, server, sessions
from loops_nb.client.operations.server import UNCHANGED, Unchanged
from loops_nb.client.pages import Page, PageWalk
from loops_nb.client.transport import Transport
from loops_nb.models import (
    Checkpoint,
    CheckpointFile,
    CheckpointSource,
    Deactivated,
    DeployedModel,
    Deployment,
    DeploymentMetrics,
    LegacyCheckpoint,
    LegacySamplingServer,
    LegacyTrainer,
    LegacyTrainerServer,
    LogLine,
    ModelDeployment,
    Run,
    Sampler,
    Session,
    SupportedModel,
    Team,
    UserConfig,
)

# Inside a class with a method `list`, that name is the method.
LogLines: TypeAlias = list[LogLine]
FoundRuns: TypeAlias = list[Run]


class Group:
    """A group of operations over one transport."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def _pages(self, walk: PageWalk) -> Iterator[Page]:
        while (call := walk.next_call) is not None:
            yield walk.accept(self._transport.send(call))

    def _files(self, walk: PageWalk) -> Iterator[CheckpointFile]:
        for page in self._pages(walk):
            yield from page.files


class Sessions(Group):
    """``loops.sessions``: containers of runs and samplers.  The API has no listing of them."""

    def create(self, *, training_project_id: str | None = None, team_id: str | None = None) -> Session:
        """Create a session (``POST /v1/loops/sessions``).

        Parameters
        ----------
        training_project_id
            The project of the older documents; the organisation's default one when left out.
        team_id
            Create it in this team.
        """
        return self._transport.send(sessions.create(training_project_id=training_project_id, team_id=team_id))

    def get(self, session_id: str) -> Session:
        """Fetch a session (``GET /v1/loops/sessions/{session_id}``)."""
        return self._transport.send(sessions.get(session_id))


class Trainers(Group):
    """``loops.trainers``: runs without a sampler."""

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
        availability_model: str | None = None,
        replicas: int | None = None,
        reuse_from_run_id: str | None = None,
        reuse_from_session_id: str | None = None,
        team_id: str | None = None,
    ) -> Run:
        """Create a run without a sampler (``POST /v1/loops/trainers``); parameters and errors as in `Runs.create`."""
        return self._transport.send(
            runs.create_trainer(
                session_id=session_id,
                base_model=base_model,
                name=name,
                max_seq_len=max_seq_len,
                lora_rank=lora_rank,
                seed=seed,
                scale_down_delay_seconds=scale_down_delay_seconds,
                path=path,
                availability_model=availability_model,
                replicas=replicas,
                reuse_from_run_id=reuse_from_run_id,
                reuse_from_session_id=reuse_from_session_id,
                team_id=team_id,
            )
        )


class Runs(Group):
    """``loops.runs``: training runs."""

    def list(
        self, *, run_id: str | None = None, base_model: str | None = None, scope: str | None = None, team_id: str | None = None
    ) -> list[Run]:
        """List runs (``GET /v1/loops/runs``); filters combine.

        Parameters
        ----------
        run_id, base_model
            Only this run, only runs of this base model.
        scope
            ``"org"`` for the whole organisation; the caller's own otherwise.
        team_id
            Only this team's.
        """
        return self._transport.send(runs.list_(run_id=run_id, base_model=base_model, scope=scope, team_id=team_id))

    def get(self, run_id: str) -> Run:
        """Fetch a run (``GET /v1/loops/runs/{run_id}``).

        Raises
        ------
        NotFoundError
            If there is no such run.
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
        session_id
            The session it belongs to.
        base_model
            Hugging Face id, for example ``Qwen/Qwen3-8B``.
        name
            Display name, 1 to 255 characters; the base model when left out.
        max_seq_len
            Longest training example in tokens; the model's maximum when left out.
        lora_rank
            At least 1.
        seed
            Random seed.
        scale_down_delay_seconds
            Idle seconds, 1 to 3600, before it scales to zero; the service's default when left out.
        path
            ``bt://loops:<run_id>/weights/<name>``: resume from this trainer checkpoint.
        availability_model
            ``"dedicated"`` or ``"spot"``.
        replicas
            Copies of the model's node group, at least 1.
        reuse_from_run_id, reuse_from_session_id
            Reuse the deployment of that run or session, if it can be.
        sampler_num_replicas
            Copies of the sampler, at least 1.
        team_id
            Create it in this team.

        Raises
        ------
        InvalidArgumentError
            If an argument is out of bounds; nothing was sent.
        OutcomeUnknownError
            If the answer was lost.  It is never sent twice; the error says how to find out.
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
                availability_model=availability_model,
                replicas=replicas,
                reuse_from_run_id=reuse_from_run_id,
                reuse_from_session_id=reuse_from_session_id,
                sampler_num_replicas=sampler_num_replicas,
                team_id=team_id,
            )
        )

    def deactivate(self, run_id: str) -> Deactivated:
        """End a run, its trainer and its sampler (``POST /v1/loops/runs/{run_id}/deactivate``); checkpoints stay.

        Raises
        ------
        OutcomeUnknownError
            If the answer was lost; it is not sent twice.
        """
        return self._transport.send(runs.deactivate(run_id))

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
    ) -> FoundRuns:
        """Find a run of which only something is known: "my script died, which run was it?".

        One listing (``GET /v1/loops/runs``), and one of deployments when ``status`` is one of theirs; filtered here.

        Parameters
        ----------
        session_id
            The session it ran in.
        base_model, name
            A part of the text, without regard to case; ``*`` and ``?`` stand for anything.
        status
            State of the run (``ACTIVE``, ``INACTIVE``) or of one of its halves (``RUNNING``, ``FAILED``, ...).
        newer_than, older_than
            Created within, or before, this time: a timedelta back from now, or a datetime with a time zone.
        scope
            ``"org"`` for the whole organisation.

        Returns
        -------
        list of Run
            Newest first.
        """
        wanted = run_filter(
            session_id=session_id, base_model=base_model, name=name, status=status, newer_than=newer_than, older_than=older_than
        )
        found = self._transport.send(runs.list_(scope=scope))
        states: dict[str, str | None] = {}
        if wanted.needs_deployments:
            listed = self._transport.send(deployments.list_(scope=scope))
            states = {d.id: d.status.name if d.status else None for d in listed}
        return wanted.apply(found, states)


class Samplers(Group):
    """``loops.samplers``: sampling servers, paired with a run or standalone."""

    def list(self, *, scope: str | None = None, team_id: str | None = None) -> list[Sampler]:
        """List samplers, newest first (``GET /v1/loops/samplers``); ``scope="org"`` for the whole organisation."""
        return self._transport.send(samplers.list_(scope=scope, team_id=team_id))

    def get(self, sampler_id: str) -> Sampler:
        """Fetch a sampler (``GET /v1/loops/samplers/{sampler_id}``)."""
        return self._transport.send(samplers.get(sampler_id))

    def create(
        self,
        *,
        session_id: str,
        base_model: str | None = None,
        run_id: str | None = None,
        availability_model: str | None = None,
        max_seq_length: int | None = None,
        model_path: str | None = None,
        reuse_from_session_id: str | None = None,
        num_replicas: int | None = None,
        team_id: str | None = None,
    ) -> Sampler:
        """Create a sampler (``POST /v1/loops/samplers``).

        Parameters
        ----------
        session_id
            The session it belongs to.
        base_model
            For a standalone sampler: Hugging Face id.
        run_id
            Pair it with this run (idempotent per run); the base model is the run's.
        availability_model
            ``"dedicated"`` or ``"spot"``; a paired sampler has its run's.
        max_seq_length
            Longest prompt in tokens; the model's default when left out.
        model_path
            ``bt://loops:<run_id>/sampler_weights/<name>``: serve this sampler checkpoint.
        reuse_from_session_id
            Reuse the deployment of that session, if it can be.
        num_replicas
            At least 1.
        team_id
            Create it in this team.

        Raises
        ------
        InvalidArgumentError
            If an argument is out of bounds, or a trainer checkpoint is given; nothing was sent.
        OutcomeUnknownError
            If the answer was lost; it is not sent twice.
        """
        return self._transport.send(
            samplers.create(
                session_id=session_id,
                base_model=base_model,
                run_id=run_id,
                availability_model=availability_model,
                max_seq_length=max_seq_length,
                model_path=model_path,
                reuse_from_session_id=reuse_from_session_id,
                num_replicas=num_replicas,
                team_id=team_id,
            )
        )

    def deactivate(self, sampler_id: str) -> Deactivated:
        """End a standalone sampler (``POST /v1/loops/samplers/{sampler_id}/deactivate``).

        Raises
        ------
        ConflictError
            If it is paired: it ends with its run.
        """
        return self._transport.send(samplers.deactivate(sampler_id))


class Checkpoints(Group):
    """``loops.checkpoints``: what runs have saved."""

    def list(self, *, run_id: str | None = None, base_model: str | None = None, checkpoint_path: str | None = None) -> list[Checkpoint]:
        """List checkpoints, newest first (``GET /v1/loops/checkpoints``); give exactly one filter.

        Parameters
        ----------
        run_id, base_model
            All of this run; all of the caller's runs of this base model.
        checkpoint_path
            The ``bt://`` URI of one checkpoint.
        """
        return self._transport.send(checkpoints.list_(run_id=run_id, base_model=base_model, checkpoint_path=checkpoint_path))

    def files(self, checkpoint_id: str, *, page_size: int = 1000) -> Iterator[CheckpointFile]:
        """Walk through the files of a checkpoint (``GET /v1/loops/checkpoints/{checkpoint_id}/files``).

        Pages are fetched as they are needed.  The URLs are presigned and expire: use them at once, keep them nowhere.

        Parameters
        ----------
        checkpoint_id
            The checkpoint's ``id`` (not its name).
        page_size
            Files a request, at least 1.

        Raises
        ------
        EndlessPagesError
            If the service's pages go round in circles; what came before is valid.
        """
        return self._files(checkpoints.files(checkpoint_id, page_size=page_size))

    def source(self, checkpoint_id: str) -> CheckpointSource:
        """Say where a checkpoint's files come from (``GET /v1/loops/checkpoints/{checkpoint_id}/source``)."""
        return self._transport.send(checkpoints.source(checkpoint_id))

    def validate(self, checkpoint_path: str, *, run_id: str | None = None) -> None:
        """Check that a sampler checkpoint can be loaded (``POST /v1/loops/checkpoints/validate``).

        Parameters
        ----------
        checkpoint_path
            ``bt://loops:<run_id>/sampler_weights/<name>``.
        run_id
            The run whose sampler is to load it: their LoRA configurations must match.

        Raises
        ------
        BadRequestError
            If it cannot be loaded.
        """
        return self._transport.send(checkpoints.validate(checkpoint_path, run_id=run_id))

    def deploy(self, *, checkpoint_ids: Sequence[str], model_name: str, instance_type_id: str, hf_secret_name: str) -> DeployedModel:
        """Make an inference model of sampler checkpoints (``POST /v1/loops/checkpoints/deploy``).  It is billed, and not idempotent.

        Parameters
        ----------
        checkpoint_ids
            Ids (not names) of the sampler checkpoints that are served together.
        model_name
            Name of the model made.
        instance_type_id
            Hardware.
        hf_secret_name
            The team's secret that holds the Hugging Face token.
        """
        return self._transport.send(
            checkpoints.deploy(
                checkpoint_ids=checkpoint_ids,
                model_name=model_name,
                instance_type_id=instance_type_id,
                hf_secret_name=hf_secret_name,
            )
        )


class Deployments(Group):
    """``loops.deployments``: the capacity that runs execute on."""

    def list(self, *, scope: str | None = None) -> list[Deployment]:
        """List deployments (``GET /v1/loops/deployments``); ``scope="org"`` for the whole organisation."""
        return self._transport.send(deployments.list_(scope=scope))

    def get(self, deployment_id: str) -> Deployment:
        """Fetch a deployment (``GET /v1/loops/deployments/{deployment_id}``)."""
        return self._transport.send(deployments.get(deployment_id))

    def deactivate(self, deployment_id: str) -> Deactivated:
        """Shut a deployment down (``POST /v1/loops/deployments/{deployment_id}/deactivate``); checkpoints stay."""
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
        deployment_id
            The Loops deployment.
        start, end
            With a time zone; the last 30 minutes when left out, 7 days at most.
        direction
            ``"asc"`` or ``"desc"``; newest first when left out.
        limit
            1 to 1000 lines.
        min_level
            ``DEBUG``, ``INFO``, ``WARNING`` or ``ERROR``; setting it leaves out lines without a level.
        """
        return self._transport.send(
            deployments.logs(deployment_id, start=start, end=end, direction=direction, limit=limit, min_level=min_level)
        )

    def metrics(
        self,
        deployment_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        step_seconds: int | None = None,
        time_divisor_seconds: int | None = None,
    ) -> DeploymentMetrics:
        """Fetch system metrics (``POST /v1/loops/deployments/{deployment_id}/metrics``); the API has no training metrics.

        Parameters
        ----------
        deployment_id
            The Loops deployment.
        start, end
            With a time zone.
        step_seconds
            Seconds between points; from the range when left out.
        time_divisor_seconds
            Unit of rates; per second when left out.
        """
        return self._transport.send(
            deployments.metrics(deployment_id, start=start, end=end, step_seconds=step_seconds, time_divisor_seconds=time_divisor_seconds)
        )

    def debug_files(self, deployment_id: str, *, page_size: int = 1000) -> Iterator[CheckpointFile]:
        """Walk through the debug archive (``GET /v1/loops/deployments/{deployment_id}/debug_archive/files``), 1 to 1000 files a page."""
        return self._files(deployments.debug_files(deployment_id, page_size=page_size))


class Capabilities(Group):
    """``loops.capabilities``: which base models can be trained."""

    def list(self, *, model: str | None = None, use_case: str = "rl", max_seq_len: int | None = None) -> list[SupportedModel]:
        """List base models (``GET /v1/loops/capabilities``).

        Parameters
        ----------
        model
            Only this one.
        use_case
            ``"rl"`` or ``"sft"``.
        max_seq_len
            The length that is needed, in tokens.
        """
        return self._transport.send(server.capabilities(model=model, use_case=use_case, max_seq_len=max_seq_len))


class UserConfigs(Group):
    """``loops.user_config``: the caller's GPU preferences."""

    def get(self) -> UserConfig:
        """Fetch them (``GET /v1/loops/user_config``)."""
        return self._transport.send(server.get_user_config())

    def update(
        self,
        *,
        trainer_accelerator_priority: Sequence[str] | Unchanged | None = UNCHANGED,
        sampler_accelerator_priority: Sequence[str] | Unchanged | None = UNCHANGED,
    ) -> UserConfig:
        """Change them (``PATCH /v1/loops/user_config``).

        Parameters
        ----------
        trainer_accelerator_priority, sampler_accelerator_priority
            GPU types, best first; None inherits the organisation's again; left out, it stays.
        """
        return self._transport.send(
            server.update_user_config(
                trainer_accelerator_priority=trainer_accelerator_priority,
                sampler_accelerator_priority=sampler_accelerator_priority,
            )
        )


class Teams(Group):
    """``loops.teams``."""

    def list(self) -> list[Team]:
        """List the organisation's teams (``GET /v1/teams``)."""
        return self._transport.send(server.teams())


class ModelDeployments(Group):
    """``loops.model_deployments``: the model deployments behind samplers, by ``sampler.model_id`` and ``sampler.deployment_id``."""

    def get(self, model_id: str, deployment_id: str) -> ModelDeployment:
        """Fetch one (``GET /v1/models/{model_id}/deployments/{deployment_id}``)."""
        return self._transport.send(server.model_deployment(model_id, deployment_id))

    def deactivate(self, model_id: str, deployment_id: str) -> dict[str, Any]:
        """End one (``POST /v1/models/{model_id}/deployments/{deployment_id}/deactivate``)."""
        return self._transport.send(server.deactivate_model_deployment(model_id, deployment_id))

    def logs(
        self,
        model_id: str,
        deployment_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        direction: str | None = None,
        limit: int | None = 500,
        min_level: str | None = None,
    ) -> LogLines:
        """Fetch log lines (``GET /v1/models/{model_id}/deployments/{deployment_id}/logs``); parameters as in `Deployments.logs`."""
        return self._transport.send(
            server.model_deployment_logs(
                model_id, deployment_id, start=start, end=end, direction=direction, limit=limit, min_level=min_level
            )
        )

    def search_logs(self, model_id: str, deployment_id: str, *, start: datetime | None = None, end: datetime | None = None) -> LogLines:
        """Fetch log lines by the older route (``POST /v1/models/{model_id}/deployments/{deployment_id}/logs``)."""
        return self._transport.send(server.search_model_deployment_logs(model_id, deployment_id, start=start, end=end))


class Legacy(Group):
    """``loops.legacy``: the seven older routes; a trainer is a run."""

    def search_trainers(self, trainer_id: str | None = None) -> list[LegacyTrainer]:
        """List trainers, or one (``POST /v1/trainers/search``)."""
        return self._transport.send(legacy.search_trainers(trainer_id))

    def search_checkpoint(self, checkpoint_path: str) -> LegacyCheckpoint:
        """Look a checkpoint up by its ``bt://`` URI (``POST /v1/trainers/checkpoints/search``)."""
        return self._transport.send(legacy.search_checkpoint(checkpoint_path))

    def create_session(self, *, training_project_id: str | None = None) -> Session:
        """Create a session (``POST /v1/trainer_sessions``)."""
        return self._transport.send(legacy.create_session(training_project_id=training_project_id))

    def create_trainer(
        self,
        session_id: str,
        *,
        model: str,
        max_seq_len: int | None = None,
        lora_rank: int | None = 64,
        seed: int | None = None,
        scale_down_delay_seconds: int | None = None,
        checkpoint_path: str | None = None,
    ) -> LegacyTrainerServer:
        """Create a run and its sampler (``POST /v1/trainer_sessions/{session_id}/trainers``); bounds as in `Runs.create`."""
        return self._transport.send(
            legacy.create_trainer(
                session_id,
                model=model,
                max_seq_len=max_seq_len,
                lora_rank=lora_rank,
                seed=seed,
                scale_down_delay_seconds=scale_down_delay_seconds,
                checkpoint_path=checkpoint_path,
            )
        )

    def create_sampler(
        self, session_id: str, *, model: str, max_seq_length: int | None = None, checkpoint_path: str | None = None
    ) -> LegacySamplingServer:
        """Create a standalone sampler (``POST /v1/trainer_sessions/{session_id}/samplers``)."""
        return self._transport.send(
            legacy.create_sampler(session_id, model=model, max_seq_length=max_seq_length, checkpoint_path=checkpoint_path)
        )

    def checkpoints(self, session_id: str, trainer_id: str) -> list[LegacyCheckpoint]:
        """List a trainer's checkpoints (``GET /v1/trainer_sessions/{session_id}/trainers/{trainer_id}/checkpoints``)."""
        return self._transport.send(legacy.checkpoints(session_id, trainer_id))

    def checkpoint_files(self, session_id: str, trainer_id: str, checkpoint_id: str, *, page_size: int = 1000) -> Iterator[CheckpointFile]:
        """Walk through a checkpoint's files (``GET .../checkpoints/{checkpoint_id}/files``)."""
        return self._files(legacy.checkpoint_files(session_id, trainer_id, checkpoint_id, page_size=page_size))
