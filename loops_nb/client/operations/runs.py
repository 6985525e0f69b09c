"""``/v1/loops/runs`` and ``/v1/loops/trainers``."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec

from loops_nb.api.decoding import decode_many, decode_object, decode_one
from loops_nb.api.models import Deactivated, DeletedRun, Run
from loops_nb.client import checks
from loops_nb.client.operations.paths import loops_path
from loops_nb.client.placement import run_placement
from loops_nb.client.request import CREATE_SECONDS, DELETE_SECONDS, Request, sent

MAX_SCALE_DOWN_DELAY_SECONDS = 3600
_DELAY_HINT = (
    "The first documents of the API took any positive number; since 2026-07 an hour (3600) is the most. Each request "
    "to the run begins the delay again."
)
_run = partial(decode_one, key="run", kind=Run)
_runs = partial(decode_many, key="runs", kind=Run)


def list_(
    *, run_id: str | None = None, base_model: str | None = None, scope: str | None = None, team_id: str | None = None
) -> Request[list[Run]]:
    """``GET /v1/loops/runs``."""
    query = {
        "run_id": checks.optional_identifier("run_id", run_id),
        "base_model": checks.optional_text("base_model", base_model),
        "scope": checks.optional_text("scope", scope),
    }
    return Request("GET", loops_path("runs", team_id=team_id), _runs, "list runs", query=query)


def get(run_id: str) -> Request[Run]:
    """``GET /v1/loops/runs/{run_id}``."""
    return Request("GET", loops_path("runs", checks.path_part("run_id", run_id)), _run, f"get run {run_id}")


def create(*, sampler_num_replicas: int | None = None, **fields: Any) -> Request[Run]:
    """``POST /v1/loops/runs``: a run and its sampler."""
    replicas = checks.optional_whole("sampler_num_replicas", sampler_num_replicas, least=1)
    return _create("runs", "create a run", {"sampler_num_replicas": replicas}, **fields)


def create_trainer(**fields: Any) -> Request[Run]:
    """``POST /v1/loops/trainers``: a run without a sampler."""
    return _create("trainers", "create a trainer", {}, **fields)


def _create(
    route: str,
    description: str,
    more: dict[str, Any],
    *,
    session_id: str,
    base_model: str,
    name: str | None,
    max_seq_len: int | None,
    lora_rank: int | None,
    seed: int | None,
    scale_down_delay_seconds: int | None,
    path: str | None,
    scope: str | None,
    availability_model: str | None,
    replicas: int | None,
    reuse_from_run_id: str | None,
    reuse_from_session_id: str | None,
    team_id: str | None,
) -> Request[Run]:
    placed = run_placement(
        scope=scope,
        availability_model=availability_model,
        reuse_from_run_id=reuse_from_run_id,
        reuse_from_session_id=reuse_from_session_id,
    )
    body = sent(
        session_id=checks.identifier("session_id", session_id),
        base_model=checks.text("base_model", base_model),
        name=checks.name("name", name),
        max_seq_len=checks.optional_whole("max_seq_len", max_seq_len, least=1),
        lora_rank=checks.optional_whole("lora_rank", lora_rank, least=1),
        seed=checks.optional_whole("seed", seed),
        scale_down_delay_seconds=checks.optional_whole(
            "scale_down_delay_seconds",
            scale_down_delay_seconds,
            least=1,
            most=MAX_SCALE_DOWN_DELAY_SECONDS,
            hint=_DELAY_HINT,
        ),
        path=checks.optional_checkpoint_uri("path", path, target="trainer"),
        scope=placed.scope,
        availability_model=placed.availability_model,
        replicas=checks.optional_whole("replicas", replicas, least=1),
        reuse_from_run_id=placed.reuse_from_run_id,
        reuse_from_session_id=placed.reuse_from_session_id,
        **more,
    )
    return Request(
        "POST",
        loops_path(route, team_id=team_id),
        _run,
        description + placed.origin,
        body=body,
        safe=False,
        recovery=f"See whether it exists before you try again: %loops find --session {session_id}",
        seconds=CREATE_SECONDS,
    )


def deactivate(run_id: str) -> Request[Deactivated]:
    """``POST /v1/loops/runs/{run_id}/deactivate``."""
    return Request(
        "POST",
        loops_path("runs", checks.path_part("run_id", run_id), "deactivate"),
        partial(decode_object, kind=Deactivated),
        f"deactivate run {run_id}",
        body={},
        safe=False,
        recovery=f"See its state: %loops run {run_id}",
    )


def delete(run_id: str) -> Request[DeletedRun]:
    """``DELETE /v1/loops/runs/{run_id}``; on a repetition a run that is gone was deleted by the attempt before."""
    return Request(
        "DELETE",
        loops_path("runs", checks.path_part("run_id", run_id)),
        partial(decode_object, kind=DeletedRun),
        f"delete run {run_id}",
        safe=False,
        repeatable=True,
        if_gone=msgspec.json.encode({"id": run_id}),
        recovery=f"See whether it is still there: %loops run {run_id}",
        seconds=DELETE_SECONDS,
    )
