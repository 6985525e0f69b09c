"""The official training client, unmodified, trains the local service's model."""

from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from baseten.loops import ImageChunk, ModelInput, RemoteOpError

from tests.sdk import fake_torch
from tests.sdk.training_data import adam, datum, sentences, steps, tensor

Make = Callable[..., Any]
#: An error that comes within this is told at once; the SDK goes on asking for an hour when it takes one for a slow
#: start.
AT_ONCE = 30.0


def test_a_session_has_an_id_that_the_service_knows(loops: Any, connected: Any) -> None:
    answer = httpx.get(f"{connected.url}/v1/loops/sessions/{loops.session_id}", headers=connected.headers)
    assert answer.json() == {"session": {"id": loops.session_id}}


def test_capabilities_name_the_model_that_is_trained_here(loops: Any) -> None:
    offered = {model.model_name: model.max_context_length for model in loops.get_server_capabilities().supported_models}
    assert offered["loops-local/tiny"]
    assert offered["loops-local/small"]


def test_loss_falls_in_fifty_steps(trainer: Make) -> None:
    client = trainer()
    client.health()
    assert client.policy_version == 0
    losses = steps(client, 50)
    assert client.policy_version == 50
    assert losses[-1] < losses[0] / 3, losses
    # It falls all the way, not only at the ends.
    fifths = [sum(losses[at : at + 10]) for at in range(0, 50, 10)]
    assert fifths == sorted(fifths, reverse=True), losses


def test_a_seed_gives_the_same_numbers_and_another_gives_others(trainer: Make) -> None:
    first, again, other = trainer(seed=3), trainer(seed=3), trainer(seed=4)
    assert steps(first, 5) == steps(again, 5)
    assert steps(other, 5) != steps(again, 5)


def test_operations_submitted_ahead_do_the_same_as_one_by_one(trainer: Make) -> None:
    ahead, one_by_one = trainer(), trainer()
    pending = [(ahead.forward_backward(sentences()), ahead.optim_step(adam())) for _ in range(20)]
    slowly = []
    for _ in range(20):
        slowly.append(one_by_one.forward_backward(sentences()).result(timeout=60).loss)
        one_by_one.optim_step(adam()).result(timeout=60)
    # The last first: a result does not wait to be asked for in order.
    pending[-1][1].result(timeout=60)
    assert [forward.result(timeout=60).loss for forward, _ in pending] == slowly


def test_async_client_does_the_same(trainer: Make) -> None:
    async def train(client: Any) -> list[float]:
        losses = []
        for _ in range(5):
            forward = await client.forward_backward_async(sentences())
            optim = await client.optim_step_async(adam())
            losses.append((await forward).loss)
            await optim
        return losses

    assert asyncio.run(train(trainer())) == steps(trainer(), 5)


def test_every_datum_gets_its_logprobs_and_the_loss_is_their_mean(shared: Any) -> None:
    batch = sentences()
    out = shared.forward(batch).result(timeout=60)
    assert [row["logprobs"].shape for row in out.loss_fn_outputs] == [
        row.loss_fn_inputs["target_tokens"].shape for row in batch
    ]
    every = [value for row in out.loss_fn_outputs for value in row["logprobs"].data]
    assert all(value < 0 for value in every)
    # Rows of the same weight a token or the same weight a row: the mean is between the rows' own.
    means = [float(np.mean(row["logprobs"].data)) for row in out.loss_fn_outputs]
    assert min(means) <= -out.loss <= max(means)


def test_forward_changes_neither_weights_nor_gradients(trainer: Make) -> None:
    looked, blind = trainer(), trainer()
    for client in (looked, blind):
        client.forward_backward(sentences()).result(timeout=60)
        if client is looked:
            client.forward([datum(list(b"something else"))]).result(timeout=60)
        client.optim_step(adam()).result(timeout=60)
    assert looked.forward(sentences()).result(timeout=60).loss == blind.forward(sentences()).result(timeout=60).loss


def test_gradients_add_up_until_the_step(trainer: Make) -> None:
    whole, halves = trainer(), trainer()
    batch = sentences()
    whole.forward_backward(batch)
    halves.forward_backward(batch[:2])
    halves.forward_backward(batch[2:])
    for client in (whole, halves):
        client.optim_step(adam(1e-3)).result(timeout=60)
    one, other = (client.forward(batch).result(timeout=60) for client in (whole, halves))
    for row, twin in zip(one.loss_fn_outputs, other.loss_fn_outputs, strict=True):
        np.testing.assert_allclose(row["logprobs"].data, twin["logprobs"].data, rtol=2e-3, atol=2e-3)


def test_weights_and_masks_choose_what_is_learnt(shared: Any) -> None:
    text = list(b"question: answer")
    weights = [0.0] * 9 + [1.0] * 6
    masked = [-100] * 9 + text[10:]
    weighted = shared.forward([datum(text, weights=tensor(weights))]).result(timeout=60)
    hidden = shared.forward([datum(text, target_tokens=tensor(masked, "int64"))]).result(timeout=60)
    assert weighted.loss == pytest.approx(hidden.loss, rel=1e-5)
    assert weighted.loss != pytest.approx(shared.forward([datum(text)]).result(timeout=60).loss, rel=1e-5)


def test_a_request_beyond_the_cap_of_the_sdk_is_split_and_adds_up(trainer: Make) -> None:
    wide = 700
    rng = np.random.default_rng(0)
    rows = []
    for start in range(12):
        tokens = [(start * 31 + 7 * at) % 256 for at in range(129)]
        targets = np.repeat(np.array(tokens[1:])[:, None], wide, axis=1).reshape(-1).tolist()
        weights = (rng.random(128 * wide) / wide).tolist()
        shape = [128, wide]
        rows.append(
            datum(tokens, target_tokens=tensor(targets, "int64", shape), weights=tensor(weights, "float32", shape))
        )
    size = sum(len(row.model_dump_json()) for row in rows)
    assert size > 24 * 2**20, "too small to be split"
    client = trainer()
    future = client.forward_backward(rows)
    assert type(future).__name__ == "_ChunkedForwardBackwardFuture"
    out = future.result(timeout=100)
    assert len(out.loss_fn_outputs) == len(rows)
    assert all(row["logprobs"].shape == [128, wide] for row in out.loss_fn_outputs)
    # In the order in which they were sent: each row has the logprobs of its own tokens.
    alone = (
        client.forward([datum([(31 * 11 + 7 * at) % 256 for at in range(129)])]).result(timeout=60).loss_fn_outputs[0]
    )
    first_column = np.array(out.loss_fn_outputs[11]["logprobs"].data).reshape(128, wide)[:, 0]
    np.testing.assert_allclose(first_column, alone["logprobs"].data, rtol=1e-4, atol=1e-4)


def test_ids_of_a_foreign_tokenizer_are_learnt_too(trainer: Make) -> None:
    client = trainer("Qwen/Qwen3-8B")
    batch = [datum([151_643, 785, 8_251, 7_578, 389, 279, 5_517, 13, 151_645])]
    losses = steps(client, 30, batch)
    assert losses[-1] < losses[0] / 3, losses
    assert client.get_info().model_name == "Qwen/Qwen3-8B"


@pytest.mark.parametrize(
    ("loss_fn", "config"),
    [
        ("importance_sampling", None),
        ("ppo", {"clip_low_threshold": 0.9, "clip_high_threshold": 1.1}),
        ("ppo", None),
        ("cispo", None),
        ("dro", {"beta": 0.1}),
    ],
)
def test_rewarded_tokens_become_likelier(trainer: Make, loss_fn: str, config: dict[str, float] | None) -> None:
    client = trainer()
    praised, blamed = list(b"good words"), list(b"bad habits")

    def scored(tokens: list[int], advantage: float) -> Any:
        before = client.forward([datum(tokens)]).result(timeout=60).loss_fn_outputs[0]["logprobs"]
        count = len(tokens) - 1
        return datum(
            tokens, logprobs=tensor(before.data), advantages=tensor([advantage] * count), mask=tensor([1.0] * count)
        )

    def likelihood(tokens: list[int]) -> float:
        return -float(client.forward([datum(tokens)]).result(timeout=60).loss)

    before = likelihood(praised), likelihood(blamed)
    batch = [scored(praised, 1.0), scored(blamed, -1.0)]
    for _ in range(3):
        out = client.forward_backward(batch, loss_fn, config).result(timeout=60)
        assert math.isfinite(out.loss)
        assert [row["logprobs"].shape for row in out.loss_fn_outputs] == [[9], [9]]
        client.optim_step(adam(1e-3)).result(timeout=60)
    assert likelihood(praised) > before[0]
    assert likelihood(blamed) < before[1]


@pytest.mark.parametrize("loss_fn", ["dpo", "dppo"])
@pytest.mark.timeout(AT_ONCE)
def test_losses_over_pairs_and_distributions_are_computed(shared: Any, loss_fn: str) -> None:
    rows = []
    for text in (b"good words", b"bad habits"):
        zeros, ones = tensor([-3.0] * 9), tensor([1.0] * 9)
        extra = (
            {"ref_logprobs": zeros, "weights": ones} if loss_fn == "dpo" else {"logprobs": zeros, "advantages": ones}
        )
        rows.append(datum(list(text), **extra))
    out = shared.forward_backward(rows, loss_fn).result(timeout=AT_ONCE)
    assert math.isfinite(out.loss)
    assert [row["logprobs"].shape for row in out.loss_fn_outputs] == [[9], [9]]
    shared.optim_step(adam()).result(timeout=AT_ONCE)


def test_a_loss_of_ones_own_is_replayed_on_the_trainer(trainer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_torch.put_in_place(monkeypatch)
    client, text = trainer(), list(b"my own loss")
    seen: list[Any] = []

    def squared_distance(data: list[Any], logprobs: list[Any]) -> tuple[Any, dict[str, float]]:
        # (logprob + 1)^2 a token: pulls every probability towards 1/e, down as well as up.
        seen.append([row.tolist() for row in logprobs])
        gradients = [2 * (row.values + 1.0) for row in logprobs]
        return fake_torch.Loss(logprobs, gradients), {
            "distance": float(sum(((row.values + 1.0) ** 2).sum() for row in logprobs))
        }

    plain = client.forward([datum(text)]).result(timeout=60).loss_fn_outputs[0]["logprobs"].data
    distances = []
    for _ in range(30):
        out = client.forward_backward_custom([datum(text)], squared_distance).result(timeout=60)
        client.optim_step(adam()).result(timeout=60)
        distances.append(out.metrics["distance"])
    np.testing.assert_allclose(seen[0][0], plain, rtol=1e-5)
    assert distances[-1] < distances[0] / 10, distances


def test_learning_rate_and_clipping_do_what_they_say(trainer: Make) -> None:
    still, moved = trainer(), trainer()
    still.forward_backward(sentences())
    moved.forward_backward(sentences())
    metrics = still.optim_step(adam(0.0)).result(timeout=60).metrics
    assert metrics["grad_norm"] > 0
    moved.optim_step(adam()).result(timeout=60)
    fresh = trainer().forward(sentences()).result(timeout=60).loss
    assert still.forward(sentences()).result(timeout=60).loss == fresh
    assert moved.forward(sentences()).result(timeout=60).loss < fresh


def _image() -> Any:
    from baseten.loops import Datum

    return Datum(
        model_input=ModelInput(chunks=[ImageChunk(data=b"png", format="png", expected_tokens=4)]), loss_fn_inputs={}
    )


BAD: dict[str, Callable[[], list[Any]]] = {
    "nothing at all": list,
    "targets of another length": lambda: [datum(list(b"hello"), target_tokens=tensor([1, 2], "int64"))],
    "no targets": lambda: [type(datum([1, 2]))(model_input=ModelInput.from_ints([1, 2]), loss_fn_inputs={})],
    "an empty sequence": lambda: [datum([1])],
    "a negative id": lambda: [datum([1, -7, 3], target_tokens=tensor([1, 2], "int64"))],
    "a weight that is no number": lambda: [datum(list(b"abc"), weights=tensor([1.0, None]))],
    "an unknown input": lambda: [datum(list(b"abc"), wieghts=tensor([1.0, 1.0]))],
    "a shape that does not fit": lambda: [datum(list(b"abcd"), weights=tensor([1.0, 1.0, 1.0], shape=[7]))],
    "an image": lambda: [_image()],
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
@pytest.mark.timeout(AT_ONCE)
def test_bad_data_are_refused_at_once_and_in_words(shared: Any, bad: Callable[[], list[Any]]) -> None:
    with pytest.raises((httpx.HTTPStatusError, RemoteOpError)) as error:
        shared.forward_backward(bad()).result(timeout=AT_ONCE)
    if isinstance(error.value, httpx.HTTPStatusError):
        assert error.value.response.status_code == 422
    else:
        assert error.value.error_class == "ValueError"
    assert len(str(error.value)) > 40
    # The trainer is as it was.
    assert steps(shared, 2)[1] > 0


@pytest.mark.timeout(AT_ONCE)
def test_a_rank_that_cannot_be_is_refused_at_once(loops: Any) -> None:
    for rank in (0, 100_000):
        with pytest.raises((httpx.HTTPStatusError, RemoteOpError), match="rank"):
            loops.create_lora_training_client("loops-local/tiny", rank=rank)


def test_metrics_are_numbers_and_every_loss_is_finite(shared: Any) -> None:
    outs = [shared.forward_backward(sentences()).result(timeout=60), shared.forward(sentences()).result(timeout=60)]
    step = shared.optim_step(adam()).result(timeout=60)
    numbers = itertools.chain(
        *(out.metrics.values() for out in outs), step.metrics.values(), (out.loss for out in outs)
    )
    assert all(math.isfinite(number) for number in numbers)
