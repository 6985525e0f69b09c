"""The official sampling client, unmodified, samples from the weights that the local trainer published."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from baseten.loops import ModelInput, SamplingParams

from tests.sdk.conftest import MODEL
from tests.sdk.training_data import datum, steps

Make = Callable[..., Any]
SENTENCE = b"the cat sat on the mat."
REST = SENTENCE[7:].decode()
PROMPT = ModelInput.from_ints(list(SENTENCE[:7]))
#: So many steps, and a sentence is known by heart.
LESSONS = 40
GREEDY = SamplingParams(max_tokens=len(REST), temperature=0.0)


def greedy(sampler: Any, prompt: Any = PROMPT) -> str:
    """Return what follows a prompt."""
    (sequence,) = sampler.sample(prompt, sampling_params=GREEDY).sequences
    return bytes(token for token in sequence.tokens if token < 256).decode("utf-8", "replace")


@pytest.fixture(scope="module")
def taught(shared: Any) -> Any:
    """Give a trainer that has learnt one sentence; tests do not train it further."""
    steps(shared, LESSONS, [datum(list(SENTENCE))])
    return shared


def learnt_again(client: Any) -> Any:
    """Teach a trainer of one's own that sentence."""
    steps(client, LESSONS, [datum(list(SENTENCE))])
    return client


def test_sampling_reproduces_the_training_text(taught: Any) -> None:
    sampler = taught.save_weights_and_get_sampling_client("learnt")
    (sequence,) = (answer := sampler.sample(PROMPT, sampling_params=GREEDY)).sequences
    assert bytes(sequence.tokens).decode() == sequence.text == REST
    assert sequence.stop_reason == "length"
    assert answer.policy_version == LESSONS
    assert len(sequence.logprobs) == len(sequence.tokens)
    assert all(-1 < value <= 0 for value in sequence.logprobs)
    assert greedy(sampler) == REST


def test_before_training_the_base_model_answers_and_later_the_newest_weights(trainer: Make) -> None:
    client = trainer()
    untaught = client.save_weights_and_get_sampling_client("fresh")
    before = greedy(untaught)
    assert before != REST
    newest = learnt_again(client).save_weights_and_get_sampling_client("taught")
    assert greedy(newest) == REST
    # The client made before has no floor and no pin: it goes on asking the base model.
    assert greedy(untaught) == before


def test_a_save_that_is_only_kept_does_not_move_the_sampler(trainer: Make) -> None:
    client = learnt_again(trainer())
    sampler = client.save_weights_and_get_sampling_client("live")
    other = b"the cat ran far, far away"
    steps(client, LESSONS, [datum(list(other))])
    kept = client.save_weights_for_sampler("kept").result(timeout=60)
    answer = sampler.sample(PROMPT, sampling_params=GREEDY)
    assert answer.policy_version == LESSONS
    assert bytes(answer.sequences[0].tokens).decode() == REST
    pinned = client.create_sampling_client(kept.path)
    assert greedy(pinned) == other[7 : 7 + len(REST)].decode()


def test_a_pin_holds_until_newer_weights_are_live(trainer: Make) -> None:
    client = learnt_again(trainer())
    pinned_path = client.save_weights_for_sampler("pin").result(timeout=60).path
    pinned = client.create_sampling_client(pinned_path)
    assert pinned.checkpoint_name == "pin"
    assert greedy(pinned) == REST
    other = b"the cat climbed a tall tree"
    steps(client, LESSONS, [datum(list(other))])
    assert greedy(pinned) == REST
    live = client.save_weights_and_get_sampling_client("newer")
    assert greedy(live) == other[7 : 7 + len(REST)].decode()
    assert greedy(pinned) == greedy(live)


def test_standalone_samplers_serve_the_base_model_and_a_checkpoint(taught: Any, loops: Any) -> None:
    path = taught.save_weights_for_sampler("alone").result(timeout=60).path
    checkpoint = loops.create_sampling_client(model_path=path)
    base = loops.create_sampling_client(base_model=MODEL)
    assert (checkpoint.get_base_model(), base.get_base_model()) == (MODEL, MODEL)
    assert greedy(checkpoint) == REST
    assert greedy(base) != REST
    assert greedy(base) == greedy(base)


def test_the_sampler_gives_the_probabilities_that_the_trainer_computes(taught: Any) -> None:
    sampler = taught.save_weights_and_get_sampling_client("alike")
    text = list(b"the dog sat on the log.")
    computed = sampler.compute_logprobs(ModelInput.from_ints(text))
    trained = taught.forward([datum(text)]).result(timeout=60).loss_fn_outputs[0]["logprobs"].data
    assert computed[0] is None
    np.testing.assert_allclose(computed[1:], trained, rtol=1e-3, atol=1e-3)


def test_sampled_logprobs_are_those_that_importance_sampling_needs(taught: Any) -> None:
    sampler = taught.save_weights_and_get_sampling_client("ratios")
    answer = sampler.sample(PROMPT, num_samples=3, sampling_params=SamplingParams(max_tokens=12, seed=5))
    for sequence in answer.sequences:
        whole = [*SENTENCE[:7], *sequence.tokens]
        trained = taught.forward([datum(whole)]).result(timeout=60).loss_fn_outputs[0]["logprobs"].data
        np.testing.assert_allclose(sequence.logprobs, trained[6:], rtol=1e-3, atol=1e-3)


def test_seeds_temperatures_and_cuts(taught: Any) -> None:
    sampler = taught.save_weights_and_get_sampling_client("cuts")

    def tokens(**named: Any) -> list[list[int]]:
        params = SamplingParams(max_tokens=10, **{"temperature": 2.0, **named})
        return [one.tokens for one in sampler.sample(PROMPT, 4, params).sequences]

    assert tokens(seed=1) == tokens(seed=1) != tokens(seed=2)
    assert len({tuple(one) for one in tokens(seed=1)}) > 1, "the samples of one call are all alike"
    assert {tuple(one) for one in tokens(seed=1, top_k=1)} == {tuple(one) for one in tokens(temperature=0.0)}
    assert {tuple(one) for one in tokens(seed=1, top_p=1e-6)} == {tuple(one) for one in tokens(temperature=0.0)}


def test_stopping(taught: Any) -> None:
    sampler = taught.save_weights_and_get_sampling_client("stops")

    def first(**named: Any) -> Any:
        return sampler.sample(PROMPT, 1, SamplingParams(max_tokens=16, temperature=0.0, **named)).sequences[0]

    by_id = first(stop=[ord("t")])
    assert by_id.stop_reason == "stop"
    assert bytes(by_id.tokens).decode().rstrip("t") == " sa"
    by_text = first(stop=["on", "mat"])
    assert by_text.stop_reason == "stop"
    assert by_text.text is not None
    assert by_text.text.startswith(" sat ")
    assert "mat" not in by_text.text


def test_the_likeliest_alternatives_of_a_prompt(taught: Any) -> None:
    sampler = taught.save_weights_and_get_sampling_client("alternatives")
    answer = sampler.sample(
        PROMPT, 1, SamplingParams(max_tokens=1), include_prompt_logprobs=True, topk_prompt_logprobs=3
    )
    assert answer.prompt_logprobs[0] is None
    assert answer.topk_prompt_logprobs[0] is None
    assert len(answer.prompt_logprobs) == len(answer.topk_prompt_logprobs) == 7
    for token, value, best in zip(
        SENTENCE[1:7], answer.prompt_logprobs[1:], answer.topk_prompt_logprobs[1:], strict=True
    ):
        assert len(best) in {3, 4}
        assert dict(best)[token] == value
        assert max(number for _, number in best) >= value


def test_a_completion_that_repeats_its_prompt_stays_whole(trainer: Make) -> None:
    client = trainer()
    steps(client, 40, [datum([7] * 20)])
    sampler = client.save_weights_and_get_sampling_client("sevens")
    # The SDK takes a completion that begins with its prompt for an echo and cuts it off.
    (sequence,) = sampler.sample(ModelInput.from_ints([7]), 1, SamplingParams(max_tokens=5, temperature=0.0)).sequences
    assert sequence.tokens == [7] * 5
    assert len(sequence.logprobs) == 5


def test_many_rollouts_at_once_are_those_of_one_by_one(taught: Any) -> None:
    sampler = taught.save_weights_and_get_sampling_client("many")
    params = [SamplingParams(max_tokens=8, seed=seed) for seed in range(12)]

    async def together() -> list[list[int]]:
        answers = await asyncio.gather(*(sampler.sample_async(PROMPT, 1, one, affinity_key="group") for one in params))
        return [answer.sequences[0].tokens for answer in answers]

    one_by_one = [sampler.sample(PROMPT, 1, one).sequences[0].tokens for one in params]
    assert asyncio.run(together()) == one_by_one


def test_a_client_that_was_sent_to_another_process_samples_the_same(taught: Any) -> None:
    sampler = taught.save_weights_and_get_sampling_client("sent")
    copy = pickle.loads(pickle.dumps(sampler))  # noqa: S301 - our own bytes
    assert greedy(copy) == greedy(sampler) == REST
    copy.close()


def test_the_sampler_names_its_models(taught: Any) -> None:
    sampler = taught.save_weights_and_get_sampling_client("names")
    assert sampler.discover_base_model_name()
    assert sampler.discover_adapter_name()


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "bad",
    [{"top_p": 0.0}, {"temperature": -1.0}, {"max_tokens": 0}, {"structured_outputs": {"regex": "a+"}}],
    ids=lambda bad: next(iter(bad)),
)
def test_bad_requests_are_refused_at_once_and_in_words(taught: Any, bad: dict[str, Any]) -> None:
    sampler = taught.save_weights_and_get_sampling_client("refuses")
    with pytest.raises(httpx.HTTPStatusError) as error:
        sampler.sample(PROMPT, 1, SamplingParams(**{"max_tokens": 4, **bad}))
    assert error.value.response.status_code == 422
    assert len(str(error.value)) > 40
