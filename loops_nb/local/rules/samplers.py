"""Rules of samplers: standalone ones, and those paired with a run."""

from __future__ import annotations

import msgspec

from loops_nb.local import base_models
from loops_nb.local.http_errors import conflict, invalid, not_found
from loops_nb.local.rules import hardware, placement
from loops_nb.local.rules.checkpoints import need_by_uri
from loops_nb.local.rules.lookup import deployment_of, lookup, sampler_of
from loops_nb.local.rules.statuses import Statuses
from loops_nb.local.schemas import DEFAULT_SCALE_DOWN_DELAY, CreateSampler
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.records import (
    LOCAL_USER,
    ModelDeploymentRecord,
    RunRecord,
    SamplerRecord,
    SessionRecord,
)

ServedModel = SamplerRecord | ModelDeploymentRecord


def create(
    store: RecordStore,
    statuses: Statuses,
    body: CreateSampler,
    *,
    team_id: str | None = None,
    prefer_serverless: bool = False,
) -> SamplerRecord:
    """Make a sampler: paired when ``run_id`` is given (once for each run), standalone otherwise."""
    placement.check_scope(body.scope, placement.SAMPLER_SCOPES)
    session = lookup(store, SessionRecord, body.session_id, "session")
    check_team(session, team_id)
    trained_model, rank = None, None
    if body.model_path is not None:
        checkpoint = need_by_uri(store, body.model_path, field="model_path", target="sampler")
        trained_model, rank = checkpoint.base_model, checkpoint.lora_rank
    if body.base_model is not None:
        check_base_model(body.base_model)
    if body.run_id is not None:
        run = lookup(store, RunRecord, body.run_id, "run")
        for name in (body.base_model, trained_model):
            if name not in {None, run.base_model}:
                raise invalid("base_model", f"The run {run.id} is of base model {run.base_model}, not {name}.")
        return _pair_checked(store, statuses, run, session, body)
    base_model = body.base_model or trained_model
    if base_model is None:
        raise invalid(
            "base_model",
            "base_model is required for a standalone sampler without model_path (or give run_id to pair it with a "
            "run).",
        )
    if trained_model not in {None, base_model}:
        raise invalid("model_path", f"The checkpoint is of base model {trained_model}, not {base_model}.")
    check_length("max_seq_length", body.max_seq_length, base_model, base_models.model(base_model).sampler_len)
    asked = placement.Asked(base_model, rank, body.max_seq_length, body.reuse_from_session_id is not None)
    is_serverless = placement.is_serverless(body.scope, asked, preferred=prefer_serverless)
    if body.reuse_from_session_id is not None:
        reused = _reuse(store, statuses, body, base_model)
        if reused is not None:
            return reused
    with store.transaction():
        return make(
            store,
            statuses,
            session,
            base_model=base_model,
            availability_model=body.availability_model or "dedicated",
            num_replicas=body.num_replicas or 1,
            max_seq_length=body.max_seq_length,
            model_path=body.model_path,
            is_serverless=is_serverless,
        )


def make(
    store: RecordStore,
    statuses: Statuses,
    session: SessionRecord,
    *,
    base_model: str,
    availability_model: str,
    num_replicas: int,
    max_seq_length: int | None = None,
    model_path: str | None = None,
    run_id: str | None = None,
    idle_after_seconds: int = DEFAULT_SCALE_DOWN_DELAY,
    is_serverless: bool = False,
) -> SamplerRecord:
    """Record a new sampler, inside a transaction of the caller's."""
    note = "standalone"
    if run_id is not None:
        note = f"paired with run {run_id}"
    if is_serverless:
        note += ", on serverless capacity"
    sampler = SamplerRecord(
        id=store.fresh_id(SamplerRecord),
        created_at=statuses.now(),
        owner=LOCAL_USER,
        team_id=session.team_id,
        session_id=session.id,
        base_model=base_model,
        run_id=run_id,
        model_id=None if is_serverless else store.fresh_id(SamplerRecord),
        deployment_id=None if is_serverless else store.fresh_id(SamplerRecord),
        availability_model=availability_model,
        num_replicas=num_replicas,
        max_seq_length=max_seq_length,
        model_path=model_path,
    )
    store.insert(sampler)
    if not is_serverless:
        hardware.assign(store, sampler, "sampler")
    statuses.record(sampler, "created", note=note, idle_after_seconds=idle_after_seconds)
    return sampler


def pair(
    store: RecordStore,
    statuses: Statuses,
    run: RunRecord,
    session: SessionRecord,
    *,
    num_replicas: int,
    max_seq_length: int | None,
    model_path: str | None = None,
) -> SamplerRecord:
    """Give a run the sampler of its deployment, or a new one, inside a transaction of the caller's."""
    deployment = deployment_of(store, run)
    delay = run.scale_down_delay_seconds
    sampler = None
    if deployment is not None:
        sampler = sampler_of(store, deployment)
    if sampler is not None and not statuses.has_ended(sampler):
        sampler = msgspec.structs.replace(sampler, run_id=run.id, session_id=run.session_id)
        store.update(sampler)
        statuses.record(sampler, "updated", note=f"now serves run {run.id}", idle_after_seconds=delay)
    else:
        sampler = make(
            store,
            statuses,
            session,
            base_model=run.base_model,
            availability_model=run.availability_model,
            num_replicas=num_replicas,
            max_seq_length=max_seq_length,
            model_path=model_path,
            run_id=run.id,
            idle_after_seconds=delay,
            is_serverless=run.deployment_id is None,
        )
    store.update(msgspec.structs.replace(run, sampler_id=sampler.id))
    if deployment is not None:
        store.update(msgspec.structs.replace(deployment, sampler_id=sampler.id))
    return sampler


def deactivate(store: RecordStore, statuses: Statuses, sampler: SamplerRecord) -> None:
    """End a standalone sampler; once more changes nothing.  A paired one ends with its run only."""
    if sampler.run_id is not None:
        text = (
            f"Sampler {sampler.id} is paired with run {sampler.run_id}; it ends with that run. Deactivate the run "
            f"instead."
        )
        raise conflict(text, run_id=sampler.run_id, sampler_id=sampler.id)
    if not statuses.has_ended(sampler):
        with store.transaction():
            statuses.record(sampler, "deactivated", note="on request")


def served_models(store: RecordStore) -> list[ServedModel]:
    """Return everything that is a model, the newest first: engines of samplers, and models made from checkpoints."""
    engines = [
        sampler
        for sampler in store.find(SamplerRecord)
        if sampler.model_id is not None and not _is_forgotten(store, sampler)
    ]
    found: list[ServedModel] = [*engines, *store.find(ModelDeploymentRecord)]
    return sorted(found, key=lambda served: served.created_at, reverse=True)


def find_model_deployment(store: RecordStore, model_id: str, deployment_id: str) -> ServedModel:
    """Return what a model deployment is: the engine of a sampler, or a model made from checkpoints."""
    for sampler in store.find(SamplerRecord, deployment_id=deployment_id):
        if sampler.model_id == model_id and not _is_forgotten(store, sampler):
            return sampler
    found = lookup(store, ModelDeploymentRecord, deployment_id, "model deployment")
    if found.model_id != model_id:
        raise not_found(f"deployment of the model {model_id}, with the id", deployment_id)
    return found


def forget_engine(store: RecordStore, sampler: SamplerRecord) -> None:
    """Let the model behind a sampler be gone, inside a transaction of the caller's; the sampler's record stays."""
    store.set_setting(_forgotten(sampler), "1")


def _is_forgotten(store: RecordStore, sampler: SamplerRecord) -> bool:
    return store.setting(_forgotten(sampler)) is not None


def _forgotten(sampler: SamplerRecord) -> str:
    return f"deleted model {sampler.model_id}"


def check_team(session: SessionRecord, team_id: str | None) -> None:
    """Refuse a session of another team than the path's."""
    if team_id is not None and session.team_id != team_id:
        raise invalid("session_id", f"Session {session.id} belongs to team {session.team_id}, not to {team_id}.")


def check_base_model(name: str, *, field: str = "base_model") -> None:
    """Refuse what cannot be a model id; the catalogue is no allowlist, but for the models of this machine."""
    if name.startswith(base_models.LOCAL) and name not in base_models.MODELS:
        known = " and ".join(one for one in base_models.MODELS if one.startswith(base_models.LOCAL))
        raise invalid(field, f"{field}: there is no {name[:200]}; the models of this machine are {known}.")
    if not base_models.is_model_id(name):
        raise invalid(field, f"{field} must be a Hugging Face model id such as Qwen/Qwen3-8B, not {name[:200]!r}.")


def check_length(field: str, value: int | None, base_model: str, longest: int) -> None:
    """Refuse a sequence length beyond a known model's."""
    if value is not None and base_model in base_models.MODELS and value > longest:
        raise invalid(field, f"{field}: {base_model} handles at most {longest} tokens, not {value}.")


def _pair_checked(
    store: RecordStore, statuses: Statuses, run: RunRecord, session: SessionRecord, body: CreateSampler
) -> SamplerRecord:
    if run.session_id != session.id:
        raise invalid("run_id", f"Run {run.id} belongs to session {run.session_id}, not to {session.id}.")
    placed = "deployment" if run.deployment_id else "serverless"
    if body.scope not in {None, "default", placed}:
        raise invalid("scope", f"Run {run.id} is on scope {placed}; its sampler follows it, so leave scope out.")
    if body.availability_model not in {None, run.availability_model}:
        raise invalid("availability_model", f"Run {run.id} is {run.availability_model}; its sampler inherits that.")
    if run.sampler_id is not None:
        return lookup(store, SamplerRecord, run.sampler_id, "sampler")
    if statuses.has_ended(run):
        raise conflict(f"Run {run.id} is INACTIVE; start a new run from one of its checkpoints.", run_id=run.id)
    check_length("max_seq_length", body.max_seq_length, run.base_model, base_models.model(run.base_model).sampler_len)
    with store.transaction():
        return pair(
            store,
            statuses,
            run,
            session,
            num_replicas=body.num_replicas or 1,
            max_seq_length=body.max_seq_length,
            model_path=body.model_path,
        )


def _reuse(store: RecordStore, statuses: Statuses, body: CreateSampler, base_model: str) -> SamplerRecord | None:
    """Return a live standalone sampler of the earlier session that fits, reconfigured; None if there is none."""
    lookup(store, SessionRecord, body.reuse_from_session_id or "", "session")
    for sampler in store.find(SamplerRecord, session_id=body.reuse_from_session_id):
        fits = (
            sampler.run_id is None
            and sampler.base_model == base_model
            and sampler.availability_model == (body.availability_model or "dedicated")
        )
        if fits and not statuses.has_ended(sampler):
            with store.transaction():
                moved = msgspec.structs.replace(sampler, session_id=body.session_id, model_path=body.model_path)
                store.update(moved)
                statuses.record(moved, "updated", note=f"reused by session {body.session_id}")
            return moved
    return None
