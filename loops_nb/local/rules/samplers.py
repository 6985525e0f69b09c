"""Samplers: standalone ones, and those that belong to a run."""

from __future__ import annotations

import msgspec

from loops_nb.local import catalogue
from loops_nb.local.problems import conflict, invalid, not_found
from loops_nb.local.records import DeploymentRecord, ModelDeploymentRecord, RunRecord, SamplerRecord, SessionRecord
from loops_nb.local.requests import DEFAULT_SCALE_DOWN_DELAY, CreateSampler
from loops_nb.local.rules.checkpoints import need_by_uri
from loops_nb.local.service import LOCAL_USER, Service

Served = SamplerRecord | ModelDeploymentRecord


def create(service: Service, body: CreateSampler, *, team_id: str | None = None) -> SamplerRecord:
    """Make a sampler: paired when ``run_id`` is given (once for each run), standalone otherwise."""
    session = service.need(SessionRecord, body.session_id, "session")
    check_team(session, team_id)
    checkpoint = need_by_uri(service, body.model_path, field="model_path", target="sampler") if body.model_path is not None else None
    if body.base_model is not None:
        check_base_model(body.base_model)
    if body.run_id is not None:
        run = service.need(RunRecord, body.run_id, "run")
        for name in (body.base_model, checkpoint.base_model if checkpoint else None):
            if name not in {None, run.base_model}:
                raise invalid("base_model", f"The run {run.id} is of base model {run.base_model}, not {name}.")
        return _pair(service, run, session, body)
    base_model = body.base_model or (checkpoint.base_model if checkpoint else None)
    if base_model is None:
        raise invalid(
            "base_model", "base_model is required for a standalone sampler without model_path (or give run_id to pair it with a run)."
        )
    if checkpoint is not None and checkpoint.base_model != base_model:
        raise invalid("model_path", f"The checkpoint is of base model {checkpoint.base_model}, not {base_model}.")
    check_length("max_seq_length", body.max_seq_length, base_model, catalogue.model(base_model).sampler_len)
    if body.reuse_from_session_id is not None:
        reused = _reuse(service, body, base_model)
        if reused is not None:
            return reused
    with service.store.transaction():
        return make(
            service,
            session,
            base_model=base_model,
            availability_model=body.availability_model or "dedicated",
            num_replicas=body.num_replicas or 1,
            max_seq_length=body.max_seq_length,
            model_path=body.model_path,
        )


def make(
    service: Service,
    session: SessionRecord,
    *,
    base_model: str,
    availability_model: str,
    num_replicas: int,
    max_seq_length: int | None = None,
    model_path: str | None = None,
    run_id: str | None = None,
    idle_after_seconds: int = DEFAULT_SCALE_DOWN_DELAY,
) -> SamplerRecord:
    """Record a new sampler, inside a transaction of the caller's."""
    sampler = SamplerRecord(
        id=service.store.fresh_id(SamplerRecord),
        created_at=service.now(),
        owner=LOCAL_USER,
        team_id=session.team_id,
        session_id=session.id,
        base_model=base_model,
        run_id=run_id,
        model_id=service.store.fresh_id(SamplerRecord),
        deployment_id=service.store.fresh_id(SamplerRecord),
        availability_model=availability_model,
        num_replicas=num_replicas,
        max_seq_length=max_seq_length,
        model_path=model_path,
    )
    service.store.insert(sampler)
    service.happened(
        sampler, "created", note=f"paired with run {run_id}" if run_id else "standalone", idle_after_seconds=idle_after_seconds
    )
    return sampler


def take_over(service: Service, sampler: SamplerRecord, run: RunRecord) -> SamplerRecord:
    """Give a deployment's sampler to its next run, inside a transaction of the caller's."""
    moved = msgspec.structs.replace(sampler, run_id=run.id, session_id=run.session_id)
    service.store.update(moved)
    service.happened(moved, "updated", note=f"now serves run {run.id}", idle_after_seconds=run.scale_down_delay_seconds)
    return moved


def deactivate(service: Service, sampler: SamplerRecord) -> None:
    """End a standalone sampler; once more changes nothing.  A paired one ends with its run only."""
    if sampler.run_id is not None:
        text = f"Sampler {sampler.id} is paired with run {sampler.run_id}; it ends with that run. Deactivate the run instead."
        raise conflict(text, run_id=sampler.run_id, sampler_id=sampler.id)
    if not service.ended(sampler):
        with service.store.transaction():
            service.happened(sampler, "deactivated", note="on request")


def find_model_deployment(service: Service, model_id: str, deployment_id: str) -> Served:
    """Return what a model deployment is: the engine of a sampler, or a model made from checkpoints."""
    for sampler in service.store.find(SamplerRecord, deployment_id=deployment_id):
        if sampler.model_id == model_id:
            return sampler
    found = service.need(ModelDeploymentRecord, deployment_id, "model deployment")
    if found.model_id != model_id:
        raise not_found(f"deployment of the model {model_id}, with the id", deployment_id)
    return found


def check_team(session: SessionRecord, team_id: str | None) -> None:
    """Refuse a session of another team than the path's."""
    if team_id is not None and session.team_id != team_id:
        raise invalid("session_id", f"Session {session.id} belongs to team {session.team_id}, not to {team_id}.")


def check_base_model(name: str, *, field: str = "base_model") -> None:
    """Refuse what cannot be a model id; the catalogue is no allowlist, but for the models of this machine."""
    if name.startswith(catalogue.LOCAL) and name not in catalogue.MODELS:
        known = " and ".join(one for one in catalogue.MODELS if one.startswith(catalogue.LOCAL))
        raise invalid(field, f"{field}: there is no {name[:200]}; the models of this machine are {known}.")
    if not catalogue.is_model_id(name):
        raise invalid(field, f"{field} must be a Hugging Face model id such as Qwen/Qwen3-8B, not {name[:200]!r}.")


def check_length(field: str, value: int | None, base_model: str, longest: int) -> None:
    """Refuse a sequence length beyond a known model's."""
    if value is not None and base_model in catalogue.MODELS and value > longest:
        raise invalid(field, f"{field}: {base_model} handles at most {longest} tokens, not {value}.")


def _pair(service: Service, run: RunRecord, session: SessionRecord, body: CreateSampler) -> SamplerRecord:
    if run.session_id != session.id:
        raise invalid("run_id", f"Run {run.id} belongs to session {run.session_id}, not to {session.id}.")
    if body.availability_model not in {None, run.availability_model}:
        raise invalid("availability_model", f"Run {run.id} is {run.availability_model}; its sampler inherits that.")
    if run.sampler_id is not None:
        return service.need(SamplerRecord, run.sampler_id, "sampler")
    if service.ended(run):
        raise conflict(f"Run {run.id} is INACTIVE; start a new run from one of its checkpoints.", run_id=run.id)
    check_length("max_seq_length", body.max_seq_length, run.base_model, catalogue.model(run.base_model).sampler_len)
    deployment = service.store.get(DeploymentRecord, run.deployment_id) if run.deployment_id else None
    old = service.store.get(SamplerRecord, deployment.sampler_id) if deployment and deployment.sampler_id else None
    with service.store.transaction():
        if old is not None and not service.ended(old):
            sampler = take_over(service, old, run)
        else:
            sampler = make(
                service,
                session,
                base_model=run.base_model,
                availability_model=run.availability_model,
                num_replicas=body.num_replicas or 1,
                max_seq_length=body.max_seq_length,
                model_path=body.model_path,
                run_id=run.id,
                idle_after_seconds=run.scale_down_delay_seconds,
            )
        service.store.update(msgspec.structs.replace(run, sampler_id=sampler.id))
        if deployment is not None:
            service.store.update(msgspec.structs.replace(deployment, sampler_id=sampler.id))
    return sampler


def _reuse(service: Service, body: CreateSampler, base_model: str) -> SamplerRecord | None:
    """Return a living standalone sampler of the earlier session, now serving what is asked for; None when there is none that fits."""
    service.need(SessionRecord, body.reuse_from_session_id or "", "session")
    for sampler in service.store.find(SamplerRecord, session_id=body.reuse_from_session_id):
        fits = (
            sampler.run_id is None
            and sampler.base_model == base_model
            and sampler.availability_model == (body.availability_model or "dedicated")
        )
        if fits and not service.ended(sampler):
            with service.store.transaction():
                moved = msgspec.structs.replace(sampler, session_id=body.session_id, model_path=body.model_path)
                service.store.update(moved)
                service.happened(moved, "updated", note=f"reused by session {body.session_id}")
            return moved
    return None
