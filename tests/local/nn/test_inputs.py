"""What is refused, in which words, and what odd form is understood."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from loops_nb.local.errors import InvalidInputError
from loops_nb.local.nn.inputs import check_optim, check_sampling, check_training, flat, shape_of
from tests.frames.strategies import ANY_MACHINE
from tests.local.nn.training_data import datum, learner, tensor


def training(*data: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"data": list(data), "loss_fn": "cross_entropy", **more}


def with_input(name: str, value: dict[str, Any]) -> dict[str, Any]:
    one = datum([1, 2, 3])
    one["loss_fn_inputs"][name] = value
    return one


IMAGE = {"type": "image", "data": "aGk=", "format": "png", "expected_tokens": 4}
WIDE = {name: tensor([1, 1], shape=[1, 2]) for name in ("target_tokens", "ref_logprobs")}
BAD_TRAINING = {
    "nothing": ({}, "data"),
    "no data": (training(), "data is empty"),
    "data of text": ({"data": "text"}, "Expected `array`"),
    "unknown loss": (training(datum([1, 2]), loss_fn="mse"), "no loss 'mse'; there are cross_entropy, "),
    "unknown setting": (training(datum([1, 2]), loss_fn_config={"beta": 1}), "cross_entropy has no 'beta'"),
    "top_k": (training(datum([1, 2]), top_k_logprobs=21), "from 0 to 20"),
    "no tokens": (training(datum([], [])), "has no tokens"),
    "an image": (
        training({"model_input": {"chunks": [IMAGE]}, "loss_fn_inputs": {}}),
        "'image'; the local model reads text only",
    ),
    "a negative id": (training(datum([-1, 2], [1, 2])), r"\[0\] is -1; a token id is"),
    "an id of text": (training(datum(["a"], [1])), "Expected `int`"),
    "a huge id": (training(datum([1, 2**31], [1, 2])), "below 2"),
    "no targets": (training({**datum([1, 2]), "loss_fn_inputs": {}}), "lacks target_tokens, which cross_entropy reads"),
    "a target that is no id": (training(datum([1, 2], [1.5, 2])), r"target_tokens\[0\] is 1.5"),
    "too few targets": (training(datum([1, 2, 3], [1, 2])), r"shape \(2,\); cross_entropy wants \(3,\) or \(3, K\)"),
    "weights of another shape": (
        training(datum([1, 2], [1, 2], weights=[1.0])),
        r"has the shape \(1,\), and the targets have \(2,\)",
    ),
    "a shape that does not fit": (training(with_input("weights", tensor([1.0], shape=[2]))), "1 numbers and the shape"),
    "a shape without sides": (training(with_input("weights", {"data": [1.0], "shape": []})), "do not fit"),
    "a weight of null": (training(with_input("weights", tensor([1.0, None]))), r"weights\[1\] is null \(NaN\)"),
    "a target of null": (
        training(with_input("target_tokens", tensor([1, None], "int64"))),
        r"target_tokens\[1\] is null",
    ),
    "an unknown input": (training(with_input("wieghts", tensor([1.0, 1.0]))), "'wieghts', which no loss reads"),
    "an uneven nest": (training(with_input("weights", tensor([[1.0], 1.0], shape=[2]))), "A tensor has numbers"),
    "text in a nest": (training(with_input("weights", tensor([["a"], ["b"]], shape=[2]))), "A tensor has numbers"),
    "no advantages": (training(datum([1, 2], logprobs=[1.0]), loss_fn="ppo"), "lacks advantages"),
    "half a pair": (training(datum([1, 2], ref_logprobs=[1.0]), loss_fn="dpo"), "1 data are not pairs"),
    "wide targets": (training({**datum([1, 2]), "loss_fn_inputs": WIDE}, loss_fn="dpo"), r"dpo wants \(1,\)"),
}


@pytest.mark.parametrize("case", BAD_TRAINING)
def test_bad_data_are_refused_in_words(case: str) -> None:
    body, words = BAD_TRAINING[case]
    with pytest.raises(InvalidInputError, match=words):
        check_training(body)


BAD_OPTIM = {
    "learning_rate": (-1.0, "from 0 on"),
    "beta1": (1.0, "from 0 to below 1"),
    "beta2": (-0.1, "from 0 to below 1"),
    "lr": (1e-4, "no 'lr'; it has learning_rate, "),
    "eps": (0.0, "above 0"),
    "weight_decay": (float("nan"), "a number from 0 on"),
    "grad_clip_norm": ("small", "Expected"),
}


@pytest.mark.parametrize("name", BAD_OPTIM)
def test_bad_parameters_of_the_optimizer_are_refused_in_words(name: str) -> None:
    value, words = BAD_OPTIM[name]
    with pytest.raises(InvalidInputError, match=words):
        check_optim({"adam_params": {name: value}})


BAD_SAMPLING: dict[str, tuple[dict[str, Any], str]] = {
    "prompt": ({"prompt": []}, "The prompt is empty"),
    "id": ({"prompt": [-5]}, r"prompt\[0\] is -5"),
    "n": ({"n": 0}, "n is 0; it is from 1 to 128"),
    "max_tokens": ({"max_tokens": 0}, "max_tokens is 0"),
    "temperature": ({"temperature": -1}, "temperature is -1"),
    "top_p": ({"top_p": 0}, "above 0 and at most 1"),
    "top_k": ({"top_k": -2}, "top_k is -2"),
    "logprobs": ({"logprobs": 21}, "from 0 to 20"),
    "stop": ({"stop": ["a", ""]}, "A stop text is empty"),
    "structured_outputs": ({"structured_outputs": {"json": {}}}, "no structured outputs"),
    "include_routed_experts": ({"include_routed_experts": True}, "no experts"),
    "image": ({"prompt": [], "model_input_chunks": [IMAGE]}, "reads text only"),
    "stream": ({"stream": True}, "answers whole"),
}


@pytest.mark.parametrize("case", BAD_SAMPLING)
def test_bad_requests_for_samples_are_refused_in_words(case: str) -> None:
    changes, words = BAD_SAMPLING[case]
    with pytest.raises(InvalidInputError, match=words):
        check_sampling({"prompt": [1, 2], **changes})


def test_text_chunks_make_a_prompt() -> None:
    chunks = [{"type": "encoded_text", "tokens": [1, 2]}, {"type": "encoded_text", "tokens": [3]}]
    assert check_sampling({"prompt": [], "model_input_chunks": chunks}).tokens == [1, 2, 3]
    one = {"model_input": {"chunks": chunks}, "loss_fn_inputs": {"target_tokens": tensor([2, 3, 4], "int64")}}
    assert check_training(training(one)).data[0].tokens == [1, 2, 3]


def test_unknown_fields_of_the_sdk_are_ignored() -> None:
    asked = check_training(
        {**training({**datum([1, 2]), "routed_experts_ref": None}), "seq_id": 3, "run_id": "x", "model": "org/name"}
    )
    assert asked.data[0].tokens == [1]
    assert check_optim({"adam_params": None, "seq_id": 4}).params["learning_rate"] == 1e-4


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(ANY_MACHINE)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "data": st.lists(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "model_input": JSON | st.just({"chunks": [{"type": "encoded_text", "tokens": [1, 2]}]}),
                        "loss_fn_inputs": JSON
                        | st.dictionaries(
                            st.sampled_from(["target_tokens", "weights", "logprobs"]),
                            st.fixed_dictionaries(
                                {"data": st.lists(JSON, max_size=3), "shape": st.lists(st.integers(-2, 3), max_size=3)}
                            ),
                        ),
                    },
                ),
                max_size=2,
            ),
            "loss_fn": st.sampled_from(["cross_entropy", "ppo"]) | JSON,
            "loss_fn_config": JSON,
            "top_k_logprobs": JSON,
        },
    )
)
def test_random_requests_are_parsed_or_refused(body: dict[str, Any]) -> None:
    try:
        asked = check_training(body)
    except InvalidInputError as error:
        event(str(error)[:40])
        return
    for one in asked.data:
        for value in one.loss_fn_inputs.values():
            assert len(flat(value)) == len(one.tokens) * (shape_of(value)[1] if len(shape_of(value)) > 1 else 1)
    model_accepts(body)


def model_accepts(body: dict[str, Any]) -> None:
    """Nothing that was let pass fails later, but for numbers that are too large."""
    try:
        learner(lora_rank=1).forward(
            body["data"],
            loss_fn=body.get("loss_fn", "cross_entropy"),
            loss_fn_config=body.get("loss_fn_config"),
            top_k_logprobs=body.get("top_k_logprobs", 0),
            backward=True,
        )
    except InvalidInputError as error:
        if "finite" not in str(error):
            raise


def test_input_checks_import_no_numpy() -> None:
    code = "import sys, loops_nb.local.nn.inputs; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
