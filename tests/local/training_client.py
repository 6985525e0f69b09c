"""A training client of a few lines, for tests of the data plane."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import httpx

from tests.local.responses import good

TINY = "loops-local/tiny"
RANK = 4
TEXT = list(b"the quick brown fox jumps over the lazy dog")


def datum(tokens: Sequence[int] = TEXT) -> dict[str, Any]:
    """A text as training data: each token's target is the next one."""
    targets = {"data": list(tokens[1:]), "dtype": "int64", "shape": [len(tokens) - 1]}
    chunks = [{"type": "encoded_text", "tokens": list(tokens[:-1])}]
    return {"model_input": {"chunks": chunks}, "loss_fn_inputs": {"target_tokens": targets}}


class TrainingClient:
    """A run and its operations."""

    def __init__(self, api: httpx.Client, session_id: str, *, base_model: str = TINY, **fields: Any) -> None:
        self.api = api
        self.session_id = session_id
        body = {"session_id": session_id, "base_model": base_model, "lora_rank": RANK, "seed": 7, **fields}
        self.run = good(api.post("/v1/loops/trainers", json=body))["run"]
        self.url = self.run["base_url"]

    def submit(self, operation: str, /, *, key: str | None = None, **body: Any) -> httpx.Response:
        """Ask for an operation."""
        return self.api.post(f"{self.url}/{operation}", json=body, headers={"Idempotency-Key": key or uuid.uuid4().hex})

    def accepted(self, operation: str, /, **body: Any) -> str:
        """Ask for an operation, which must be accepted; return its id."""
        answer = self.submit(operation, **body)
        assert answer.status_code == 202, answer.text
        assert answer.json()["schema_version"] == 1
        return str(answer.json()["operation_id"])

    def poll(self, operation_id: str) -> dict[str, Any]:
        """Wait until an operation is done or an error."""
        while True:
            answer = self.api.get(f"{self.url}/operations/{operation_id}")
            if answer.status_code != 408:
                found: dict[str, Any] = good(answer)
                return found

    def do(self, operation: str, /, **body: Any) -> dict[str, Any]:
        """Do an operation that must go well; return its result."""
        done = self.poll(self.accepted(operation, **body))
        assert done["status"] == "done", done
        result: dict[str, Any] = done["result"]
        return result

    def fail(self, operation: str, /, **body: Any) -> dict[str, Any]:
        """Do an operation that must become an error; return it."""
        failed = self.poll(self.accepted(operation, **body))
        assert failed["status"] == "error", failed
        return failed

    def init(self) -> TrainingClient:
        """Begin, as training clients do."""
        assert self.do("init_trainer_server", lora_rank=RANK, base_model=TINY) == {"step": 0, "lora_rank": RANK}
        return self

    def step(self, tokens: Sequence[int] = TEXT, rate: float = 0.01) -> float:
        """Take a step and return the loss before it."""
        loss = float(self.do("forward_backward", data=[datum(tokens)] * 2, loss_fn="cross_entropy")["loss"])
        self.do("optim_step", adam_params={"learning_rate": rate})
        return loss

    def sampler(self) -> dict[str, Any]:
        """The run's sampler."""
        body = {"session_id": self.session_id, "run_id": self.run["id"]}
        made: dict[str, Any] = good(self.api.post("/v1/loops/samplers", json=body))["sampler"]
        return made

    def logs(self) -> list[str]:
        """The lines of the deployment's logs, oldest first."""
        path = f"/v1/loops/deployments/{self.run['deployment_id']}/logs"
        return [line["message"] for line in good(self.api.get(path, params={"direction": "asc"}))["logs"]]


def sample(
    api: httpx.Client,
    sampler: dict[str, Any],
    prompt: Sequence[int] = TEXT[:10],
    *,
    headers: dict[str, str] | None = None,
    **body: Any,
) -> httpx.Response:
    """Complete a prompt, greedily unless said otherwise."""
    wanted = {
        "prompt": list(prompt),
        "max_tokens": 8,
        "temperature": 0,
        "logprobs": 0,
        "return_tokens_as_token_ids": True,
        **body,
    }
    return api.post(sampler["base_url"] + "/sample", json=wanted, headers=headers)


def tokens(answer: httpx.Response) -> list[int]:
    """The sampled ids of an answer with one completion."""
    found: list[int] = good(answer)["choices"][0]["token_ids"]
    return found
