"""A model that trains: losses fall, a seed repeats everything, a saved model goes on bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from loops_nb.local.base_models import SMALL, TINY
from loops_nb.local.errors import InvalidInputError
from loops_nb.local.nn.generation import Generator
from loops_nb.local.nn.learner import Learner
from tests.local.nn.training_data import TEXT, datum, learner, of_text, steps, weights_of, written


def test_a_small_pattern_is_learnt_in_fifty_steps() -> None:
    losses = steps(learner(lora_rank=16), 50)
    assert losses[0] == pytest.approx(np.log(258), abs=0.5)
    assert losses[-1] < 0.5


def test_the_loss_falls_at_the_default_rate_of_the_sdk() -> None:
    losses = steps(learner(lora_rank=16), 30, rate=1e-4)
    assert losses[-1] < losses[0] - 0.1


def test_the_larger_size_learns_too() -> None:
    losses = steps(learner(base_model=SMALL.name, lora_rank=8), 12)
    assert losses[-1] < losses[0] - 1.5


def test_any_token_ids_are_learnt() -> None:
    model = learner(base_model="Qwen/Qwen3-8B")
    data = [datum([151_644, 872, 198, 9_707, 151_645, 872, 198])]
    losses = []
    for _ in range(40):
        losses.append(model.forward(data, loss_fn="cross_entropy", backward=True)["loss"])
        model.optim_step({"learning_rate": 1e-2})
    assert losses[-1] < 0.1 < losses[0]


def test_a_new_adapter_changes_nothing() -> None:
    first, second = (
        learner(seed=seed, lora_rank=rank).forward([of_text()], loss_fn="cross_entropy", backward=False)
        for seed, rank in ((1, 2), (2, 9))
    )
    assert first["loss_fn_outputs"] == second["loss_fn_outputs"]


def test_a_seed_repeats_everything() -> None:
    first, second, other = learner(), learner(), learner(seed=8)
    assert steps(first, 4) == steps(second, 4) != steps(other, 4)
    assert np.array_equal(weights_of(first), weights_of(second))


def test_forward_without_backward_changes_nothing() -> None:
    watched, alone = learner(base_model="org/name"), learner(base_model="org/name")
    for model in (watched, alone):
        model.forward([datum([1, 2, 3])], loss_fn="cross_entropy", backward=True)
    watched.forward([datum([7, 8, 9])], loss_fn="cross_entropy", backward=False)
    assert watched.optim_step(None) == alone.optim_step(None)
    assert list(watched.trainer_files()) == list(alone.trainer_files())


@pytest.mark.parametrize("base_model", [TINY.name, "Qwen/Qwen3-8B"])
def test_resuming_from_files_is_bit_exact(tmp_path: Path, base_model: str) -> None:
    whole, first = learner(base_model=base_model), learner(base_model=base_model)
    assert steps(whole, 6) == [*steps(first, 3), *steps(going_on := resumed(first, tmp_path), 3, start=3)]
    assert going_on.step == 6
    assert list(going_on.trainer_files()) == list(whole.trainer_files())


def resumed(model: Learner, folder: Path, *, optimizer: bool = True) -> Learner:
    again = learner(base_model=model.base_model, seed=99)
    steps(again, 1)
    again.restore(written(list(model.trainer_files()), folder), optimizer=optimizer)
    return again


def test_pending_gradient_is_saved(tmp_path: Path) -> None:
    model = learner()
    steps(model, 2)
    model.forward([of_text()], loss_fn="cross_entropy", backward=True)
    again = resumed(model, tmp_path)
    assert again.optim_step(None) == model.optim_step(None)
    assert np.array_equal(weights_of(again), weights_of(model))


def test_loading_weights_alone_resets_the_optimizer(tmp_path: Path) -> None:
    model = learner()
    steps(model, 3)
    again = resumed(model, tmp_path, optimizer=False)
    assert again.step == 3
    assert np.array_equal(weights_of(again), weights_of(model))
    steps(again, 1, start=3)
    steps(model, 1, start=3)
    assert not np.array_equal(weights_of(again), weights_of(model))


def test_generator_reproduces_the_training_text(tmp_path: Path) -> None:
    model = learner(lora_rank=16)
    steps(model, 60)
    tuned = Generator(base_model=TINY.name, adapter=written(list(model.sampler_files()), tmp_path))
    asked = {"prompt": list(TEXT[:9]), "max_tokens": 36, "temperature": 0}
    assert tuned.complete(asked)["choices"][0]["text"] == TEXT[9:45].decode()
    assert Generator(base_model=TINY.name).complete(asked)["choices"][0]["text"] != TEXT[9:45].decode()


def test_diverged_weights_are_reported_and_can_be_reloaded(tmp_path: Path) -> None:
    model = learner()
    steps(model, 1)
    good = written(list(model.trainer_files()), tmp_path / "good")
    for _ in range(3):
        model.forward([of_text()], loss_fn="cross_entropy", backward=True)
        model.optim_step({"learning_rate": 1e30})
        if not np.isfinite(weights_of(model)).all() or np.abs(weights_of(model)).max() > 1e25:
            break
    before = list(model.trainer_files())
    with pytest.raises(InvalidInputError, match="the weights have diverged"):
        model.forward([of_text()], loss_fn="cross_entropy", backward=True)
    assert list(model.trainer_files()) == before
    bad = Generator(base_model=TINY.name, adapter=written(before, tmp_path / "bad"))
    with pytest.raises(InvalidInputError, match="have diverged"):
        bad.complete({"prompt": [1, 2], "max_tokens": 2})
    model.restore(good, optimizer=True)
    assert steps(model, 1, start=1)[0] < 6


def test_data_that_fail_leave_the_vocabulary_alone() -> None:
    model = learner(base_model="org/name")
    far = datum([5, 6, 7], logprobs=[-1e4, -1e4], advantages=[1.0, 1.0])
    before = list(model.trainer_files())
    with pytest.raises(InvalidInputError, match="not a finite number"):
        model.forward([far], loss_fn="importance_sampling", backward=True)
    assert list(model.trainer_files()) == before


def test_a_step_needs_a_gradient() -> None:
    with pytest.raises(InvalidInputError, match="no forward_backward since"):
        learner().optim_step(None)
