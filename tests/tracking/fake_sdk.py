"""A training client with the interface of the SDK's; answers at once, and fails on request."""

from __future__ import annotations

from collections.abc import Generator
from types import SimpleNamespace
from typing import Any


class Future:
    """A future that is done."""

    def __init__(self, result: Any) -> None:
        self.operation_id = "op"
        self._result = result

    def result(self, timeout: float | None = None) -> Any:
        if isinstance(self._result, Exception):
            raise self._result
        return self._result

    async def result_async(self) -> Any:
        return self.result()

    def done(self) -> bool:
        return True

    def __await__(self) -> Generator[Any, None, Any]:
        return self.result_async().__await__()


class Client:
    """Imitates the SDK's training client."""

    def __init__(self, run_id: str | None = "abc1234") -> None:
        self.run_id = run_id
        self._session_id = "sess123"
        self._base_model = "Qwen/Qwen3-8B"
        self._lora_rank = 16
        self.policy_version = 0
        self.fails: Exception | None = None
        self.result_fails: Exception | None = None
        self.closed = False

    def _answer(self, **result: Any) -> Future:
        if self.fails is not None:
            raise self.fails
        return Future(self.result_fails or SimpleNamespace(**result))

    def forward_backward(self, data: list[Any], loss_fn: str = "cross_entropy") -> Future:
        return self._answer(loss=float(len(data)), metrics={"entropy": 0.5, "tokens": 1.0})

    async def forward_backward_async(self, data: list[Any], loss_fn: str = "cross_entropy") -> Future:
        return self.forward_backward(data, loss_fn)

    def forward(self, data: list[Any]) -> Future:
        return self._answer(loss=9.0, metrics={})

    def optim_step(self, adam_params: Any) -> Future:
        return self._answer(metrics={"grad_norm": 0.25, "step": 77.0})

    async def optim_step_async(self, adam_params: Any) -> Future:
        return self.optim_step(adam_params)

    def save_state(self, name: str, ttl_seconds: int | None = None) -> Future:
        return self._answer(path=f"bt://loops:{self.run_id}/weights/{name}-0123")

    def save_weights_for_sampler(self, name: str) -> Future:
        return self._answer(path="s3://elsewhere/")

    def load_state(self, path: str) -> Future:
        return self._answer(step=2)

    def save_weights_and_get_sampling_client(self, name: str = "default") -> Sampler:
        return Sampler()

    def create_sampling_client(self, model_path: str) -> Sampler:
        return Sampler()

    def get_info(self) -> str:
        return "info"

    def close(self) -> None:
        self.closed = True


class Sampler:
    """Imitates the SDK's sampling client."""

    checkpoint_path: str | None = None

    def sample(self, prompt: Any, num_samples: int = 1) -> Any:
        return SimpleNamespace(sequences=[SimpleNamespace(tokens=[1, 2, 3]) for _ in range(num_samples)])

    async def sample_async(self, prompt: Any, num_samples: int = 1) -> Any:
        return self.sample(prompt, num_samples)


def data(*lengths: int) -> list[Any]:
    return [SimpleNamespace(model_input=SimpleNamespace(length=length)) for length in lengths]


def adam(rate: float) -> Any:
    return SimpleNamespace(learning_rate=rate)
