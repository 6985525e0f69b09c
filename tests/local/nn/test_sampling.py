"""Sampling: frequencies follow probabilities, a seed repeats them, and cached decoding equals a full pass."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.local.base_models import END_OF_TEXT, SMALL, TINY
from loops_nb.local.errors import InvalidInputError
from loops_nb.local.nn.generation import Generator
from loops_nb.local.nn.learner import Learner
from loops_nb.local.nn.token_sampling import TokenSampler
from tests.frames.strategies import ANY_MACHINE
from tests.local.nn.training_data import TEXT, datum, learner, steps, written

PROMPT = list(b"the quick")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Learner, Generator]:
    """Return a model that knows the text half, so that it is sure here and there only, with its sampler."""
    model = learner(lora_rank=8)
    steps(model, 14)
    return model, Generator(
        base_model=TINY.name, adapter=written(list(model.sampler_files()), tmp_path_factory.mktemp("tuned"))
    )


def choices(sampler: Generator, **asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sampler.complete({"prompt": PROMPT, "max_tokens": 12, "logprobs": 0, **asked})[
        "choices"
    ]
    return found


@pytest.mark.parametrize("base_model", [TINY.name, SMALL.name])
def test_cached_decoding_equals_a_full_pass(tmp_path: Path, base_model: str) -> None:
    model = learner(base_model=base_model)
    steps(model, 3)
    sampler = Generator(base_model=base_model, adapter=written(list(model.sampler_files()), tmp_path))
    for choice in choices(sampler, n=3, seed=5, max_tokens=80):
        whole = [*PROMPT, *choice["token_ids"]]
        full_pass = model.forward([datum(whole)], loss_fn="cross_entropy", backward=False)["loss_fn_outputs"][0][
            "logprobs"
        ]["data"]
        assert choice["logprobs"]["token_logprobs"] == pytest.approx(full_pass[len(PROMPT) - 1 :], abs=2e-4)


def test_prompt_logprobs_equal_those_of_the_trainer(tuned: tuple[Learner, Generator]) -> None:
    model, sampler = tuned
    scored = choices(sampler, prompt_logprobs=2)[0]
    assert scored["prompt_token_ids"] == PROMPT
    assert scored["prompt_logprobs"][0] is None
    output = model.forward([datum(PROMPT)], loss_fn="cross_entropy", top_k_logprobs=2, backward=False)[
        "loss_fn_outputs"
    ][0]
    likely = np.array(output["top_k_token_ids"]["data"]).reshape(-1, 2)
    for at, entry in enumerate(scored["prompt_logprobs"][1:]):
        assert entry[str(PROMPT[at + 1])]["logprob"] == pytest.approx(output["logprobs"]["data"][at], abs=2e-4)
        assert list(entry)[:2] == [str(token) for token in likely[at]]
        ranks = [value["rank"] for value in entry.values()]
        assert ranks[:2] == [1, 2]
        assert len(entry) == 2 or ranks[2] > 2
    assert list(choices(sampler, prompt_logprobs=0)[0]["prompt_logprobs"][3]) == [str(PROMPT[3])]


def test_a_seed_repeats_a_sample_whatever_was_asked_before(tuned: tuple[Learner, Generator]) -> None:
    _, sampler = tuned
    first = choices(sampler, seed=3, n=4)
    choices(sampler, prompt=[9, 9, 9])
    assert choices(sampler, seed=3, n=4) == first
    assert choices(sampler, seed=4, n=4) != first
    assert choices(sampler, seed=-3, n=4) == choices(sampler, seed=-3, n=4) != first
    assert len({tuple(choice["token_ids"]) for choice in first}) > 1
    # Each choice has draws of its own, so more of them do not change the first.
    assert [choice["token_ids"] for choice in choices(sampler, seed=3, n=2)] == [
        choice["token_ids"] for choice in first[:2]
    ]


def test_without_a_seed_samples_differ(tuned: tuple[Learner, Generator]) -> None:
    assert len({tuple(choices(tuned[1], temperature=3.0)[0]["token_ids"]) for _ in range(5)}) > 1


def test_the_likeliest_tokens_are_taken_at_no_temperature(tuned: tuple[Learner, Generator]) -> None:
    _, sampler = tuned
    greedy = choices(sampler, temperature=0)[0]
    for other in ({"temperature": 0, "seed": 8}, {"top_k": 1}, {"top_p": 1e-9}, {"temperature": 0, "n": 2}):
        assert choices(sampler, **other)[0]["token_ids"] == greedy["token_ids"]
    top = choices(sampler, temperature=0, logprobs=3)[0]["logprobs"]["top_logprobs"]
    assert [next(iter(likely)) for likely in top] == [f"token_id:{token}" for token in greedy["token_ids"]]
    assert [len(likely) for likely in top] == [3] * 12


def test_token_frequencies_follow_probabilities(tuned: tuple[Learner, Generator]) -> None:
    _, sampler = tuned
    many = choices(sampler, prompt=list(b"the "), n=128, max_tokens=1, seed=1)
    likely = choices(sampler, prompt=list(b"the "), max_tokens=1, temperature=0, logprobs=8)[0]["logprobs"][
        "top_logprobs"
    ][0]
    counted = Counter(choice["token_ids"][0] for choice in many)
    for name, logprob in likely.items():
        share = np.exp(logprob)
        assert (
            abs(counted[int(name.removeprefix("token_id:"))] - 128 * share) < 4 * np.sqrt(128 * share * (1 - share)) + 1
        )


def test_stop_tokens_and_texts_end_a_completion(tuned: tuple[Learner, Generator]) -> None:
    _, sampler = tuned
    whole = choices(sampler, temperature=0, max_tokens=30)[0]
    assert (whole["finish_reason"], len(whole["token_ids"])) == ("length", 30)
    third = whole["token_ids"][2]
    cut = choices(sampler, temperature=0, max_tokens=30, stop_token_ids=[third])[0]
    assert cut["token_ids"] == whole["token_ids"][: whole["token_ids"].index(third) + 1]
    assert cut["finish_reason"] == "stop"
    stop = whole["text"][3:6]
    text = choices(sampler, temperature=0, max_tokens=30, stop=stop)[0]
    assert text["text"] == whole["text"][: whole["text"].index(stop)]
    assert text["finish_reason"] == "stop"
    assert text["token_ids"] == whole["token_ids"][: len(text["token_ids"])]


def test_the_end_of_text_ends_a_completion(tmp_path: Path) -> None:
    model = learner(lora_rank=8)
    for _ in range(25):
        model.forward([datum([*b"say: hi", END_OF_TEXT])], loss_fn="cross_entropy", backward=True)
        model.optim_step({"learning_rate": 1e-2})
    sampler = Generator(base_model=TINY.name, adapter=written(list(model.sampler_files()), tmp_path))
    ended = choices(sampler, prompt=list(b"say:"), temperature=0)[0]
    assert (ended["text"], ended["token_ids"], ended["finish_reason"]) == (" hi", [*b" hi", END_OF_TEXT], "stop")
    going_on = choices(sampler, prompt=list(b"say:"), temperature=0, ignore_eos=True)[0]
    assert going_on["finish_reason"] == "length"


def test_an_answer_has_the_form_of_a_completion(tuned: tuple[Learner, Generator]) -> None:
    answer = tuned[1].complete(
        {"prompt": PROMPT, "max_tokens": 3, "n": 2, "logprobs": 0, "return_token_ids": True, "temperature": 0}
    )
    assert answer["usage"] == {"prompt_tokens": 9, "completion_tokens": 6, "total_tokens": 15}
    assert (answer["model"], answer["object"]) == (TINY.name, "text_completion")
    for number, choice in enumerate(answer["choices"]):
        assert choice["index"] == number
        assert choice["logprobs"]["tokens"] == [f"token_id:{token}" for token in choice["token_ids"]]
        assert choice["text"] == bytes(choice["token_ids"]).decode()
        assert choice["prompt_token_ids"] == PROMPT
    assert tuned[1].complete({"prompt": PROMPT, "max_tokens": 1})["choices"][0]["logprobs"] is None


def test_only_known_ids_are_sampled(tmp_path: Path) -> None:
    base = Generator(base_model="Qwen/Qwen3-8B")
    alone = choices(base, prompt=[151_644, 872, 198], n=8, temperature=5.0, seed=1)
    assert {token for choice in alone for token in choice["token_ids"]} == {151_644, 872, 198}
    assert alone[0]["text"] == ""
    model = learner(base_model="Qwen/Qwen3-8B")
    model.forward([datum([7, 8, 9])], loss_fn="cross_entropy", backward=True)
    sampler = Generator(base_model="Qwen/Qwen3-8B", adapter=written(list(model.sampler_files()), tmp_path))
    both = choices(sampler, prompt=[1, 2], n=16, temperature=5.0, seed=1)
    assert {token for choice in both for token in choice["token_ids"]} == {1, 2, 7, 8, 9}
    assert choices(sampler, prompt=[1, 2], n=16, temperature=5.0, seed=1) == both


def test_base_model_is_independent_of_earlier_prompts() -> None:
    """A token's own weights hang on its id and not on when it was seen."""
    one, other = (learner(base_model="org/name") for _ in range(2))
    one.forward([datum([5, 6, 7])], loss_fn="cross_entropy", backward=True)
    other.forward([datum([7, 6, 5])], loss_fn="cross_entropy", backward=True)
    scored = [
        m.forward([datum([6, 5, 7])], loss_fn="cross_entropy", backward=False)["loss_fn_outputs"][0]["logprobs"]
        for m in (one, other)
    ]
    assert scored[0]["data"] == pytest.approx(scored[1]["data"], abs=1e-5)


def test_a_stop_text_needs_bytes_and_says_so() -> None:
    with pytest.raises(InvalidInputError, match="no tokenizer of Qwen/Qwen3-8B"):
        Generator(base_model="Qwen/Qwen3-8B").complete({"prompt": [1], "stop": "\n"})


def test_a_prompt_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="reads fewer than 8192"):
        Generator(base_model=TINY.name).complete({"prompt": [1] * 8192})


def test_a_long_prompt_is_read_in_parts(tuned: tuple[Learner, Generator]) -> None:
    model, sampler = tuned
    prompt = list(TEXT * 20)
    scored = choices(sampler, prompt=prompt, prompt_logprobs=0, max_tokens=1)[0]["prompt_logprobs"]
    expected = model.forward([datum(prompt)], loss_fn="cross_entropy", backward=False)["loss_fn_outputs"][0][
        "logprobs"
    ]["data"]
    found = [entry[str(token)]["logprob"] for entry, token in zip(scored[1:], prompt[1:], strict=True)]
    assert found == pytest.approx(expected, abs=3e-4)


@ANY_MACHINE
@given(
    st.lists(st.floats(-20, 0), min_size=1, max_size=12),
    st.integers(-1, 12),
    st.floats(0.01, 1),
    st.floats(0.1, 3),
    st.integers(0, 2**40),
)
def test_draws_respect_top_k_and_top_p(
    scores: list[float], top_k: int, top_p: float, temperature: float, seed: int
) -> None:
    logprobs = np.array(scores) - np.logaddexp.reduce(scores)
    chosen = TokenSampler(temperature=temperature, top_k=top_k, top_p=top_p, seed=(seed, 0)).draw(logprobs)
    order = np.argsort(-logprobs, kind="stable").tolist()
    kept = order[: top_k if top_k > 0 else None]
    assert chosen in kept
    shares = np.exp(logprobs[kept] / temperature - (logprobs / temperature).max())
    before = shares[: kept.index(chosen)].sum() / shares.sum()
    assert before <= top_p + 1e-9
