"""``/v1/loops/checkpoints``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from loops_nb.api.decoding import decode_dict, decode_many, decode_object, decode_one
from loops_nb.api.models import Checkpoint, CheckpointSource, CheckpointTombstone, DeployedModel
from loops_nb.client import checks
from loops_nb.client.operations.paths import loops_path
from loops_nb.client.pagination import FilesPage, PageToken, PageWalk, files_page, page
from loops_nb.client.request import CREATE_SECONDS, DELETE_SECONDS, Request, sent


def list_(
    *, run_id: str | None = None, base_model: str | None = None, checkpoint_path: str | None = None
) -> Request[list[Checkpoint]]:
    """``GET /v1/loops/checkpoints``; exactly one filter."""
    checks.exactly_one(run_id=run_id, base_model=base_model, checkpoint_path=checkpoint_path)
    query = {
        "run_id": checks.optional_identifier("run_id", run_id),
        "base_model": checks.optional_text("base_model", base_model),
        "checkpoint_path": checks.optional_checkpoint_uri("checkpoint_path", checkpoint_path),
    }
    decode = partial(decode_many, key="checkpoints", kind=Checkpoint)
    return Request("GET", loops_path("checkpoints"), decode, "list checkpoints", query=query)


def files(checkpoint_id: str, *, page_size: int) -> PageWalk:
    """``GET /v1/loops/checkpoints/{checkpoint_id}/files``, page by page."""
    checked = _files(checkpoint_id, page_size)
    return PageWalk(lambda token: checked(token).with_decoder(page), first=0)


def one_page(checkpoint_id: str, *, page_size: int, page_token: int) -> Request[FilesPage]:
    """``GET /v1/loops/checkpoints/{checkpoint_id}/files``, one page; the token is an offset."""
    token = checks.whole("page_token", page_token, least=0)
    return _files(checkpoint_id, page_size)(token).with_decoder(files_page)


def _files(checkpoint_id: str, page_size: int) -> Callable[[PageToken], Request[bytes]]:
    path = loops_path("checkpoints", checks.path_part("checkpoint_id", checkpoint_id), "files")
    size = checks.whole("page_size", page_size, least=1)
    description = f"list the files of checkpoint {checkpoint_id}"
    return lambda token: Request("GET", path, bytes, description, query={"page_size": size, "page_token": token})


def source(checkpoint_id: str) -> Request[CheckpointSource]:
    """``GET /v1/loops/checkpoints/{checkpoint_id}/source``."""
    path = loops_path("checkpoints", checks.path_part("checkpoint_id", checkpoint_id), "source")
    return Request(
        "GET",
        path,
        partial(decode_one, key="source", kind=CheckpointSource),
        f"get the source of checkpoint {checkpoint_id}",
    )


def delete(checkpoint_id: str) -> Request[CheckpointTombstone]:
    """``DELETE /v1/loops/checkpoints/{checkpoint_id}``; once more answers the same, so it may be repeated."""
    return Request(
        "DELETE",
        loops_path("checkpoints", checks.path_part("checkpoint_id", checkpoint_id)),
        partial(decode_object, kind=CheckpointTombstone),
        f"delete checkpoint {checkpoint_id}",
        safe=False,
        repeatable=True,
        recovery="Send it again: deleting a deleted checkpoint changes nothing.",
        seconds=DELETE_SECONDS,
    )


def validate(checkpoint_path: str, *, run_id: str | None = None) -> Request[None]:
    """``POST /v1/loops/checkpoints/validate``; it changes nothing, so it may be repeated."""
    body = sent(
        checkpoint_path=checks.checkpoint_uri("checkpoint_path", checkpoint_path, target="sampler"),
        run_id=checks.optional_identifier("run_id", run_id),
    )
    return Request("POST", loops_path("checkpoints", "validate"), _no_result, "validate a checkpoint", body=body)


def deploy(
    *, checkpoint_ids: Sequence[str], model_name: str, instance_type_id: str, hf_secret_name: str
) -> Request[DeployedModel]:
    """``POST /v1/loops/checkpoints/deploy``."""
    body = {
        "checkpoint_ids": [
            checks.identifier(f"checkpoint_ids[{i}]", c)
            for i, c in enumerate(checks.texts("checkpoint_ids", checkpoint_ids))
        ],
        "model_name": checks.text("model_name", model_name),
        "instance_type_id": checks.text("instance_type_id", instance_type_id),
        "hf_secret_name": checks.text("hf_secret_name", hf_secret_name),
    }
    return Request(
        "POST",
        loops_path("checkpoints", "deploy"),
        partial(decode_object, kind=DeployedModel),
        "deploy checkpoints",
        body=body,
        safe=False,
        recovery=(
            "A second deploy would be billed too: before you try again, see whether the model is there, with %loops "
            "deploy status or loops.models.frame()."
        ),
        seconds=CREATE_SECONDS,
    )


def _no_result(body: bytes) -> None:
    decode_dict(body)
