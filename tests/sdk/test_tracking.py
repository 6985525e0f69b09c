"""The official training client with tracking: trains as without it, and is recorded, as is its request log."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from baseten.loops import ModelInput, SamplingParams, TrainingClient

from loops_nb import track
from loops_nb.tracking import ExperimentStore, store_path
from loops_nb.tracking.request_log import RequestLog
from tests.sdk.training_data import adam, sentences, steps

Make = Callable[..., Any]
_EXAMPLE = Path(__file__).parents[2] / "examples" / "supervised.py"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ExperimentStore]:
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "home"))
    found = ExperimentStore()
    yield found
    found.close()


def recorded(store: ExperimentStore, run_id: str) -> dict[str, list[tuple[int, float]]]:
    (row,) = [row for row in store.experiments() if row.run_id == run_id]
    of = {key.key: store.series(row.id, key.key) for key in store.keys(row.id)}
    return {key: list(zip(series.step.tolist(), series.value.tolist(), strict=True)) for key, series in of.items()}


def test_a_tracked_client_trains_as_one_that_is_not_and_every_number_is_there(
    trainer: Make, store: ExperimentStore
) -> None:
    plain, tracked = trainer(), track(trainer())
    assert isinstance(tracked, TrainingClient)
    losses = steps(tracked, 10)
    assert losses == steps(plain, 10)
    saved = tracked.save_state("ten").result()
    found = recorded(store, tracked.run_id)
    assert found["loss"] == [(step + 1, loss) for step, loss in enumerate(losses)]
    assert (
        [step for step, _ in found["grad_norm"]] == [step for step, _ in found["learning_rate"]] == list(range(1, 11))
    )
    assert len({tokens for _, tokens in found["tokens"]}) == 1
    (row,) = store.experiments()
    assert [(mark.step, mark.uri, mark.target) for mark in store.marks(row.id)] == [(10, saved.path, "trainer")]
    assert row.params["base_model"] == "loops-local/tiny"


def test_the_asynchronous_client_its_sampler_and_a_loaded_state_are_recorded(
    trainer: Make, store: ExperimentStore
) -> None:
    client = track(trainer())

    async def train() -> None:
        for _ in range(3):
            forward, optim = await client.forward_backward_async(sentences()), await client.optim_step_async(adam())
            await asyncio.gather(forward.result_async(), optim.result_async())
        saved = await (await client.save_state_async("three"))
        sampler = await client.save_weights_and_get_sampling_client_async("three")
        prompt = ModelInput.from_ints(list(b"the cat"))
        await asyncio.gather(
            *[sampler.sample_async(prompt, sampling_params=SamplingParams(max_tokens=4)) for _ in range(3)]
        )
        await (await client.load_state_with_optimizer_async(saved.path))
        await (await client.forward_backward_async(sentences()))
        await sampler.aclose()
        await client.aclose()

    asyncio.run(train())
    found = recorded(store, client.run_id)
    assert [step for step, _ in found["loss"]] == [1, 2, 3, 4]
    assert [step for step, _ in found["sample/seconds"]] == [3, 3, 3]
    (row,) = store.experiments()
    assert store.series(row.id, "loss").attempt.tolist() == [1, 1, 1, 2]
    assert [(mark.text, mark.step) for mark in store.marks(row.id)] == [("three", 3), ("three", 3)]


@pytest.mark.parametrize("asks", [True, False])
def test_samples_are_kept_on_request_with_their_texts_once_the_script_has_a_tokenizer(
    asks: bool, trainer: Make, store: ExperimentStore
) -> None:
    client = track(trainer(), keep_samples=2)
    sampler = client.save_weights_and_get_sampling_client("one")
    if asks:
        sampler.get_tokenizer()
    prompt = ModelInput.from_ints(list(b"the cat"))
    for _ in range(2):
        sampler.sample(prompt, num_samples=2, sampling_params=SamplingParams(max_tokens=3))
    (row,) = store.experiments()
    kept = store.samples(row.id)
    assert len(kept) == 2
    prompts = {"the cat"} if asks else {f"token ids: {' '.join(map(str, b'the cat'))}"}
    assert {one.prompt for one in kept} == prompts
    assert not any(one.completion.startswith("token ids: ") for one in kept)
    assert kept[0].fields["tokens"] == 3


def test_the_request_log_of_a_script_tells_the_same(connected: Any, store: ExperimentStore, tmp_path: Path) -> None:
    log = tmp_path / "loops.jsonl"
    variables = {
        **os.environ,
        "LOOPS_REQUEST_LOG": str(log),
        "LOOPS_STEPS": "5",
        "LOOPS_BASE_URL": connected.url,
        "BASETEN_API_KEY": connected.key,
    }
    done = subprocess.run(
        [sys.executable, str(_EXAMPLE)], env=variables, capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 0, done.stderr
    read = RequestLog(log)
    assert read.read() > 0
    assert read.flush()
    assert read.odd_lines == 0
    ((run_id, _),) = read.experiments.items()
    found = recorded(store, run_id)
    assert [step for step, _ in found["loss"]] == list(range(1, 6))
    assert [step for step, _ in found["grad_norm"]] == list(range(1, 6))
    assert found["sample/tokens"]
    (row,) = store.experiments()
    assert (row.name, row.params["base_model"]) == ("supervised example", "loops-local/tiny")
    assert {(mark.text, mark.step) for mark in store.marks(row.id)} == {("before", 0), ("trained", 5)}
    store.close()
    for file in store_path().parent.glob("experiments.sqlite*"):
        assert connected.key.encode() not in file.read_bytes()
