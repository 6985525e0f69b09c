"""Sampling over HTTP: which weights answer, what is refused, what a sampler's process lives through."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from loops_nb.local.workers.pool import WorkerPool
from tests.local.conftest import Clock
from tests.local.responses import good, new_sampler, problem
from tests.local.training_client import RANK, TEXT, TINY, TrainingClient, sample, tokens
from tests.service import AnyService, ThreadService, running_service

pytestmark = pytest.mark.once

HOLD = 0.3
UP = 30


@pytest.fixture
def service(clock: Clock, tmp_path: Path) -> Iterator[AnyService]:
    with running_service(
        in_process=True, speed=1.0, clock=clock, data_dir=tmp_path / "data", hold_seconds=HOLD
    ) as found:
        yield found


@pytest.fixture
def engine(service: AnyService) -> WorkerPool:
    assert isinstance(service, ThreadService)
    found = service.app.state.service.workers
    assert isinstance(found, WorkerPool)
    return found


@pytest.fixture
def trainer(api: httpx.Client, session_id: str, clock: Clock) -> TrainingClient:
    """A run that has learnt a text, with nothing saved."""
    made = TrainingClient(api, session_id)
    clock.forward(UP)
    made.init()
    for _ in range(25):
        made.step()
    return made


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_headers_select_the_weights(api: httpx.Client, clock: Clock, trainer: TrainingClient) -> None:
    sampler, run = trainer.sampler(), trainer.run["id"]
    clock.forward(UP)
    base = tokens(sample(api, sampler))
    early = trainer.do("save_weights_for_sampler", name="early", bump_version=False)["path"]
    pinned = sample(api, sampler, headers={"X-Run-Id": run, "X-Checkpoint-Path": early})
    assert tokens(pinned) == TEXT[10:18] != base
    assert pinned.headers["x-trainers-policy-version"] == "25"
    both = {"X-Run-Id": run, "X-Checkpoint-Path": early + "/", "X-Min-Policy-Version": "26"}
    assert sample(api, sampler, headers=both).headers["x-trainers-policy-version"] == "25"
    for _ in range(5):
        trainer.step(list(b"the quick dog sleeps"), rate=0.03)
    trainer.do("save_weights_for_sampler", name="late", bump_version=True)
    # With pin and floor it is the checkpoint until the published weights have reached the floor.
    for headers in (both, {"X-Run-Id": run, "X-Min-Policy-Version": "26"}, {"X-Min-Policy-Version": "30"}):
        assert sample(api, sampler, headers=headers).headers["x-trainers-policy-version"] == "30"
    # Neither is the base model, as before anything was published.
    for headers in ({}, {"X-Run-Id": run}, {"X-Min-Policy-Version": "0"}):
        again = sample(api, sampler, headers=headers)
        assert tokens(again) == base
        assert "x-trainers-policy-version" not in again.headers
    assert (
        sample(api, sampler, headers={**both, "X-Min-Policy-Version": "31"}).headers["x-trainers-policy-version"]
        == "25"
    )
    assert tokens(sample(api, sampler, headers={"X-Checkpoint-Path": early})) == TEXT[10:18]
    assert good(api.get(sampler["base_url"] + "/trainers_policy_version")) == {"policy_version": 30}
    served = good(api.get(sampler["base_url"] + "/v1/models"))["data"]
    assert [(found["id"], found["parent"]) for found in served] == [(TINY, None), ("late", TINY)]


def test_request_waits_for_its_minimum_version(api: httpx.Client, clock: Clock, trainer: TrainingClient) -> None:
    sampler = trainer.sampler()
    clock.forward(UP)
    begun = time.monotonic()
    problem(sample(api, sampler, headers={"X-Min-Policy-Version": "25"}), 408)
    assert time.monotonic() - begun >= HOLD
    found: list[httpx.Response] = []

    def ask() -> None:
        while not found or found[-1].status_code == 408:
            found.append(sample(api, sampler, headers={"X-Min-Policy-Version": "25"}))

    waiting = threading.Thread(target=ask)
    waiting.start()
    trainer.do("save_weights_for_sampler", name="now", bump_version=True)
    waiting.join(60)
    assert found[-1].headers["x-trainers-policy-version"] == "25"


def test_samplers_without_a_run(api: httpx.Client, clock: Clock, session_id: str, trainer: TrainingClient) -> None:
    path = trainer.do("save_weights_for_sampler", name="one", bump_version=False)["path"]
    plain = new_sampler(api, session_id, base_model=TINY)
    tuned = new_sampler(api, session_id, model_path=path)
    clock.forward(UP)
    assert (
        tokens(sample(api, tuned)) == TEXT[10:18] != tokens(sample(api, plain, headers={"X-Sampler-Id": plain["id"]}))
    )
    assert tokens(sample(api, tuned, headers={"X-Checkpoint-Path": path})) == TEXT[10:18]
    assert tokens(sample(api, plain, headers={"X-Checkpoint-Path": path})) == TEXT[10:18]
    problem(sample(api, plain, headers={"X-Sampler-Id": tuned["id"]}), 422)
    problem(sample(api, plain, headers={"X-Run-Id": trainer.run["id"]}), 422)


def test_hosted_names_stand_for_the_small_model(api: httpx.Client, clock: Clock, session_id: str) -> None:
    prompt = [151_644, 872, 198, 9707]
    sampler = new_sampler(api, session_id, base_model="Qwen/Qwen3-8B")
    clock.forward(UP)
    answer = sample(api, sampler, prompt, max_tokens=4)
    assert set(tokens(answer)) <= {*prompt, 151_643, 151_645}
    listed = {found["model_name"]: found for found in good(api.get("/v1/loops/capabilities"))["supported_models"]}
    assert listed["Qwen/Qwen3-8B"]["enablement_details"]["reason"] == "local_alias"
    assert listed[TINY]["enablement_details"] is None


def test_invalid_requests_are_refused_with_a_reason(
    api: httpx.Client, clock: Clock, session_id: str, trainer: TrainingClient
) -> None:
    sampler, run = trainer.sampler(), trainer.run["id"]
    other = TrainingClient(api, session_id, base_model="loops-local/small")
    clock.forward(UP)
    weights = trainer.do("save_state", name="s")["path"]
    foreign = other.do("save_weights_for_sampler", name="f", bump_version=False)["path"]
    for headers, words in (
        ({"X-Checkpoint-Path": "nonsense"}, "X-Checkpoint-Path"),
        ({"X-Checkpoint-Path": weights}, "sampler"),
        ({"X-Checkpoint-Path": f"bt://loops:{run}/sampler_weights/none"}, "no checkpoint"),
        ({"X-Checkpoint-Path": foreign, "X-Run-Id": run}, "X-Run-Id"),
        ({"X-Checkpoint-Path": foreign}, "base model loops-local/small"),
        ({"X-Run-Id": "another"}, "another"),
        ({"X-Min-Policy-Version": "soon"}, "whole number"),
    ):
        assert words in problem(sample(api, sampler, headers=headers), 422)["message"]
    bodies: list[dict[str, Any]] = [
        {"prompt": []},
        {"prompt": [-1]},
        {"prompt": "text"},
        {"temperature": -1},
        {"top_p": 0},
        {"n": 0},
    ]
    for body in bodies:
        problem(api.post(sampler["base_url"] + "/sample", json={"prompt": TEXT[:3], **body}), 422)
    image = [{"type": "image", "data": "", "format": "png"}]
    assert "text only" in problem(sample(api, sampler, [], model_input_chunks=image), 422)["message"]
    problem(api.post(sampler["base_url"] + "/sample", content=b"{"), 422)
    problem(api.post(sampler["base_url"] + "/v1/chat/completions", json={}), 422)


def test_repeated_idempotency_key_gets_the_same_answer(
    api: httpx.Client, clock: Clock, trainer: TrainingClient
) -> None:
    sampler = trainer.sampler()
    clock.forward(UP)
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    first = good(sample(api, sampler, temperature=1, headers=headers))
    assert good(sample(api, sampler, temperature=1, headers=headers)) == first
    assert (
        good(sample(api, sampler, temperature=1, headers={"Idempotency-Key": str(uuid.uuid4())}))["id"] != first["id"]
    )
    problem(sample(api, sampler, temperature=0.5, headers=headers), 422)


def test_completion_that_repeats_its_prompt_is_kept_by_the_training_client(
    api: httpx.Client, clock: Clock, session_id: str
) -> None:
    """The client cuts a prompt off that a completion begins with; so it gets one to cut off."""
    made = TrainingClient(api, session_id)
    clock.forward(UP)
    made.init()
    for _ in range(20):
        made.step([97] * 30, rate=0.02)
    made.do("save_weights_for_sampler", name="a", bump_version=True)
    sampler = made.sampler()
    clock.forward(UP)
    newest = {"X-Min-Policy-Version": "1"}
    plain = good(sample(api, sampler, [97], max_tokens=3, headers=newest))["choices"][0]
    assert plain["token_ids"] == [97] * 3
    asked = good(sample(api, sampler, [97], max_tokens=3, headers={**newest, "User-Agent": "baseten-loops/0.32.0"}))[
        "choices"
    ][0]
    assert asked["token_ids"] == [97] * 4
    assert asked["logprobs"]["token_logprobs"][1:] == plain["logprobs"]["token_logprobs"]


def test_sampler_scales_to_zero_wakes_and_survives_its_process(
    api: httpx.Client, clock: Clock, trainer: TrainingClient, engine: WorkerPool
) -> None:
    trainer.do("save_weights_for_sampler", name="one", bump_version=True)
    sampler = trainer.sampler()
    problem(sample(api, sampler), 408)  # not up yet
    clock.forward(UP)
    newest = {"X-Min-Policy-Version": "1"}
    assert tokens(sample(api, sampler, headers=newest)) == TEXT[10:18]
    first = engine.processes()[sampler["id"]]
    os.kill(first, signal.SIGKILL)
    until(lambda: sampler["id"] not in engine.processes())
    assert tokens(sample(api, sampler, headers=newest)) == TEXT[10:18]
    path = f"/v1/models/{sampler['model_id']}/deployments/{sampler['deployment_id']}/logs"
    assert any(
        f"sampler process {first} was ended by signal 9" in line["message"] for line in good(api.get(path))["logs"]
    )
    clock.forward(901)
    until(lambda: sampler["id"] not in engine.processes())
    assert good(api.get(f"/v1/loops/samplers/{sampler['id']}"))["sampler"]["status"]["name"] == "SCALED_TO_ZERO"
    assert api.post(sampler["base_url"] + "/wake").status_code == 202
    clock.forward(8)
    assert tokens(sample(api, sampler, headers=newest)) == TEXT[10:18]
    good(api.post(f"/v1/loops/runs/{trainer.run['id']}/deactivate"))
    clock.forward(3)
    ended = sample(api, sampler)
    problem(ended, 422)
    assert (ended.headers["x-baseten-error-source"], ended.headers["x-baseten-error-code"]) == ("01", "631")
    until(lambda: not engine.processes())


def test_a_local_model_names_its_tokenizer(api: httpx.Client, session_id: str) -> None:
    body = {"session_id": session_id, "base_model": TINY, "lora_rank": RANK}
    run = good(api.post("/v1/loops/trainers", json=body))["run"]
    folder = Path(run["base_checkpoint"].removeprefix("hf://"))
    assert {path.name for path in folder.iterdir()} >= {"tokenizer.json", "tokenizer_config.json"}
    assert run["base_model"] == TINY
    assert good(api.get(f"/v1/loops/runs/{run['id']}"))["run"]["base_checkpoint"] is None
    assert new_sampler(api, session_id, base_model=TINY)["base_checkpoint"] == run["base_checkpoint"]
    # The folder counts as the name, wherever a client sends it back.
    again = good(
        api.post("/v1/loops/runs", json={**body, "base_model": str(folder), "base_checkpoint": run["base_checkpoint"]})
    )["run"]
    assert (again["base_model"], again["base_checkpoint"]) == (TINY, run["base_checkpoint"])
    assert len(good(api.get("/v1/loops/runs", params={"base_model": str(folder)}))["runs"]) == 2
    assert len(good(api.get("/v1/loops/capabilities", params={"model": str(folder)}))["supported_models"]) == 1
    other = good(api.post("/v1/loops/trainers", json={**body, "base_model": "org/other"}))["run"]
    assert other["base_checkpoint"] is None
