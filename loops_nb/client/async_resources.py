"""The resources of the async client: the same names and signatures as `resources`, awaited; a test compares them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias, TypeVar

from loops_nb.client import resources as sync
from loops_nb.client.async_transport import AsyncTransport
from loops_nb.client.finding import run_filter
from loops_nb.client.operations import checkpoints, deployments, legacy, runs, samplers, server, sessions
from loops_nb.client.operations.server import UNCHANGED, Unchanged
from loops_nb.client.pages import Page, PageWalk
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


C = TypeVar("C", bound=type)


def _documented_as(twin: type) -> Callable[[C], C]:
    """Give the methods of a class the docstrings of its sync twin."""

    def document(cls: C) -> C:
        for name, method in vars(cls).items():
            if callable(method) and method.__doc__ is None:
                method.__doc__ = getattr(twin, name).__doc__
        return cls

    return document


class Group:
    """A group of operations over one transport."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def _pages(self, walk: PageWalk) -> AsyncIterator[Page]:
        while (call := walk.next_call) is not None:
            yield walk.accept(await self._transport.send(call))

    async def _files(self, walk: PageWalk) -> AsyncIterator[CheckpointFile]:
        async for page in self._pages(walk):
            for file in page.files:
                yield file


@_documented_as(sync.Sessions)
class Sessions(Group):
    """``loops.sessions``: containers of runs and samplers.  The API has no listing of them."""

    async def create(self, *, training_project_id: str | None = None, team_id: str | None = None) -> Session:
        return await self._transport.send(sessions.create(training_project_id=training_project_id, team_id=team_id))

    async def get(self, session_id: str) -> Session:
        return await self._transport.send(sessions.get(session_id))


@_documented_as(sync.Trainers)
class Trainers(Group):
    """``loops.trainers``: runs without a sampler."""

    async def create(
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
        return await self._transport.send(
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


@_documented_as(sync.Runs)
class Runs(Group):
    """``loops.runs``: training runs."""

    async def list(
        self, *, run_id: str | None = None, base_model: str | None = None, scope: str | None = None, team_id: str | None = None
    ) -> list[Run]:
        return await self._transport.send(runs.list_(run_id=run_id, base_model=base_model, scope=scope, team_id=team_id))

    async def get(self, run_id: str) -> Run:
        return await self._transport.send(runs.get(run_id))

    async def create(
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
        return await self._transport.send(
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

    async def deactivate(self, run_id: str) -> Deactivated:
        return await self._transport.send(runs.deactivate(run_id))

    async def find(
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
        wanted = run_filter(
            session_id=session_id, base_model=base_model, name=name, status=status, newer_than=newer_than, older_than=older_than
        )
        found = await self._transport.send(runs.list_(scope=scope))
        states: dict[str, str | None] = {}
        if wanted.needs_deployments:
            listed = await self._transport.send(deployments.list_(scope=scope))
            states = {d.id: d.status.name if d.status else None for d in listed}
        return wanted.apply(found, states)


@_documented_as(sync.Samplers)
class Samplers(Group):
    """``loops.samplers``: sampling servers, paired with a run or standalone."""

    async def list(self, *, scope: str | None = None, team_id: str | None = None) -> list[Sampler]:
        return await self._transport.send(samplers.list_(scope=scope, team_id=team_id))

    async def get(self, sampler_id: str) -> Sampler:
        return await self._transport.send(samplers.get(sampler_id))

    async def create(
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
        return await self._transport.send(
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

    async def deactivate(self, sampler_id: str) -> Deactivated:
        return await self._transport.send(samplers.deactivate(sampler_id))


@_documented_as(sync.Checkpoints)
class Checkpoints(Group):
    """``loops.checkpoints``: what runs have saved."""

    async def list(
        self, *, run_id: str | None = None, base_model: str | None = None, checkpoint_path: str | None = None
    ) -> list[Checkpoint]:
        return await self._transport.send(checkpoints.list_(run_id=run_id, base_model=base_model, checkpoint_path=checkpoint_path))

    def files(self, checkpoint_id: str, *, page_size: int = 1000) -> AsyncIterator[CheckpointFile]:
        return self._files(checkpoints.files(checkpoint_id, page_size=page_size))

    async def source(self, checkpoint_id: str) -> CheckpointSource:
        return await self._transport.send(checkpoints.source(checkpoint_id))

    async def validate(self, checkpoint_path: str, *, run_id: str | None = None) -> None:
        return await self._transport.send(checkpoints.validate(checkpoint_path, run_id=run_id))

    async def deploy(self, *, checkpoint_ids: Sequence[str], model_name: str, instance_type_id: str, hf_secret_name: str) -> DeployedModel:
        return await self._transport.send(
            checkpoints.deploy(
                checkpoint_ids=checkpoint_ids,
                model_name=model_name,
                instance_type_id=instance_type_id,
                hf_secret_name=hf_secret_name,
            )
        )


@_documented_as(sync.Deployments)
class Deployments(Group):
    """``loops.deployments``: the capacity that runs execute on."""

    async def list(self, *, scope: str | None = None) -> list[Deployment]:
        return await self._transport.send(deployments.list_(scope=scope))

    async def get(self, deployment_id: str) -> Deployment:
        return await self._transport.send(deployments.get(deployment_id))

    async def deactivate(self, deployment_id: str) -> Deactivated:
        return await self._transport.send(deployments.deactivate(deployment_id))

    async def logs(
        self,
        deployment_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        direction: str | None = None,
        limit: int | None = 500,
        min_level: str | None = None,
    ) -> LogLines:
        return await self._transport.send(
            deployments.logs(deployment_id, start=start, end=end, direction=direction, limit=limit, min_level=min_level)
        )

    async def metrics(
        self,
        deployment_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        step_seconds: int | None = None,
        time_divisor_seconds: int | None = None,
    ) -> DeploymentMetrics:
        return await self._transport.send(
            deployments.metrics(deployment_id, start=start, end=end, step_seconds=step_seconds, time_divisor_seconds=time_divisor_seconds)
        )

    def debug_files(self, deployment_id: str, *, page_size: int = 1000) -> AsyncIterator[CheckpointFile]:
        return self._files(deployments.debug_files(deployment_id, page_size=page_size))


@_documented_as(sync.Capabilities)
class Capabilities(Group):
    """``loops.capabilities``: which base models can be trained."""

    async def list(self, *, model: str | None = None, use_case: str = "rl", max_seq_len: int | None = None) -> list[SupportedModel]:
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
        return await self._transport.send(server.capabilities(model=model, use_case=use_case, max_seq_len=max_seq_len))


@_documented_as(sync.UserConfigs)
class UserConfigs(Group):
    """``loops.user_config``: the caller's GPU preferences."""

    async def get(self) -> UserConfig:
        return await self._transport.send(server.get_user_config())

    async def update(
        self,
        *,
        trainer_accelerator_priority: Sequence[str] | Unchanged | None = UNCHANGED,
        sampler_accelerator_priority: Sequence[str] | Unchanged | None = UNCHANGED,
    ) -> UserConfig:
        return await self._transport.send(
            server.update_user_config(
                trainer_accelerator_priority=trainer_accelerator_priority,
                sampler_accelerator_priority=sampler_accelerator_priority,
            )
        )


@_documented_as(sync.Teams)
class Teams(Group):
    """``loops.teams``."""

    async def list(self) -> list[Team]:
        return await self._transport.send(server.teams())


@_documented_as(sync.ModelDeployments)
class ModelDeployments(Group):
    """``loops.model_deployments``: the model deployments behind samplers, by ``sampler.model_id`` and ``sampler.deployment_id``."""

    async def get(self, model_id: str, deployment_id: str) -> ModelDeployment:
        return await self._transport.send(server.model_deployment(model_id, deployment_id))

    async def deactivate(self, model_id: str, deployment_id: str) -> dict[str, Any]:
        return await self._transport.send(server.deactivate_model_deployment(model_id, deployment_id))

    async def logs(
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
        return await self._transport.send(
            server.model_deployment_logs(
                model_id, deployment_id, start=start, end=end, direction=direction, limit=limit, min_level=min_level
            )
        )

    async def search_logs(
        self, model_id: str, deployment_id: str, *, start: datetime | None = None, end: datetime | None = None
    ) -> LogLines:
        return await self._transport.send(server.search_model_deployment_logs(model_id, deployment_id, start=start, end=end))


@_documented_as(sync.Legacy)
class Legacy(Group):
    """``loops.legacy``: the seven older routes; a trainer is a run."""

    async def search_trainers(self, trainer_id: str | None = None) -> list[LegacyTrainer]:
        return await self._transport.send(legacy.search_trainers(trainer_id))

    async def search_checkpoint(self, checkpoint_path: str) -> LegacyCheckpoint:
        return await self._transport.send(legacy.search_checkpoint(checkpoint_path))

    async def create_session(self, *, training_project_id: str | None = None) -> Session:
        return await self._transport.send(legacy.create_session(training_project_id=training_project_id))

    async def create_trainer(
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
        return await self._transport.send(
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

    async def create_sampler(
        self, session_id: str, *, model: str, max_seq_length: int | None = None, checkpoint_path: str | None = None
    ) -> LegacySamplingServer:
        return await self._transport.send(
            legacy.create_sampler(session_id, model=model, max_seq_length=max_seq_length, checkpoint_path=checkpoint_path)
        )

    async def checkpoints(self, session_id: str, trainer_id: str) -> list[LegacyCheckpoint]:
        return await self._transport.send(legacy.checkpoints(session_id, trainer_id))

    def checkpoint_files(
        self, session_id: str, trainer_id: str, checkpoint_id: str, *, page_size: int = 1000
    ) -> AsyncIterator[CheckpointFile]:
        return self._files(legacy.checkpoint_files(session_id, trainer_id, checkpoint_id, page_size=page_size))
