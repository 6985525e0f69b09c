"""Runs and the Loops deployments that host them."""

from __future__ import annotations

import msgspec

from loops_nb.local import catalogue
from loops_nb.local.problems import invalid
from loops_nb.local.records import DeploymentRecord, RunRecord, SamplerRecord, SessionRecord
from loops_nb.local.requests import CreateTrainer
from loops_nb.local.rules import samplers
from loops_nb.local.rules.checkpoints import need_by_uri
from loops_nb.local.service import LOCAL_USER, Service


def create(
    service: Service, body: CreateTrainer, *, with_sampler: bool, sampler_num_replicas: int | None = None, team_id: str | None = None
) -> RunRecord:
    """Make a run on a new deployment, or on the one of an earlier run, which it then replaces."""
    session = service.need(SessionRecord, body.session_id, "session")
    samplers.check_team(session, team_id)
    samplers.check_base_model(body.base_model)
    longest = catalogue.model(body.base_model).longest("rl" if with_sampler else "sft")
    samplers.check_length("max_seq_len", body.max_seq_len, body.base_model, longest)
    if body.path is not None:
        checkpoint = need_by_uri(service, body.path, field="path", target="trainer")
        if checkpoint.base_model != body.base_model:
            raise invalid("path", f"The checkpoint is of base model {checkpoint.base_model}, not {body.base_model}.")
    hosting = _reusable(service, body, session)
    with service.store.transaction():
        deployment = hosting or _new_deployment(service, body, session)
        run = RunRecord(
            id=service.store.fresh_id(RunRecord),
            created_at=service.now(),
            owner=LOCAL_USER,
            team_id=session.team_id,
            session_id=session.id,
            base_model=body.base_model,
            name=body.name or body.base_model,
            lora_rank=body.lora_rank,
            scale_down_delay_seconds=body.scale_down_delay_seconds,
            availability_model=body.availability_model,
            replicas=body.replicas,
            max_seq_len=body.max_seq_len,
            seed=body.seed,
            path=body.path,
            base_checkpoint=body.base_checkpoint,
            deployment_id=deployment.id,
        )
        for earlier in service.runs_on(deployment):
            if not service.ended(earlier):
                service.happened(earlier, "replaced", note=f"by run {run.id}")
        service.store.insert(run)
        service.happened(run, "created", note=f"on deployment {deployment.id}")
        if hosting is not None:
            service.happened(deployment, "attached", note=f"run {run.id} takes over", idle_after_seconds=run.scale_down_delay_seconds)
        if with_sampler:
            run = _with_sampler(service, run, deployment, session, sampler_num_replicas or 1)
    return run


def deactivate(service: Service, run: RunRecord) -> None:
    """End a run, its deployment and its sampler; checkpoints stay.  Once more changes nothing."""
    if service.ended(run):
        return
    deployment = service.store.get(DeploymentRecord, run.deployment_id) if run.deployment_id else None
    with service.store.transaction():
        _end(service, run, deployment, note=f"run {run.id} was deactivated")


def deactivate_deployment(service: Service, deployment: DeploymentRecord) -> None:
    """Shut a deployment down, with its active run and its sampler; checkpoints stay.  Once more changes nothing."""
    if service.ended(deployment):
        return
    active = next((run for run in service.runs_on(deployment) if not service.ended(run)), None)
    with service.store.transaction():
        _end(service, active, deployment, note="on request")


def _end(service: Service, run: RunRecord | None, deployment: DeploymentRecord | None, *, note: str) -> None:
    if run is not None:
        service.happened(run, "deactivated", note=note)
    if deployment is not None and not service.ended(deployment):
        service.happened(deployment, "deactivated", note=note)
    sampler_id = (deployment.sampler_id if deployment else None) or (run.sampler_id if run else None)
    sampler = service.store.get(SamplerRecord, sampler_id) if sampler_id else None
    if sampler is not None and not service.ended(sampler):
        service.happened(sampler, "deactivated", note=note)


def _reusable(service: Service, body: CreateTrainer, session: SessionRecord) -> DeploymentRecord | None:
    """Return the deployment of the earlier run or session, if it still lives and fits; reuse is best effort."""
    if body.reuse_from_run_id is not None:
        sources = [service.need(RunRecord, body.reuse_from_run_id, "run")]
    elif body.reuse_from_session_id is not None:
        earlier = service.need(SessionRecord, body.reuse_from_session_id, "session")
        sources = service.store.find(RunRecord, session_id=earlier.id)
    else:
        return None
    for source in sources:
        deployment = service.store.get(DeploymentRecord, source.deployment_id) if source.deployment_id else None
        if deployment is None or service.ended(deployment):
            continue
        wanted = (body.base_model, session.team_id, body.availability_model, LOCAL_USER)
        if (deployment.base_model, deployment.team_id, deployment.availability_model, deployment.owner) == wanted:
            return deployment
    return None


def _new_deployment(service: Service, body: CreateTrainer, session: SessionRecord) -> DeploymentRecord:
    deployment = DeploymentRecord(
        id=service.store.fresh_id(DeploymentRecord),
        created_at=service.now(),
        owner=LOCAL_USER,
        team_id=session.team_id,
        base_model=body.base_model,
        availability_model=body.availability_model,
        node_count=catalogue.model(body.base_model).nodes * body.replicas,
    )
    service.store.insert(deployment)
    service.happened(deployment, "created", note=body.base_model, idle_after_seconds=body.scale_down_delay_seconds)
    return deployment


def _with_sampler(service: Service, run: RunRecord, deployment: DeploymentRecord, session: SessionRecord, replicas: int) -> RunRecord:
    old = service.store.get(SamplerRecord, deployment.sampler_id) if deployment.sampler_id else None
    if old is not None and not service.ended(old):
        sampler = samplers.take_over(service, old, run)
    else:
        sampler = samplers.make(
            service,
            session,
            base_model=run.base_model,
            availability_model=run.availability_model,
            num_replicas=replicas,
            max_seq_length=run.max_seq_len,
            run_id=run.id,
            idle_after_seconds=run.scale_down_delay_seconds,
        )
    run = msgspec.structs.replace(run, sampler_id=sampler.id)
    service.store.update(run)
    service.store.update(msgspec.structs.replace(deployment, sampler_id=sampler.id))
    return run
