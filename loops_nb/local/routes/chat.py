"""Calls of deployed models in the form of OpenAI's API: chat completions, and the list of what is served.

Only for the ``loops-local`` models, whose tokens are bytes: the service has no tokenizer of any other.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from loops_nb.api.chat_text import chat_text
from loops_nb.local import base_models
from loops_nb.local.http_errors import HTTPError, invalid, json_response, not_found
from loops_nb.local.routes.common import path_id, read_body, service_of
from loops_nb.local.rules import samplers
from loops_nb.local.service import Service
from loops_nb.local.store.records import ModelDeploymentRecord
from loops_nb.local.workers.process import OperationError, WorkerDiedError
from loops_nb.local.workers.sampling_queue import SampleHeaders
from loops_nb.local.workers.validation import check_sample

_DEFAULT_TOKENS = 128
_BYTES = 256


class Message(Struct):
    """One turn of a chat."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str


class ChatRequest(Struct, kw_only=True):
    """Body of ``POST .../v1/chat/completions``, as far as it is understood here."""

    model: str
    messages: Annotated[list[Message], Meta(min_length=1)]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: int | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None

    def sampling(self) -> dict[str, Any]:
        """Return the body of the request to the sampler."""
        prompt = chat_text([msgspec.to_builtins(message) for message in self.messages])
        limit = self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens
        body = {
            "prompt": list(prompt.encode()),
            "max_tokens": _DEFAULT_TOKENS if limit is None else limit,
            "temperature": 1.0 if self.temperature is None else self.temperature,
            "top_p": self.top_p,
            "n": self.n,
            "seed": self.seed,
            "stop": self.stop,
            "logprobs": 0,
            "return_tokens_as_token_ids": True,
        }
        return {name: value for name, value in body.items() if value is not None}


class _Choice(Struct):
    token_ids: list[int] = []
    finish_reason: str | None = None


class _Sampled(Struct):
    choices: list[_Choice]


async def complete(request: Request) -> Response:
    """Answer a chat."""
    service = service_of(request)
    model = _model(request, service)
    asked = await read_body(request, ChatRequest)
    if asked.stream:
        raise invalid("stream", "stream: the local service answers at once; leave it out.")
    if not base_models.is_bytes(model.base_model):
        raise invalid(
            "model",
            f"The local service has no tokenizer of {model.base_model}, so it reads no text for it; deploy a "
            f"checkpoint of {base_models.TINY.name}.",
        )
    sampling = asked.sampling()
    body = msgspec.json.encode(sampling)
    check_sample(body)
    worker = service.workers.deployed(model)
    try:
        answer, _ = await worker.sample(body, SampleHeaders(pin=asked.model), "")
    except OperationError as error:
        if error.error_class == "ValueError":
            raise invalid("messages", str(error)) from None
        raise HTTPError(500, "MODEL_FAILED", str(error)) from None
    except WorkerDiedError as error:
        raise HTTPError(502, "MODEL_DIED", f"The model's process {error} before it answered; send it again.") from None
    return json_response(_answer(asked, service.statuses.now(), sampling, answer))


async def list_served(request: Request) -> Response:
    """List what a request can name as its model."""
    service = service_of(request)
    model = _model(request, service)
    names = service.workers.deployed(model).served_names()
    served = [
        {"id": name, "object": "model", "created": model.created_at // 1000, "owned_by": model.owner} for name in names
    ]
    return json_response({"object": "list", "data": served})


def _answer(asked: ChatRequest, now: int, sampling: dict[str, Any], answer: bytes) -> dict[str, Any]:
    sampled = msgspec.json.decode(answer, type=_Sampled)
    prompt, completion = len(sampling["prompt"]), sum(len(choice.token_ids) for choice in sampled.choices)
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": now // 1000,
        "model": asked.model,
        "choices": [
            {
                "index": number,
                "message": {"role": "assistant", "content": _text(choice.token_ids)},
                "finish_reason": choice.finish_reason or "stop",
            }
            for number, choice in enumerate(sampled.choices)
        ],
        "usage": {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        },
    }


def _text(tokens: list[int]) -> str:
    return bytes(token for token in tokens if token < _BYTES).decode("utf-8", "replace")


def _model(request: Request, service: Service) -> ModelDeploymentRecord:
    model_id = path_id(request, "model_id", "model")
    deployment_id = path_id(request, "deployment_id", "model deployment")
    found = samplers.find_model_deployment(service.store, model_id, deployment_id)
    if not isinstance(found, ModelDeploymentRecord):
        raise not_found("model made from checkpoints, with the deployment", deployment_id)
    return found


_PATH = "/models/{model_id}/deployment/{deployment_id}/sync/v1"
ROUTES = [
    Route(_PATH + "/chat/completions", complete, methods=["POST"]),
    Route(_PATH + "/models", list_served, methods=["GET"]),
]
