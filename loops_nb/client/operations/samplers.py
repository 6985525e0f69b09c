"""``/v1/loops/samplers``."""

from __future__ import annotations

from functools import partial

from loops_nb.api.decoding import decode_many, decode_object, decode_one
from loops_nb.api.models import Deactivated, Sampler
from loops_nb.client import checks
from loops_nb.client.operations.paths import loops_path
from loops_nb.client.placement import sampler_placement
from loops_nb.client.request import CREATE_SECONDS, Request, sent
from loops_nb.errors import InvalidArgumentError

_sampler = partial(decode_one, key="sampler", kind=Sampler)
_samplers = partial(decode_many, key="samplers", kind=Sampler)


def list_(*, scope: str | None = None, team_id: str | None = None) -> Request[list[Sampler]]:
    """``GET /v1/loops/samplers``."""
    query = {"scope": checks.optional_text("scope", scope)}
    return Request("GET", loops_path("samplers", team_id=team_id), _samplers, "list samplers", query=query)


def get(sampler_id: str) -> Request[Sampler]:
    """``GET /v1/loops/samplers/{sampler_id}``."""
    return Request(
        "GET", loops_path("samplers", checks.path_part("sampler_id", sampler_id)), _sampler, f"get sampler {sampler_id}"
    )


def create(
    *,
    session_id: str,
    base_model: str | None,
    run_id: str | None,
    scope: str | None,
    availability_model: str | None,
    max_seq_length: int | None,
    model_path: str | None,
    reuse_from_session_id: str | None,
    num_replicas: int | None,
    team_id: str | None,
) -> Request[Sampler]:
    """``POST /v1/loops/samplers``."""
    placed = sampler_placement(
        scope=scope,
        availability_model=availability_model,
        reuse_from_session_id=reuse_from_session_id,
        run_id=run_id,
    )
    body = sent(
        session_id=checks.identifier("session_id", session_id),
        base_model=checks.optional_text("base_model", base_model),
        run_id=checks.optional_identifier("run_id", run_id),
        scope=placed.scope,
        availability_model=placed.availability_model,
        max_seq_length=checks.optional_whole("max_seq_length", max_seq_length, least=1),
        model_path=checks.optional_checkpoint_uri("model_path", model_path, target="sampler"),
        reuse_from_session_id=placed.reuse_from_session_id,
        num_replicas=checks.optional_whole("num_replicas", num_replicas, least=1),
    )
    if not {"base_model", "run_id", "model_path"} & body.keys():
        raise InvalidArgumentError(
            "A sampler needs base_model (a baseline), model_path (a saved sampler checkpoint) or run_id (to pair it "
            "with a run).",
            argument="base_model",
        )
    return Request(
        "POST",
        loops_path("samplers", team_id=team_id),
        _sampler,
        f"create a sampler{placed.origin}",
        body=body,
        safe=False,
        recovery="See whether it exists before you try again: %loops samplers (newest first)",
        seconds=CREATE_SECONDS,
    )


def deactivate(sampler_id: str) -> Request[Deactivated]:
    """``POST /v1/loops/samplers/{sampler_id}/deactivate``."""
    return Request(
        "POST",
        loops_path("samplers", checks.path_part("sampler_id", sampler_id), "deactivate"),
        partial(decode_object, kind=Deactivated),
        f"deactivate sampler {sampler_id}",
        body={},
        safe=False,
        recovery=f"See its state: %loops sampler {sampler_id}",
    )
