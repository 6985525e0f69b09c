"""Rules of runs and of the deployments that host them."""

from __future__ import annotations

import msgspec

from loops_nb.local import base_models
from loops_nb.local.http_errors import invalid
from loops_nb.local.rules import hardware, placement, samplers
from loops_nb.local.rules.checkpoints import need_by_uri
from loops_nb.local.rules.lookup import deployment_of, lookup, runs_on, sampler_of
from loops_nb.local.rules.statuses import Statuses
from loops_nb.local.schemas import CreateTrainer
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.records import LOCAL_USER, DeploymentRecord, RunRecord, SessionRecord


def create(
    store: RecordStore,
    statuses: Statuses,
    body: CreateTrainer,
    *,
    with_sampler: bool,
    sampler_num_replicas: int | None = None,
    team_id: str | None = None,
    prefer_serverless: bool = False,
) -> RunRecord:
    """Make a run on a new deployment, on the one of an earlier run, which it then replaces, or on shared capacity."""
    placement.check_scope(body.scope, placement.RUN_SCOPES)
    session = lookup(store, SessionRecord, body.session_id, "session")
    samplers.check_team(session, team_id)
    samplers.check_base_model(body.base_model)
    use_case = "sft"
    if with_sampler:
        use_case = "rl"
    longest = base_models.model(body.base_model).longest(use_case)
    samplers.check_length("max_seq_len", body.max_seq_len, body.base_model, longest)
    if body.path is not None:
        checkpoint = need_by_uri(store, body.path, field="path", target="trainer")
        if checkpoint.base_model != body.base_model:
            raise invalid("path", f"The checkpoint is of base model {checkpoint.base_model}, not {body.base_model}.")
    reuses = body.reuse_from_run_id is not None or body.reuse_from_session_id is not None
    asked = placement.Asked(body.base_model, body.lora_rank, body.max_seq_len, reuses)
    is_serverless = placement.is_serverless(body.scope, asked, preferred=prefer_serverless)
    length = body.max_seq_len
    if is_serverless and length is None:
        length = base_models.serverless_length(body.base_model)
    hosting = None if is_serverless else _reusable(store, statuses, body, session)
    with store.transaction():
        deployment = None if is_serverless else hosting or _new_deployment(store, statuses, body, session)
        run = RunRecord(
            id=store.fresh_id(RunRecord),
            created_at=statuses.now(),
            owner=LOCAL_USER,
            team_id=session.team_id,
            session_id=session.id,
            base_model=body.base_model,
            name=body.name or body.base_model,
            lora_rank=body.lora_rank,
            scale_down_delay_seconds=body.scale_down_delay_seconds,
            availability_model=body.availability_model,
            replicas=body.replicas,
            max_seq_len=length,
            seed=body.seed,
            path=body.path,
            base_checkpoint=body.base_checkpoint,
            deployment_id=None if deployment is None else deployment.id,
        )
        for earlier in [] if deployment is None else runs_on(store, deployment):
            if not statuses.has_ended(earlier):
                statuses.record(earlier, "replaced", note=f"by run {run.id}")
        store.insert(run)
        where = "serverless capacity" if deployment is None else f"deployment {deployment.id}"
        statuses.record(run, "created", note=f"on {where}")
        if hosting is not None:
            statuses.record(
                hosting, "attached", note=f"run {run.id} takes over", idle_after_seconds=run.scale_down_delay_seconds
            )
        if with_sampler:
            replicas = sampler_num_replicas or 1
            sampler = samplers.pair(
                store, statuses, run, session, num_replicas=replicas, max_seq_length=run.max_seq_len
            )
            run = msgspec.structs.replace(run, sampler_id=sampler.id)
    return run


def deactivate(store: RecordStore, statuses: Statuses, run: RunRecord) -> None:
    """End a run, its deployment and its sampler; checkpoints stay.  Once more changes nothing."""
    with store.transaction():
        end(store, statuses, run)


def end(store: RecordStore, statuses: Statuses, run: RunRecord) -> None:
    """Do what `deactivate` does, inside a transaction of the caller's."""
    if not statuses.has_ended(run):
        _end(store, statuses, run, deployment_of(store, run), note=f"run {run.id} was deactivated")


def deactivate_deployment(store: RecordStore, statuses: Statuses, deployment: DeploymentRecord) -> None:
    """Shut a deployment down, with its active run and its sampler; checkpoints stay.  Once more changes nothing."""
    if statuses.has_ended(deployment):
        return
    active = next((run for run in runs_on(store, deployment) if not statuses.has_ended(run)), None)
    with store.transaction():
        _end(store, statuses, active, deployment, note="on request")


def _end(
    store: RecordStore, statuses: Statuses, run: RunRecord | None, deployment: DeploymentRecord | None, *, note: str
) -> None:
    sampler = None
    for owner in (deployment, run):
        if owner is not None and sampler is None:
            sampler = sampler_of(store, owner)
    for record in (run, deployment, sampler):
        if record is not None and not statuses.has_ended(record):
            statuses.record(record, "deactivated", note=note)


def _reusable(
    store: RecordStore, statuses: Statuses, body: CreateTrainer, session: SessionRecord
) -> DeploymentRecord | None:
    """Return the deployment of the earlier run or session, if it still lives and fits; reuse is best effort."""
    if body.reuse_from_run_id is not None:
        sources = [lookup(store, RunRecord, body.reuse_from_run_id, "run")]
    elif body.reuse_from_session_id is not None:
        earlier = lookup(store, SessionRecord, body.reuse_from_session_id, "session")
        sources = store.find(RunRecord, session_id=earlier.id)
    else:
        return None
    for source in sources:
        deployment = deployment_of(store, source)
        if deployment is None or statuses.has_ended(deployment):
            continue
        wanted = (body.base_model, session.team_id, body.availability_model, LOCAL_USER)
        if (deployment.base_model, deployment.team_id, deployment.availability_model, deployment.owner) == wanted:
            return deployment
    return None


def _new_deployment(
    store: RecordStore, statuses: Statuses, body: CreateTrainer, session: SessionRecord
) -> DeploymentRecord:
    deployment = DeploymentRecord(
        id=store.fresh_id(DeploymentRecord),
        created_at=statuses.now(),
        owner=LOCAL_USER,
        team_id=session.team_id,
        base_model=body.base_model,
        availability_model=body.availability_model,
        node_count=base_models.model(body.base_model).nodes * body.replicas,
    )
    store.insert(deployment)
    hardware.assign(store, deployment, "trainer")
    statuses.record(deployment, "created", note=body.base_model, idle_after_seconds=body.scale_down_delay_seconds)
    return deployment
