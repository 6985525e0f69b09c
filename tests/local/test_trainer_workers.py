"""Trainers sleep, wake, are killed, restarted and refused; what was saved goes on bit for bit."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from loops_nb.local.workers.pool import WorkerPool
from tests.local.conftest import Clock
from tests.local.responses import good, new_sampler, problem, states
from tests.local.training_client import RANK, TEXT, TINY, TrainingClient, datum, sample
from tests.service import AnyService, ProcessService, ThreadService, running_service

LINUX = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the system says nothing about processes in /proc"
)


@pytest.fixture
def engine(service: AnyService) -> WorkerPool:
    assert isinstance(service, ThreadService)
    found = service.app.state.service.workers
    assert isinstance(found, WorkerPool)
    return found


@pytest.fixture
def trainer(api: httpx.Client, session_id: str, clock: Clock) -> TrainingClient:
    return started(api, session_id, clock)


def started(api: httpx.Client, session_id: str, clock: Clock, **fields: Any) -> TrainingClient:
    made = TrainingClient(api, session_id, **fields)
    clock.forward(22)
    return made.init()


def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_scaling_to_zero_and_waking_is_bit_exact(
    api: httpx.Client, session_id: str, clock: Clock, trainer: TrainingClient, engine: WorkerPool
) -> None:
    awake = started(api, session_id, clock)
    for each in (trainer, awake):
        for _ in range(3):
            each.step()
        each.do("forward_backward", data=[datum()])  # a gradient that waits for its step
    run = trainer.run["id"]
    first = engine.processes()[run]
    clock.forward(890)
    awake.do("forward", data=[datum()])
    clock.forward(20)
    until(lambda: run not in engine.processes())
    assert states(api, trainer.run)[1] == "SCALED_TO_ZERO"
    assert awake.run["id"] in engine.processes()
    key = trainer.accepted("optim_step", adam_params={"learning_rate": 0.01})
    assert states(api, trainer.run)[1] == "DEPLOYING"
    clock.forward(10)
    assert trainer.poll(key) == {
        "status": "done",
        "result": awake.do("optim_step", adam_params={"learning_rate": 0.01}),
    }
    assert engine.processes()[run] != first
    assert [trainer.step() for _ in range(3)] == [awake.step() for _ in range(3)]
    assert good(api.get(trainer.url + "/policy_version")) == {"policy_version": 7}
    assert any("begins where it stood at step 3" in line for line in trainer.logs())


def test_resuming_from_a_checkpoint_is_bit_exact(
    api: httpx.Client, session_id: str, clock: Clock, trainer: TrainingClient
) -> None:
    for _ in range(3):
        trainer.step()
    path = trainer.do("save_state", name="three", ttl_seconds=None)["path"]
    expected = [trainer.step() for _ in range(3)]
    # Another run, loaded as training clients do; a third one that starts from the path; and the run itself, taken back.
    loaded = started(api, session_id, clock, seed=99)
    assert loaded.do("load_state_with_optimizer", path=path) == {"step": 3}
    assert [loaded.step() for _ in range(3)] == expected
    resumed = TrainingClient(api, session_id, path=path, seed=100)
    clock.forward(22)
    assert resumed.do("init_trainer_server", lora_rank=RANK) == {"step": 3, "lora_rank": RANK}
    assert [resumed.step() for _ in range(3)] == expected
    assert trainer.do("load_state_with_optimizer", path=path) == {"step": 3}
    assert [trainer.step() for _ in range(3)] == expected
    # The weights alone: the same first loss, and another way from there.
    assert loaded.do("load_state", path=path) == {"step": 0}
    bare = [loaded.step() for _ in range(3)]
    assert bare[0] == expected[0]
    assert bare[1:] != expected[1:]


def test_killed_trainer_is_reported_and_resumes_from_its_save(trainer: TrainingClient, engine: WorkerPool) -> None:
    run = trainer.run["id"]
    for _ in range(2):
        trainer.step()
    trainer.do("save_state", name="two")
    after_save = trainer.step()
    heavy = [datum(TEXT * 40) for _ in range(8)]
    keys = [trainer.accepted("forward_backward", data=heavy) for _ in range(4)]
    keys.append(trainer.accepted("optim_step", adam_params={}))
    pid = engine.processes()[run]
    os.kill(pid, signal.SIGKILL)
    found = [trainer.poll(key) for key in keys]
    failed = [each for each in found if each["status"] == "error"]
    assert found[-1] in failed
    assert {each["error_class"] for each in failed} == {"RuntimeError"}
    assert all("signal 9" in each["error"] and "from its checkpoint two" in each["error"] for each in failed)
    lines = trainer.logs()
    assert any(f"trainer process {pid} started" in line for line in lines)
    assert any(f"trainer process {pid} was ended by signal 9" in line for line in lines)
    # The next one runs at once, and as it ran after the save.
    assert trainer.step() == after_save
    assert engine.processes()[run] != pid
    assert any(f"run {run} begins from its checkpoint two" in line for line in trainer.logs())
    assert good(trainer.api.get(trainer.url + "/policy_version")) == {"policy_version": 3}


def test_steps_lost_between_operations_are_reported_once(trainer: TrainingClient, engine: WorkerPool) -> None:
    run = trainer.run["id"]
    first = trainer.step()
    trainer.step()
    os.kill(engine.processes()[run], signal.SIGKILL)
    until(lambda: run not in engine.processes())
    lost = trainer.fail("forward_backward", data=[datum()])
    assert lost["error_class"] == "RuntimeError"
    assert "with a fresh adapter" in lost["error"]
    assert trainer.step() == first
    # Nothing is lost with a process that knew nothing else than its checkpoint.
    trainer.do("save_state", name="one")
    os.kill(engine.processes()[run], signal.SIGKILL)
    until(lambda: run not in engine.processes())
    trainer.do("forward_backward", data=[datum()])
    # A restart from a checkpoint does not report what was lost.
    os.kill(engine.processes()[run], signal.SIGKILL)
    until(lambda: run not in engine.processes())
    assert trainer.do("init_trainer_server", lora_rank=RANK) == {"step": 0, "lora_rank": RANK}
    assert trainer.step() == first


@pytest.fixture
def one_trainer(clock: Clock, tmp_path: Path) -> Iterator[ThreadService]:
    """A service that may have one live trainer and one live sampler."""
    options: dict[str, Any] = {"max_trainers": 1, "max_samplers": 1, "hold_seconds": 0.3}
    with running_service(in_process=True, speed=1.0, clock=clock, data_dir=tmp_path / "data", **options) as found:
        assert isinstance(found, ThreadService)
        yield found


@pytest.fixture
def limited(one_trainer: ThreadService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=one_trainer.url, headers=one_trainer.headers, timeout=60) as found:
        yield found


def test_a_run_beyond_the_limit_is_queued_until_a_trainer_is_idle(
    one_trainer: ThreadService, limited: httpx.Client, clock: Clock
) -> None:
    session = str(good(limited.post("/v1/loops/sessions"))["session"]["id"])
    first = started(limited, session, clock)
    losses = [first.step() for _ in range(2)]
    second = TrainingClient(limited, session)
    clock.forward(60)
    assert states(limited, second.run)[1] == "CREATED"
    waiting = problem(limited.get(second.url + "/health"), 503)
    assert f"waits for one of 1 trainers (runs {first.run['id']} have them)" in waiting["message"]
    assert any(f"waits for one of 1 trainers; runs {first.run['id']} have them" in line for line in second.logs())
    # Its operations wait as well, and are done when the first trainer has been idle for a while.
    key = second.accepted("init_trainer_server", lora_rank=RANK)

    def admitted() -> bool:
        clock.forward(1)
        return states(limited, second.run)[1] == "RUNNING"

    until(admitted)
    assert second.poll(key) == {"status": "done", "result": {"step": 0, "lora_rank": RANK}}
    assert list(one_trainer.app.state.service.workers.processes()) == [second.run["id"]]
    # Both go on from where they were, as if each had a trainer of its own.
    assert [second.step() for _ in range(2)] == losses
    assert first.step() < losses[1]
    assert list(one_trainer.app.state.service.workers.processes()) == [first.run["id"]]


def test_a_queued_run_can_be_ended_and_is_queued_still_after_a_restart(clock: Clock, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "in_process": True,
        "speed": 1.0,
        "clock": clock,
        "data_dir": tmp_path / "data",
        "max_trainers": 1,
    }
    with (
        running_service(**options) as service,
        httpx.Client(base_url=service.url, headers=service.headers, timeout=60) as api,
    ):
        session = str(good(api.post("/v1/loops/sessions"))["session"]["id"])
        first = started(api, session, clock)
        second, third = TrainingClient(api, session), TrainingClient(api, session)
        good(api.post(f"/v1/loops/runs/{second.run['id']}/deactivate"))
        assert states(api, second.run)[:2] == ("INACTIVE", "STOPPED")
        assert states(api, third.run)[1] == "CREATED"
        first.step()
    with (
        running_service(**options) as service,
        httpx.Client(base_url=service.url, headers=service.headers, timeout=60) as api,
    ):

        def admitted() -> bool:
            clock.forward(1)
            return states(api, third.run)[1] == "RUNNING"

        until(admitted)
        assert states(api, second.run)[1] == "STOPPED"


def test_samplers_beyond_the_limit_take_turns(one_trainer: ThreadService, limited: httpx.Client, clock: Clock) -> None:
    session = str(good(limited.post("/v1/loops/sessions"))["session"]["id"])
    first, second = (new_sampler(limited, session, base_model=TINY) for _ in range(2))
    clock.forward(20)
    before = good(sample(limited, first))
    waiting = sample(limited, second)
    assert "--max-samplers" in problem(waiting, 408)["message"]
    # The first one is idle after a while, and makes room.
    until(lambda: sample(limited, second).status_code == 200)
    assert list(one_trainer.app.state.service.workers.processes()) == [second["id"]]
    until(lambda: sample(limited, first).status_code == 200)
    assert good(sample(limited, first))["choices"] == before["choices"]


def test_a_run_resumes_from_what_was_saved_last_when_the_clock_went_back(
    trainer: TrainingClient, engine: WorkerPool, clock: Clock
) -> None:
    run = trainer.run["id"]
    trainer.step()
    trainer.do("save_state", name="early")
    trainer.step()
    clock.forward(-3600)
    trainer.do("save_state", name="late")
    expected = trainer.step()
    os.kill(engine.processes()[run], signal.SIGKILL)
    until(lambda: run not in engine.processes())
    assert "from its checkpoint late" in trainer.fail("forward_backward", data=[datum()])["error"]
    assert trainer.step() == expected
    assert good(trainer.api.get(trainer.url + "/policy_version")) == {"policy_version": 3}


def test_suspended_state_is_newer_than_an_earlier_save_when_the_clock_went_back(
    one_trainer: ThreadService, limited: httpx.Client, clock: Clock
) -> None:
    session = str(good(limited.post("/v1/loops/sessions"))["session"]["id"])
    first = started(limited, session, clock)
    first.step()
    first.do("save_state", name="early")
    first.step()
    loss = first.do("forward", data=[datum()])["loss"]
    clock.forward(-3600)
    # The trainer of a second run takes the only place: what the first one knows is kept by the service itself.
    second = TrainingClient(limited, session)
    key = second.accepted("init_trainer_server", lora_rank=RANK)

    def done() -> bool:
        clock.forward(1)
        return limited.get(f"{second.url}/operations/{key}").status_code == 200

    until(done)
    assert list(one_trainer.app.state.service.workers.processes()) == [second.run["id"]]
    assert first.do("forward", data=[datum()])["loss"] == loss
    assert good(limited.get(first.url + "/policy_version")) == {"policy_version": 2}


def test_an_ended_run_has_no_process_and_leaves_only_its_checkpoints(
    trainer: TrainingClient, engine: WorkerPool, api: httpx.Client, service: AnyService, clock: Clock
) -> None:
    run = trainer.run["id"]
    trainer.step()
    trainer.do("save_weights_for_sampler", name="kept", bump_version=True)
    clock.forward(901)
    until(lambda: run not in engine.processes())
    kept = [service.data_dir / "engine" / name / run for name in ("trainers", "published")]
    assert all(folder.is_dir() for folder in kept)
    key = trainer.accepted("forward", data=[datum()])
    clock.forward(10)
    trainer.poll(key)
    assert run in engine.processes()
    good(api.post(f"/v1/loops/deployments/{trainer.run['deployment_id']}/deactivate"))
    until(lambda: run not in engine.processes())
    clock.forward(3601)
    until(lambda: not any(folder.exists() for folder in kept))
    assert [
        found["checkpoint_id"]
        for found in good(api.get("/v1/loops/checkpoints", params={"run_id": run}))["checkpoints"]
    ] == ["kept"]


def test_a_run_that_takes_a_deployment_over_ends_the_one_before(
    trainer: TrainingClient, engine: WorkerPool, api: httpx.Client, session_id: str, clock: Clock
) -> None:
    trainer.step()
    after = started(api, session_id, clock, reuse_from_run_id=trainer.run["id"])
    until(lambda: trainer.run["id"] not in engine.processes())
    assert after.step() > 0
    problem(trainer.submit("optim_step"), 422)


def process_ids(trainer: TrainingClient) -> list[int]:
    return [int(line.split()[2]) for line in trainer.logs() if line.startswith("trainer process") and "started" in line]


def is_there(pid: int) -> bool:
    """A process that has ended and was not reaped by its parent counts as gone."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except FileNotFoundError:
        return False


@LINUX
@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_service_that_is_started_again(tmp_path: Path, how: str) -> None:
    service = ProcessService(tmp_path / "data", "--any-key", "--speed", "1000", "--rate-limit", "0")
    try:
        with httpx.Client(base_url=service.url, headers=service.headers, timeout=60) as api:
            session = str(good(api.post("/v1/loops/sessions"))["session"]["id"])
            straight, stopped = (TrainingClient(api, session, scale_down_delay_seconds=3600).init() for _ in range(2))
            for _ in range(2):
                assert straight.step() == stopped.step()
            stopped.do("save_state", name="two")
            expected = [straight.step() for _ in range(4)]
            seen = [stopped.step() for _ in range(2)]
            pids = process_ids(stopped)
        getattr(service, how)()
        until(lambda: not any(is_there(pid) for pid in pids))
        service.start()
        with httpx.Client(base_url=service.url, headers=service.headers, timeout=60) as api:
            stopped.api, stopped.url = api, f"{service.url}/trainers/{stopped.run['id']}"
            problem(api.get(f"{stopped.url}/operations/before"), 404)
            # Stopped politely it stands where it stood; killed, it stands at its last save.
            assert good(api.get(stopped.url + "/policy_version")) == {"policy_version": 4 if how == "stop" else 2}
            if how == "kill":
                assert [stopped.step() for _ in range(2)] == seen == expected[:2]
            assert [stopped.step() for _ in range(2)] == expected[2:]
    finally:
        service.kill()


@LINUX
def test_a_live_run_takes_little_memory(trainer: TrainingClient, engine: WorkerPool) -> None:
    for _ in range(3):
        trainer.do("forward_backward", data=[datum((TEXT * 4)[:129]) for _ in range(4)])
        trainer.do("optim_step", adam_params={})
    status = Path(f"/proc/{engine.processes()[trainer.run['id']]}/status").read_text(encoding="ascii")
    megabytes = int(status.split("VmRSS:")[1].split()[0]) / 1024
    assert megabytes < 150
