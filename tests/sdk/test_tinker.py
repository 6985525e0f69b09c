"""Programs written for ``tinker`` run against the local service through the official shim."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sdk import fake_torch
from tests.sdk.conftest import MODEL, ending_runs
from tests.sdk.training_data import tensor

tinker: Any = pytest.importorskip("tinker", reason="the tinker shim is not installed")
TEXT = b"written for tinker."


@pytest.fixture
def shim(connected: Any) -> Iterator[Any]:
    with ending_runs(connected.url):
        yield tinker.ServiceClient()


def training_example() -> Any:
    tokens = list(TEXT)
    inputs = {"target_tokens": tensor(tokens[1:], "int64"), "weights": tensor([1.0] * (len(tokens) - 1))}
    return tinker.Datum(model_input=tinker.ModelInput.from_ints(tokens[:-1]), loss_fn_inputs=inputs)


def train(client: Any, count: int) -> list[float]:
    losses = []
    for _ in range(count):
        forward = client.forward_backward([training_example()], "cross_entropy")
        client.optim_step(tinker.AdamParams(learning_rate=5e-3)).result()
        losses.append(forward.result().loss)
    return losses


def test_train_sample_save_and_resume(shim: Any) -> None:
    client = shim.create_lora_training_client(MODEL, rank=8, seed=1, train_mlp=True, train_attn=True)
    assert isinstance(client, tinker.TrainingClient)
    losses = train(client, 40)
    assert losses[-1] < losses[0] / 3
    sampler = client.save_weights_and_get_sampling_client(name="shimmed")
    prompt = tinker.ModelInput.from_ints(list(TEXT[:8]))
    (sequence,) = sampler.sample(prompt, 1, tinker.SamplingParams(max_tokens=11, temperature=0.0)).sequences
    assert bytes(sequence.tokens) == TEXT[8:]
    path = client.save_state("here").result().path
    later = train(client, 3)
    resumed = shim.create_training_client_from_state_with_optimizer(path)
    assert isinstance(resumed, tinker.TrainingClient)
    assert train(resumed, 3) == later
    files = shim.create_rest_client().get_checkpoint_archive_url(client.run_id, "here").result()
    assert files.total_count == len(files.presigned_urls) > 0


def test_the_asynchronous_cookbook_way(shim: Any) -> None:
    async def cook() -> list[float]:
        client = await shim.create_lora_training_client_async(MODEL, rank=4, seed=2)
        losses = []
        for _ in range(4):
            forward = await client.forward_backward_async([training_example()], "cross_entropy")
            optim = await client.optim_step_async(tinker.AdamParams(learning_rate=5e-3))
            losses.append((await forward).loss)
            await optim
        sampler = await client.save_weights_and_get_sampling_client_async("cooked")
        answer = await sampler.sample_async(
            tinker.ModelInput.from_ints([1, 2, 3]), 2, tinker.SamplingParams(max_tokens=3, seed=1)
        )
        assert [len(one.tokens) for one in answer.sequences] == [3, 3]
        await sampler.aclose()
        return losses

    losses = asyncio.run(cook())
    assert losses == sorted(losses, reverse=True)


def test_a_loss_of_ones_own(shim: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_torch.put_in_place(monkeypatch)
    client = shim.create_lora_training_client(MODEL, rank=4, seed=2)

    def likelihood(data: list[Any], logprobs: list[Any]) -> tuple[Any, dict[str, float]]:
        return fake_torch.Loss(logprobs, [-1.0 for _ in logprobs]), {"mine": float(logprobs[0].values.sum())}

    seen = []
    for _ in range(10):
        seen.append(client.forward_backward_custom([training_example()], likelihood).result().metrics["mine"])
        client.optim_step(tinker.AdamParams(learning_rate=5e-3)).result()
    assert seen[-1] > seen[0]
