"""Files of a model: in PEFT's layout, and refused in words where they are of something else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, load_file, save_file

from loops_nb.local import base_models as sizes
from loops_nb.local.base_models import SMALL, TARGET_MODULES, TINY
from loops_nb.local.errors import InvalidInputError
from loops_nb.local.nn.generation import Generator
from loops_nb.local.nn.vocabulary import OTHER, Vocabulary
from loops_nb.local.weights import formats, synthetic
from loops_nb.local.workers.process import WORKER_ENVIRONMENT
from tests.frames.strategies import ANY_MACHINE
from tests.local.nn.training_data import datum, learner, of_text, steps, weights_of, written


def test_an_adapter_has_the_layout_of_peft(tmp_path: Path) -> None:
    model = learner(lora_rank=4)
    steps(model, 2)
    folder = written(list(model.sampler_files()), tmp_path)
    config = msgspec.json.decode((folder / "adapter_config.json").read_bytes())
    assert config == {
        "base_model_name_or_path": TINY.name,
        "bias": "none",
        "lora_alpha": 8,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": 4,
        "target_modules": list(TARGET_MODULES),
        "task_type": "CAUSAL_LM",
    }
    tensors = load_file(folder / "adapter_model.safetensors")
    sides = {
        **dict.fromkeys(TARGET_MODULES[:4], (128, 128)),
        "gate_proj": (128, 256),
        "up_proj": (128, 256),
        "down_proj": (256, 128),
    }
    expected = {"base_model.model.lm_head.lora_A.weight": (4, 128), "base_model.model.lm_head.lora_B.weight": (258, 4)}
    for layer in range(2):
        for module, (inputs, outputs) in sides.items():
            part = "mlp" if module in {"gate_proj", "up_proj", "down_proj"} else "self_attn"
            name = f"base_model.model.model.layers.{layer}.{part}.{module}"
            expected |= {f"{name}.lora_A.weight": (4, inputs), f"{name}.lora_B.weight": (outputs, 4)}
    assert {name: tensor.shape for name, tensor in tensors.items()} == expected
    assert {tensor.dtype for tensor in tensors.values()} == {np.dtype(np.float32)}
    assert all(tensor.any() for tensor in tensors.values())


def test_a_trainer_saves_both_moments_of_every_tensor() -> None:
    model = learner()
    steps(model, 2)
    files = {file.name: file.data for file in model.trainer_files()}
    adapter, moments = load(files[formats.ADAPTER]), load(files[formats.OPTIMIZER])
    assert {name: tensor.shape for name, tensor in moments.items()} == {
        f"{name}.{kind}": tensor.shape for name, tensor in adapter.items() for kind in ("exp_avg", "exp_avg_sq")
    }
    assert formats.GRADIENT not in files
    model.forward([of_text()], loss_fn="cross_entropy", backward=True)
    assert formats.GRADIENT in {file.name for file in model.trainer_files()}


def another_rank(folder: Path) -> None:
    written(list(learner(lora_rank=5).trainer_files()), folder)


def another_size(folder: Path) -> None:
    written(list(learner(base_model=SMALL.name).trainer_files()), folder)


def made_elsewhere(folder: Path) -> None:
    for mine in folder.iterdir():
        mine.unlink()
    shape = synthetic.adapter_shape("Qwen/Qwen3-8B", 4)
    state = next(synthetic.train(shape, key="x", steps=[1]))
    files = synthetic.checkpoint_files(state, shape, base_model="Qwen/Qwen3-8B", rank=4, target="trainer")
    for file in files:
        (folder / file.name).parent.mkdir(exist_ok=True)
    written(files, folder)


def cut_short(folder: Path) -> None:
    path = folder / formats.ADAPTER
    path.write_bytes(path.read_bytes()[:-7])


def no_json(folder: Path) -> None:
    (folder / formats.STATE).write_bytes(b"{")


def no_words(folder: Path) -> None:
    (folder / formats.VOCABULARY).write_bytes(b'{"ids": ["a"]}')


def words_twice(folder: Path) -> None:
    (folder / formats.VOCABULARY).write_bytes(b'{"ids": [1, 1]}')


def no_moments(folder: Path) -> None:
    (folder / formats.OPTIMIZER).unlink()


def a_tensor_more(folder: Path) -> None:
    path = folder / formats.ADAPTER
    save_file({**load_file(path), "more": np.zeros(3, np.float32)}, path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (another_rank, "has lora_rank 5, and this run 4; start a run with lora_rank 5"),
        (another_size, "is of another model"),
        (made_elsewhere, "has no vocabulary.json: the local trainer did not save it"),
        (cut_short, "adapter_model.safetensors of this checkpoint cannot be read"),
        (no_json, "trainer_state.json of this checkpoint cannot be read"),
        (no_words, "vocabulary.json of this checkpoint cannot be read"),
        (words_twice, "has each id once"),
        (no_moments, "has no optimizer.safetensors"),
        (a_tensor_more, "more is in one of them only"),
    ],
)
def test_files_of_something_else_are_refused_and_change_nothing(
    tmp_path: Path, spoil: Callable[[Path], None], words: str
) -> None:
    model = learner()
    steps(model, 1)
    folder = written(list(model.trainer_files()), tmp_path)
    spoil(folder)
    before = list(model.trainer_files())
    with pytest.raises(InvalidInputError, match=words):
        model.restore(folder, optimizer=True)
    assert list(model.trainer_files()) == before


def test_files_for_sampling_have_no_optimizer_to_go_on_with(tmp_path: Path) -> None:
    model = learner()
    steps(model, 1)
    folder = written(list(model.sampler_files()), tmp_path)
    other = learner(seed=3)
    with pytest.raises(InvalidInputError, match="saved for sampling"):
        other.restore(folder, optimizer=True)
    assert other.restore(folder, optimizer=False) == 0
    assert np.array_equal(weights_of(other), weights_of(model))


def test_a_sampler_refuses_an_adapter_it_cannot_read(tmp_path: Path) -> None:
    folder = written(list(learner().sampler_files()), tmp_path)
    with pytest.raises(InvalidInputError, match="of another model"):
        Generator(base_model=SMALL.name, adapter=folder)
    (folder / formats.CONFIG).write_bytes(b"{}")
    with pytest.raises(InvalidInputError, match=r"adapter_config\.json"):
        Generator(base_model=TINY.name, adapter=folder)
    with pytest.raises(InvalidInputError, match=r"no vocabulary\.json"):
        Generator(base_model=TINY.name, adapter=folder / "nothing")


def test_ids_beyond_the_slots_share_one_that_is_never_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sizes, "TINY", TINY._replace(slots=64))
    model = learner(base_model="org/name", lora_rank=2)
    ids = list(range(10_000, 10_000 + 64 + 5))
    for start in range(0, len(ids), 30):
        model.forward([datum(ids[start : start + 30])], loss_fn="cross_entropy", backward=True)
    result = model.forward([datum(ids[-10:])], loss_fn="cross_entropy", backward=True)
    assert result["metrics"]["tokens_without_a_slot"] == 5
    for _ in range(3):
        model.optim_step({"learning_rate": 1e-2})
        model.forward([datum(ids[-5:])], loss_fn="cross_entropy", backward=True)
    folder = written(list(model.trainer_files()), tmp_path)
    again = learner(base_model="org/name", lora_rank=2)
    again.restore(folder, optimizer=True)
    assert list(again.trainer_files()) == list(model.trainer_files())
    asked = {"prompt": ids[-5:], "max_tokens": 20, "seed": 1, "top_k": 3}
    choice = Generator(base_model="org/name", adapter=folder).complete(asked)["choices"][0]
    assert set(choice["token_ids"]) <= set(ids[:64])


@ANY_MACHINE
@given(st.lists(st.lists(st.integers(0, 30), max_size=10), max_size=6), st.integers(0, 8))
def test_a_vocabulary_keeps_what_it_has_and_never_grows_too_large(arrivals: list[list[int]], capacity: int) -> None:
    vocabulary = Vocabulary((), capacity)
    for tokens in arrivals:
        before = vocabulary.ids[: vocabulary.own]
        vocabulary = vocabulary.extended(tokens)
        assert vocabulary.ids[: len(before)] == before
        assert all(0 <= slot < len(vocabulary) for slot in vocabulary.slots(tokens))
    seen = list(dict.fromkeys(token for tokens in arrivals for token in tokens))
    assert vocabulary.ids[: vocabulary.own] == seen[:capacity]
    assert vocabulary.is_full == (len(seen) > capacity) == (vocabulary.ids[-1:] == [OTHER])
    assert vocabulary.slots(vocabulary.ids[: vocabulary.own]) == list(range(vocabulary.own))
    assert vocabulary.count_without_slot(seen) == max(0, len(seen) - capacity)


@pytest.mark.skipif(sys.platform != "linux", reason="reads how much memory a process has from /proc")
def test_a_process_that_trains_stays_small() -> None:
    code = """
from tests.local.nn.training_data import learner, of_text
model = learner(lora_rank=16)
for step in range(3):
    model.forward([of_text(at, 129) for at in range(4)], loss_fn="cross_entropy", backward=True)
    model.optim_step(None)
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={**WORKER_ENVIRONMENT, "PYTHONPATH": "."},
    )
    assert int(ran.stdout) < 150 * 1024
