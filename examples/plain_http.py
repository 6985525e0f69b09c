"""The same training loop without the SDK: httpx and a few lines, for Python 3.11 and for languages that have no SDK.

pip install httpx
loops-nb serve                                     (in another terminal: the local service, no key, no GPU)
LOOPS_BASE_URL=http://127.0.0.1:8787 BASETEN_API_KEY=$(loops-nb token) python plain_http.py
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Sequence
from typing import Any

import httpx


class RefusedError(RuntimeError):
    """The service refused a request; ``status`` is the HTTP status."""

    def __init__(self, answer: httpx.Response) -> None:
        try:
            words = answer.json()["message"]
        except (ValueError, KeyError, TypeError):
            words = answer.text
        super().__init__(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {words}")
        self.status = answer.status_code


class PlainLoops:
    """A connection to Loops, hosted or local.

    Parameters
    ----------
    base_url, api_key
        Of the environment (``LOOPS_BASE_URL``, ``BASETEN_API_KEY``) when left out; ``loops-nb token`` prints the key of
        a local service.
    """

    def __init__(self, base_url: str | None = None, api_key: str | None = None) -> None:
        self.base_url = (base_url or os.environ.get("LOOPS_BASE_URL", "https://api.baseten.co")).rstrip("/")
        key = api_key or os.environ.get("BASETEN_API_KEY", "none")
        self._http = httpx.Client(headers={"Authorization": f"Api-Key {key}"}, timeout=300)

    def request(
        self, method: str, url: str, *, body: dict[str, Any] | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send a request and return the answer; 408 and 502 are returned, they mean "send it again"."""
        answer = self._http.request(
            method, url if url.startswith("http") else self.base_url + url, json=body, headers=headers
        )
        if answer.is_error and answer.status_code not in {408, 502}:
            raise RefusedError(answer)
        return answer

    def session(self) -> str:
        """Create a session and return its id."""
        return str(self.request("POST", "/v1/loops/sessions").json()["session"]["id"])

    def run(
        self, base_model: str = "loops-local/tiny", *, lora_rank: int = 16, session_id: str | None = None, **more: Any
    ) -> PlainRun:
        """Create a run (``name=``, ``seed=``, ``path=`` of a checkpoint, ...) and wait until its trainer is up."""
        body = {"session_id": session_id or self.session(), "base_model": base_model, "lora_rank": lora_rank, **more}
        run = PlainRun(self, self.request("POST", "/v1/loops/trainers", body=body).json()["run"])
        run.wait_until_up()
        run.operation("init_trainer_server", lora_rank=lora_rank, base_model=base_model)
        return run

    def close(self) -> None:
        """Close the connection; runs are not ended."""
        self._http.close()


class PlainRun:
    """A run: every method sends an operation, waits for it and returns its result."""

    def __init__(self, loops: PlainLoops, record: dict[str, Any]) -> None:
        self._loops = loops
        self.run_id: str = record["id"]
        self.session_id: str = record["session_id"]
        self.base_url: str = record["base_url"]
        self._sampler: str | None = None
        self._version = 0

    def wait_until_up(self) -> None:
        """Wait for the trainer: any status but 200 means "not yet", the gateway's code ``06`` means "never"."""
        while True:
            try:
                if self._loops.request("GET", f"{self.base_url}/health").is_success:
                    return
            except RefusedError as error:
                if error.status == httpx.codes.UNPROCESSABLE_ENTITY:
                    raise
            time.sleep(1.0)

    def submit(self, operation: str, /, **fields: Any) -> str:
        """Send an operation and return its id at once; operations are executed in the order of arrival."""
        # The key makes it safe to send again after a lost answer: the work is done once.
        headers = {"Idempotency-Key": uuid.uuid4().hex, "X-Run-Id": self.run_id}
        body = {"run_id": self.run_id, **fields}
        return str(
            self._loops.request("POST", f"{self.base_url}/{operation}", body=body, headers=headers).json()[
                "operation_id"
            ]
        )

    def wait(self, operation_id: str) -> dict[str, Any]:
        """Return the result of an operation."""
        while True:
            # The service holds the request until there is something to say, half a minute at most.
            answer = self._loops.request(
                "GET", f"{self.base_url}/operations/{operation_id}", headers={"X-Run-Id": self.run_id}
            )
            if answer.status_code == httpx.codes.OK:
                break
        said = answer.json()
        if said["status"] == "error":
            raise RuntimeError(f"{said['error_class']}: {said['error']}")
        result: dict[str, Any] = said["result"]
        return result

    def operation(self, operation: str, /, **fields: Any) -> dict[str, Any]:
        """Send an operation and return its result."""
        return self.wait(self.submit(operation, **fields))

    def forward_backward(self, data: list[dict[str, Any]], loss_fn: str = "cross_entropy") -> dict[str, Any]:
        """Compute a loss and accumulate its gradients."""
        return self.operation("forward_backward", data=data, loss_fn=loss_fn)

    def optim_step(self, learning_rate: float = 5e-3, **adam: float) -> dict[str, Any]:
        """Apply the gradients."""
        return self.operation("optim_step", adam_params={"learning_rate": learning_rate, **adam})

    def save_state(self, name: str) -> str:
        """Save weights and optimizer; return the path from which a run can start."""
        return str(self.operation("save_state", name=name)["path"])

    def save_for_sampler(self, name: str) -> str:
        """Save the adapter and let the run's sampler serve it; return its path."""
        done = self.operation("save_weights_for_sampler", name=name, bump_version=True)
        self._version = done["version"]
        return str(done["path"])

    def sample(
        self, prompt: Sequence[int], *, max_tokens: int = 32, temperature: float = 0.0, n: int = 1
    ) -> list[list[int]]:
        """Return what the sampler of the run writes after a prompt, as token ids."""
        self._sampler = self._sampler or self._start_sampler()
        # Without a floor the sampler serves the base model.
        floor = {"X-Min-Policy-Version": str(self._version)} if self._version else {}
        body = {"prompt": list(prompt), "max_tokens": max_tokens, "temperature": temperature, "n": n}
        marked = {"logprobs": 0, "return_tokens_as_token_ids": True}
        while True:
            answer = self._loops.request(
                "POST", f"{self._sampler}/sample", body={**body, **marked}, headers={"X-Run-Id": self.run_id, **floor}
            )
            if answer.status_code == httpx.codes.OK:
                return [
                    [int(token.partition(":")[2]) for token in one["logprobs"]["tokens"]]
                    for one in answer.json()["choices"]
                ]

    def _start_sampler(self) -> str:
        body = {"session_id": self.session_id, "run_id": self.run_id}
        sampler = self._loops.request("POST", "/v1/loops/samplers", body=body).json()["sampler"]
        status = f"/v1/models/{sampler['model_id']}/deployments/{sampler['deployment_id']}"
        while self._loops.request("GET", status).json()["status"] != "ACTIVE":
            time.sleep(0.5)
        return str(sampler["base_url"])


def datum(tokens: Sequence[int], targets: Sequence[int], weights: Sequence[float] | None = None) -> dict[str, Any]:
    """Return an example: ``targets[i]`` is to follow ``tokens[:i + 1]``; weight 0 or target -100 is not learnt."""
    inputs = {"target_tokens": {"data": list(targets), "dtype": "int64", "shape": [len(targets)]}}
    if weights is not None:
        inputs["weights"] = {"data": list(weights), "dtype": "float32", "shape": [len(weights)]}
    return {"model_input": {"chunks": [{"type": "encoded_text", "tokens": list(tokens)}]}, "loss_fn_inputs": inputs}


def words_of(tokens: Sequence[int]) -> str:
    """Return the text of a local model's tokens, which are bytes and a few marks above them."""
    return bytes(one for one in tokens if one in range(256)).decode("utf-8", "replace")


def main() -> None:
    """Teach a sentence, byte by byte."""
    text = b"the quick brown fox jumps over the lazy dog."
    loops = PlainLoops()
    run = loops.run(os.environ.get("LOOPS_BASE_MODEL", "loops-local/tiny"), name="plain HTTP example", seed=0)
    print(f"run {run.run_id}: before training it says {words_of(run.sample(text[:10])[0])!r}")
    for step in range(1, 61):
        loss = run.forward_backward([datum(text[:-1], text[1:])])["loss"]
        run.optim_step()
        if step == 1 or step % 10 == 0:
            print(f"step {step:3d}  loss {loss:.4f}")
    print(f"saved as {run.save_state('trained')}")
    run.save_for_sampler("trained")
    print(f"after training it says {words_of(run.sample(text[:10])[0])!r}")
    loops.close()


if __name__ == "__main__":
    main()
