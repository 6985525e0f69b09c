"""The seven older routes, ``/v1/trainers`` and ``/v1/trainer_sessions``, kept for compatibility."""

from __future__ import annotations

from functools import partial

from loops_nb.api.decoding import decode_many, decode_one
from loops_nb.api.models import LegacyCheckpoint, LegacySamplingServer, LegacyTrainer, LegacyTrainerServer, Session
from loops_nb.client import checks
from loops_nb.client.pagination import Page, PageToken, PageWalk, page
from loops_nb.client.request import CREATE_SECONDS, Request, sent

_SESSIONS = "/v1/trainer_sessions"


def search_trainers(trainer_id: str | None) -> Request[list[LegacyTrainer]]:
    """``POST /v1/trainers/search``; it reads, so it may be repeated."""
    body = {"trainer_id": checks.optional_identifier("trainer_id", trainer_id)}
    return Request(
        "POST",
        "/v1/trainers/search",
        partial(decode_many, key="trainers", kind=LegacyTrainer),
        "search trainers",
        body=body,
    )


def search_checkpoint(checkpoint_path: str) -> Request[LegacyCheckpoint]:
    """``POST /v1/trainers/checkpoints/search``; it reads, so it may be repeated."""
    body = {"checkpoint_path": checks.checkpoint_uri("checkpoint_path", checkpoint_path)}
    decode = partial(decode_one, key="checkpoint", kind=LegacyCheckpoint)
    return Request("POST", "/v1/trainers/checkpoints/search", decode, "search a checkpoint", body=body)


def create_session(*, training_project_id: str | None) -> Request[Session]:
    """``POST /v1/trainer_sessions``."""
    return Request(
        "POST",
        _SESSIONS,
        partial(decode_one, key="session", kind=Session),
        "create a session",
        body=sent(training_project_id=checks.optional_identifier("training_project_id", training_project_id)),
        safe=False,
        recovery="A session whose answer was lost costs nothing; it is safe to create another.",
        seconds=CREATE_SECONDS,
    )


def create_trainer(
    session_id: str,
    *,
    model: str,
    max_seq_len: int | None,
    lora_rank: int | None,
    seed: int | None,
    scale_down_delay_seconds: int | None,
    checkpoint_path: str | None,
) -> Request[LegacyTrainerServer]:
    """``POST /v1/trainer_sessions/{session_id}/trainers``."""
    body = sent(
        model=checks.text("model", model),
        max_seq_len=checks.optional_whole("max_seq_len", max_seq_len, least=1),
        lora_rank=checks.optional_whole("lora_rank", lora_rank, least=1),
        seed=checks.optional_whole("seed", seed),
        # Only the newer routes have a largest delay.
        scale_down_delay_seconds=checks.optional_whole("scale_down_delay_seconds", scale_down_delay_seconds, least=1),
        checkpoint_path=checks.optional_checkpoint_uri("checkpoint_path", checkpoint_path, target="trainer"),
    )
    return Request(
        "POST",
        f"{_SESSIONS}/{checks.path_part('session_id', session_id)}/trainers",
        partial(decode_one, key="trainer_server", kind=LegacyTrainerServer),
        "create a trainer",
        body=body,
        safe=False,
        recovery=f"See whether it exists before you try again: loops.runs.find(session_id={session_id!r})",
        seconds=CREATE_SECONDS,
    )


def create_sampler(
    session_id: str, *, model: str, max_seq_length: int | None, checkpoint_path: str | None
) -> Request[LegacySamplingServer]:
    """``POST /v1/trainer_sessions/{session_id}/samplers``."""
    body = sent(
        model=checks.text("model", model),
        max_seq_length=checks.optional_whole("max_seq_length", max_seq_length, least=1),
        checkpoint_path=checks.optional_checkpoint_uri("checkpoint_path", checkpoint_path, target="sampler"),
    )
    return Request(
        "POST",
        f"{_SESSIONS}/{checks.path_part('session_id', session_id)}/samplers",
        partial(decode_one, key="sampling_server", kind=LegacySamplingServer),
        "create a sampler",
        body=body,
        safe=False,
        recovery="See whether it exists before you try again: loops.samplers.list() (newest first)",
        seconds=CREATE_SECONDS,
    )


def checkpoints(session_id: str, trainer_id: str) -> Request[list[LegacyCheckpoint]]:
    """``GET /v1/trainer_sessions/{session_id}/trainers/{trainer_id}/checkpoints``."""
    decode = partial(decode_many, key="checkpoints", kind=LegacyCheckpoint)
    return Request(
        "GET", _checkpoints_path(session_id, trainer_id), decode, f"list the checkpoints of trainer {trainer_id}"
    )


def checkpoint_files(session_id: str, trainer_id: str, checkpoint_id: str, *, page_size: int) -> PageWalk:
    """``GET .../checkpoints/{checkpoint_id}/files``, page by page."""
    path = f"{_checkpoints_path(session_id, trainer_id)}/{checks.path_part('checkpoint_id', checkpoint_id)}/files"
    size = checks.whole("page_size", page_size, least=1)

    def request_for(token: PageToken) -> Request[Page]:
        return Request(
            "GET",
            path,
            page,
            f"list the files of checkpoint {checkpoint_id}",
            query={"page_size": size, "page_token": token},
        )

    return PageWalk(request_for, first=0)


def _checkpoints_path(session_id: str, trainer_id: str) -> str:
    session, trainer = checks.path_part("session_id", session_id), checks.path_part("trainer_id", trainer_id)
    return f"{_SESSIONS}/{session}/trainers/{trainer}/checkpoints"
