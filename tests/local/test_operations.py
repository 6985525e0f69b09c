"""Operations: submitted once, done in order, polled without a hot loop, refused in words, forgotten after a while."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from loops_nb.local.workers import operations
from tests.local.conftest import Clock
from tests.local.responses import good, problem
from tests.local.training_client import RANK, TEXT, TINY, TrainingClient, datum
from tests.service import AnyService, running_service

HOLD = 0.3


@pytest.fixture
def service(clock: Clock, tmp_path: Path) -> Iterator[AnyService]:
    """As the usual one, and impatient."""
    with running_service(
        in_process=True, speed=1.0, clock=clock, data_dir=tmp_path / "data", hold_seconds=HOLD
    ) as found:
        yield found


@pytest.fixture
def trainer(api: httpx.Client, session_id: str, clock: Clock) -> TrainingClient:
    made = TrainingClient(api, session_id)
    clock.forward(22)
    return made.init()


def test_repeated_idempotency_key_is_executed_once(trainer: TrainingClient) -> None:
    trainer.do("forward_backward", data=[datum()])
    key = uuid.uuid4().hex
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: trainer.submit("optim_step", key=key, adam_params={"learning_rate": 0.01}), range(8))
        )
    assert {answer.status_code for answer in answers} == {202}
    ids = {answer.json()["operation_id"] for answer in answers}
    assert len(ids) == 1
    assert {answer.headers["location"] for answer in answers} == {f"/operations/{next(iter(ids))}"}
    done = trainer.poll(ids.pop())
    # And also when it has been done already.
    again = trainer.submit("optim_step", key=key, adam_params={"learning_rate": 0.01})
    assert trainer.poll(again.json()["operation_id"]) == done
    assert good(trainer.api.get(trainer.url + "/policy_version")) == {"policy_version": 1}
    assert "used for another" in problem(trainer.submit("optim_step", key=key, adam_params={}), 422)["message"]
    assert "used for another" in problem(trainer.submit("save_state", key=key, name="x"), 422)["message"]


def test_operations_are_executed_in_order(trainer: TrainingClient) -> None:
    ids = []
    for number in range(5):
        ids.append(trainer.accepted("forward_backward", data=[datum()]))
        trainer.accepted("optim_step", adam_params={"learning_rate": 0.01})
        ids.append(trainer.accepted("save_weights_for_sampler", name=f"s{number}", bump_version=False))
    # The last one first: it is done when all are.
    assert trainer.poll(ids[-1])["result"]["version"] == 5
    assert [trainer.poll(key)["result"]["version"] for key in ids[1::2]] == [1, 2, 3, 4, 5]
    losses = [trainer.poll(key)["result"]["loss"] for key in ids[::2]]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


def test_a_poll_is_held_and_then_408(api: httpx.Client, session_id: str, clock: Clock) -> None:
    trainer = TrainingClient(api, session_id)  # its deployment is not up, and will not be before the clock moves
    key = trainer.accepted("init_trainer_server", lora_rank=RANK, base_model=TINY)
    begun = time.monotonic()
    answer = api.get(f"{trainer.url}/operations/{key}")
    assert answer.status_code == 408
    assert time.monotonic() - begun >= HOLD
    begun = time.monotonic()
    assert problem(api.get(trainer.url + "/health"), 503)["details"] == {"status": "CREATED"}
    assert time.monotonic() - begun >= HOLD
    clock.forward(22)
    assert trainer.poll(key)["status"] == "done"
    assert good(api.get(trainer.url + "/health"))["status"] == "ok"


def test_held_poll_returns_when_the_operation_ends(clock: Clock, tmp_path: Path) -> None:
    with (
        running_service(
            in_process=True, speed=1.0, clock=clock, data_dir=tmp_path / "data", hold_seconds=30.0
        ) as service,
        httpx.Client(base_url=service.url, headers=service.headers, timeout=60) as api,
    ):
        trainer = TrainingClient(api, str(good(api.post("/v1/loops/sessions"))["session"]["id"]))
        key = trainer.accepted("init_trainer_server", lora_rank=RANK)
        found: list[httpx.Response] = []
        begun = time.monotonic()
        waiting = threading.Thread(target=lambda: found.append(api.get(f"{trainer.url}/operations/{key}")))
        waiting.start()
        clock.forward(22)
        waiting.join(60)
        assert good(found[0])["status"] == "done"
        assert time.monotonic() - begun < 25


def test_invalid_requests_are_refused_with_a_reason(trainer: TrainingClient, service: AnyService) -> None:
    api, other = trainer.api, datum()
    image = {
        "model_input": {"chunks": [{"type": "image", "data": "", "format": "png"}]},
        "loss_fn_inputs": other["loss_fn_inputs"],
    }
    short = {**other, "loss_fn_inputs": {"target_tokens": {"data": [1], "dtype": "int64", "shape": [1]}}}
    holes = {
        **other,
        "loss_fn_inputs": {
            **other["loss_fn_inputs"],
            "weights": {"data": [None] * 42, "dtype": "float32", "shape": [42]},
        },
    }
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("forward_backward", {"data": [image]}, "text only"),
        ("forward_backward", {"data": [short]}, "shape"),
        ("forward_backward", {"data": [holes]}, "NaN"),
        ("forward_backward", {"data": [other], "loss_fn": "no_such"}, "no loss 'no_such'"),
        ("forward_backward", {"data": []}, "empty"),
        ("forward_backward", {}, "data"),
        ("forward", {"data": [other], "top_k_logprobs": 21}, "top_k_logprobs"),
        ("optim_step", {"adam_params": {"learning_rate": -1}}, "learning_rate"),
        ("save_state", {"name": "a/b"}, "name is 1 to 255 letters"),
        ("save_state", {"name": ""}, "name is 1 to 255 letters"),
        ("save_state", {"name": ".."}, "not dots alone"),
        ("save_weights_for_sampler", {"name": "a\n"}, "name is 1 to 255 letters"),
        ("save_state", {"name": "../../x", "padding": "x" * 300_000}, "only forward and forward_backward"),
        ("save_state", {}, "name"),
        (
            "save_state",
            {"name": "a", "ttl_seconds": 0},
            "The body is not as it should be: Expected `int` >= 1 - at `$.ttl_seconds`.",
        ),
        ("load_state", {"path": "s3://bucket/x"}, "S3"),
        ("load_state", {}, "path"),
        ("init_trainer_server", {"lora_rank": RANK + 1}, f"lora_rank {RANK}"),
        ("init_trainer_server", {"base_model": "org/other"}, "base model"),
        ("optim_step", {"run_id": "another"}, "another"),
        ("no_such_operation", {}, "no operation 'no_such_operation'"),
    ]
    for name, body, words in cases:
        found = problem(trainer.submit(name, **body), 422)
        assert words in found["message"], (name, found)
    for content in (b"[]", b"{", b'"x"', b"\xff", b"[" * 100_000):
        problem(api.post(trainer.url + "/optim_step", content=content), 422)
    problem(api.post(trainer.url + "/optim_step", json={}, headers={"X-Run-Id": "another"}), 422)
    # A client takes 404 there as "still starting" and would ask for an hour.
    for path in (
        "/trainers/nothere/health",
        "/trainers/nothere/operations/x",
        "/samplers/nothere/v1/models",
        "/trainers/a%20b/health",
    ):
        problem(api.get(service.url + path), 422)
    problem(api.post(f"{service.url}/samplers/nothere/wake"), 422)
    problem(api.put(trainer.url + "/optim_step"), 422)
    problem(api.get(trainer.url), 422)
    problem(httpx.get(trainer.url + "/health"), 401)
    # None of it did anything.
    assert trainer.do("forward", data=[other])["loss"] > 0
    assert good(api.get(trainer.url + "/policy_version")) == {"policy_version": 0}


def test_large_invalid_body_fails_in_the_trainer(trainer: TrainingClient) -> None:
    # Nothing to step with; a checkpoint that is not here; a body too large to be read before it is its turn.
    assert trainer.fail("optim_step", adam_params={})["error_class"] == "ValueError"
    missing = trainer.fail("load_state", path="bt://loops:nothere/weights/x")
    assert missing["error_class"] == "ValueError"
    assert "nothere" in missing["error"]
    assert "absolute path" in trainer.fail("load_state", path="some/where")["error"]
    long = datum([65] * 4000)
    long["loss_fn_inputs"]["target_tokens"]["data"][-1] = -7
    many = [datum([65] * 4000) for _ in range(15)]
    assert trainer.fail("forward", data=[*many, long])["error_class"] == "ValueError"
    for body, words in (
        ({"data": many, "run_id": "another"}, "The body names run another"),
        ({"datums": many}, "The body has no data"),
    ):
        failed = trainer.fail("forward", **body)
        assert failed["error_class"] == "ValueError"
        assert words in failed["error"]
    cut = trainer.api.post(trainer.url + "/forward", content=b"[" + b"1, " * 100_000).json()["operation_id"]
    assert "not a JSON object" in trainer.poll(cut)["error"]
    assert trainer.do("forward", data=[datum()])["loss"] > 0


def test_bodies_have_a_limit_that_fits_training(api: httpx.Client, trainer: TrainingClient) -> None:
    large = b'{"data": "' + b"x" * (2 << 20) + b'"}'
    problem(api.post("/v1/loops/sessions", content=large), 413)
    assert api.post(trainer.url + "/forward", content=large).status_code == 202
    assert (
        problem(api.post(trainer.url + "/forward", content=b"x" * (33 << 20)), 413)["details"]["limit_bytes"]
        == 32 << 20
    )


def test_results_are_forgotten_after_an_hour(trainer: TrainingClient, clock: Clock, service: AnyService) -> None:
    key = uuid.uuid4().hex
    first = trainer.submit("forward", key=key, data=[datum()]).json()["operation_id"]
    result = trainer.poll(first)
    clock.forward(3599)
    assert trainer.poll(first) == result
    clock.forward(2)
    gone = f"{trainer.url}/operations/{first}"
    while trainer.api.get(gone).status_code != 404:
        time.sleep(0.01)
    assert trainer.submit("forward", key=key, data=[datum()]).json()["operation_id"] != first
    problem(trainer.api.get(f"{trainer.url}/operations/nothere"), 404)


def test_waiting_operations_are_limited(
    api: httpx.Client, session_id: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "MOST_WAITING", 3)
    trainer = TrainingClient(api, session_id)
    keys = [
        trainer.accepted("init_trainer_server"),
        trainer.accepted("forward", data=[datum()]),
        trainer.accepted("forward", data=[datum()]),
    ]
    assert "waiting already" in problem(trainer.submit("forward", data=[datum()]), 422)["message"]
    clock.forward(22)
    assert {trainer.poll(key)["status"] for key in keys} == {"done"}
    monkeypatch.setattr(operations, "MOST_WAITING_BYTES", 10_000)
    trainer.do("forward", data=[datum()])
    problem(trainer.submit("forward", data=[datum()] * 50), 422)


def test_kept_results_are_limited(trainer: TrainingClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest results go first; what was done is known a while longer, so that a repeat does not do it again."""
    trainer.do("forward_backward", data=[datum()])
    key = uuid.uuid4().hex
    step = trainer.submit("optim_step", key=key, adam_params={}).json()["operation_id"]
    trainer.poll(step)
    monkeypatch.setattr(operations, "MOST_RESULT_BYTES", 1000)
    last = trainer.accepted("forward", data=[datum()])
    assert trainer.poll(last)["status"] == "done"
    problem(trainer.api.get(f"{trainer.url}/operations/{step}"), 404)
    assert trainer.submit("optim_step", key=key, adam_params={}).json()["operation_id"] == step
    assert trainer.do("save_weights_for_sampler", name="x")["version"] == 1
    monkeypatch.setattr(operations, "MOST_FINISHED", 1)
    deadline = time.monotonic() + 60
    while trainer.submit("optim_step", key=key, adam_params={}).json()["operation_id"] == step:
        assert time.monotonic() < deadline


def test_an_ended_run_is_final(trainer: TrainingClient, clock: Clock) -> None:
    api = trainer.api
    good(api.post(f"/v1/loops/runs/{trainer.run['id']}/deactivate"))
    for answer in (
        api.get(trainer.url + "/health"),
        trainer.submit("optim_step"),
        api.get(trainer.url + "/policy_version"),
    ):
        assert "has ended" in problem(answer, 422)["message"]
        # Training clients give up at once on these two headers, and on nothing else.
        assert answer.headers["x-baseten-error-source"] == "06"
        assert answer.headers["x-baseten-error-code"] == "run_ended"


def test_pending_operations_fail_when_the_run_ends(api: httpx.Client, session_id: str) -> None:
    trainer = TrainingClient(api, session_id)
    keys = [trainer.accepted("init_trainer_server", lora_rank=RANK), trainer.accepted("forward", data=[datum(TEXT)])]
    good(api.post(f"/v1/loops/runs/{trainer.run['id']}/deactivate"))
    for key in keys:
        found = trainer.poll(key)
        assert (found["status"], found["error_class"]) == ("error", "RuntimeError")
        assert "has ended" in found["error"]


def test_a_key_with_a_body_that_differs_in_its_last_bytes_is_refused(trainer: TrainingClient) -> None:
    long = [list(range(32, 126)) * 4] * 60
    same, other = ({"data": [datum(tokens) for tokens in [*long, list(last)]]} for last in (b"first", b"third"))
    first = trainer.submit("forward", key="once", **same)
    assert trainer.submit("forward", key="once", **same).json() == first.json()
    assert problem(trainer.submit("forward", key="once", **other), 422)["code"] == "IDEMPOTENCY_KEY_REUSED"
