"""What happens to the official SDK when connections are cut, processes die and trainers sleep."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from baseten.loops import RemoteOpError, ServiceClient

from tests.sdk.conftest import MODEL, SPEED, at, ending_runs
from tests.sdk.dropping_proxy import CuttingProxy, cutting_proxy
from tests.sdk.training_data import adam, sentences, steps
from tests.service import AnyService, ProcessService, running_service

Make = Callable[..., Any]
WAIT = 60.0


@pytest.fixture
def proxied(service: AnyService, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[CuttingProxy, Any]]:
    """Give a ServiceClient that reaches the service through a proxy, and the proxy."""
    with cutting_proxy(service.url) as proxy:
        at(service, monkeypatch, proxy.url)
        with ending_runs(service.url):
            yield proxy, ServiceClient()


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessService]:
    """Give a service of the test's own."""
    with running_service(speed=SPEED) as running:
        at(running, monkeypatch)
        assert isinstance(running, ProcessService)
        yield running


@contextlib.contextmanager
def training(base_model: str = MODEL, **named: Any) -> Iterator[Any]:
    client = ServiceClient().create_lora_training_client(base_model, **{"rank": 8, "seed": 7, **named})
    try:
        yield client
    finally:
        client.close()


def until(true: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.05)
    raise AssertionError(f"never came: {what}")


@pytest.mark.parametrize("lost", ["forward_backward", "optim_step", "save_state", "operations/"])
def test_operation_with_a_lost_answer_is_executed_once(proxied: tuple[CuttingProxy, Any], lost: str) -> None:
    proxy, loops = proxied
    cut = loops.create_lora_training_client(MODEL, rank=8, seed=7)
    uncut = loops.create_lora_training_client(MODEL, rank=8, seed=7)
    proxy.lose_answers(f"/trainers/{cut.run_id}/{lost}")
    losses = steps(cut, 2)
    saved = cut.save_state("once").result(timeout=WAIT)
    assert len(proxy.lost) == 1
    assert losses + steps(cut, 2) == steps(uncut, 4)
    assert cut.policy_version == 4
    assert [one.checkpoint_id for one in cut.list_checkpoints()] == ["once"]
    assert saved.path.endswith("/once")


def test_sample_with_a_lost_answer_is_repeated(proxied: tuple[CuttingProxy, Any]) -> None:
    from baseten.loops import ModelInput, SamplingParams

    proxy, loops = proxied
    client = loops.create_lora_training_client(MODEL, rank=8, seed=7)
    steps(client, 2)
    sampler = client.save_weights_and_get_sampling_client("cut")
    prompt, params = ModelInput.from_ints([1, 2, 3]), SamplingParams(max_tokens=6, seed=3)
    before = sampler.sample(prompt, 1, params).sequences[0].tokens
    proxy.lose_answers("/sample ")
    assert sampler.sample(prompt, 1, params).sequences[0].tokens == before
    assert len(proxy.lost) == 1


def workers(service: AnyService) -> set[int]:
    """Return the pids of the trainers and samplers of a service."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            command = (stat.parent / "cmdline").read_bytes()
            if parent == service.pid and b"loops_nb.local.workers" in command:
                found.add(int(stat.parent.name))
    return found


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="processes are found under /proc, which this system lacks"
)


@needs_proc
def test_a_killed_trainer_fails_what_was_pending_and_comes_back_from_its_last_save(own: AnyService) -> None:
    with training() as client:
        steps(client, 3)
        client.save_state("safe").result(timeout=WAIT)
        (pid,) = workers(own)
        os.kill(pid, signal.SIGSTOP)
        pending = client.forward_backward(sentences())
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(RemoteOpError) as error:
            pending.result(timeout=WAIT)
        assert error.value.error_class == "RuntimeError"
        assert len(str(error.value)) > 40

        with training() as twin:
            steps(twin, 3)
            assert steps(client, 4) == steps(twin, 4)
        until(lambda: workers(own) - {pid}, "another process")
        said = logs(own, client)
        assert any("safe" in line for line in said), said


def logs(service: AnyService, client: Any) -> list[str]:
    with httpx.Client(base_url=service.url, headers=service.headers) as http:
        run = http.get(f"/v1/loops/runs/{client.run_id}").json()["run"]
        answer = http.get(f"/v1/loops/deployments/{run['deployment_id']}/logs", params={"limit": 1000})
    return [line["message"] for line in answer.json()["logs"]]


@needs_proc
def test_a_trainer_that_went_to_sleep_wakes_with_its_weights_and_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    # Five hundred times faster than life: asleep after two seconds without work.
    with running_service(speed=500.0) as service:
        at(service, monkeypatch)
        with training() as sleeper:
            before = steps(sleeper, 3)
            until(lambda: not workers(service), "sleep")
            after = steps(sleeper, 3)
            assert sleeper.policy_version == 6
        with training() as twin:
            assert steps(twin, 6) == before + after


def test_a_client_goes_on_where_it_was_when_the_service_was_stopped_and_started(
    own: ProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cutting_proxy(own.url) as proxy:
        at(own, monkeypatch, proxy.url)
        with training() as client, training() as twin:
            uninterrupted = steps(twin, 6)
            before = steps(client, 3)
            own.stop()
            own.start()
            proxy.lead_to(own.url)
            assert before + steps(client, 3) == uninterrupted


def test_run_resumes_from_its_save_after_a_kill(own: ProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    with cutting_proxy(own.url) as proxy:
        at(own, monkeypatch, proxy.url)
        with training() as client:
            steps(client, 3)
            path = client.save_state("kept").result(timeout=WAIT).path
            later = steps(client, 2)
            own.kill()
            own.start()
            proxy.lead_to(own.url)
            assert steps(client, 2) == later
            client.load_state_with_optimizer(path).result(timeout=WAIT)
            assert steps(client, 2) == later


def test_an_ended_run_says_so_at_once(own: AnyService) -> None:
    with training() as client:
        httpx.post(f"{own.url}/v1/loops/runs/{client.run_id}/deactivate", headers=own.headers).raise_for_status()
        with pytest.raises(
            (httpx.HTTPStatusError, RemoteOpError),
            match=re.compile("ended|deactivated|INACTIVE|stopped", re.IGNORECASE),
        ):
            client.optim_step(adam()).result(timeout=WAIT)


def test_more_runs_than_trainers_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_service(speed=SPEED, max_trainers=1) as service:
        at(service, monkeypatch)
        with training() as first:
            losses = steps(first, 2)
            second = ServiceClient().create_lora_training_client(MODEL, rank=4)
            assert len(steps(second, 2)) == 2
            second.close()
            assert steps(first, 1)[0] < losses[0]
