"""The example without the SDK runs on every Python, and its class does what the notebook needs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.client.scripted_server import Answer, serving
from tests.service import AnyService, running_service

pytestmark = pytest.mark.once

EXAMPLE = Path(__file__).resolve().parent.parent / "examples" / "plain_http.py"
TEXT = b"plain bytes over plain HTTP"


@pytest.fixture(scope="module")
def plain() -> ModuleType:
    spec = importlib.util.spec_from_file_location("plain_http", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def service() -> Iterator[AnyService]:
    with running_service(speed=50.0, any_key=False) as running:
        yield running


@pytest.fixture
def run(plain: ModuleType, service: AnyService) -> Iterator[Any]:
    loops = plain.PlainLoops(service.url, service.key)
    found = loops.run(name="by hand", lora_rank=8, seed=1)
    yield found
    loops.request("POST", f"/v1/loops/runs/{found.run_id}/deactivate")
    loops.close()


def test_the_script_teaches_a_sentence(service: AnyService) -> None:
    environment = {**os.environ, "LOOPS_BASE_URL": service.url, "BASETEN_API_KEY": service.key}
    done = subprocess.run(
        [sys.executable, str(EXAMPLE)], capture_output=True, text=True, env=environment, timeout=100, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "before training it says" in done.stdout
    assert "after training it says 'brown fox jumps over the lazy do" in done.stdout, done.stdout
    assert "saved as bt://loops:" in done.stdout


def test_train_save_resume_and_sample(plain: ModuleType, run: Any) -> None:
    lesson = [plain.datum(TEXT[:-1], TEXT[1:])]
    losses = []
    for _ in range(50):
        losses.append(run.forward_backward(lesson)["loss"])
        assert run.optim_step(5e-3)["metrics"]["grad_norm"] >= 0
    assert losses[-1] < losses[0] / 3
    path = run.save_state("half")
    assert path.rstrip("/") == f"bt://loops:{run.run_id}/weights/half"
    run.save_for_sampler("half")
    assert bytes(run.sample(TEXT[:5], max_tokens=10)[0]) == TEXT[5:15]
    assert len(run.sample(TEXT[:5], max_tokens=2, temperature=1.0, n=3)) == 3
    later = run.forward_backward(lesson)["loss"]
    run.operation("load_state_with_optimizer", path=path)
    assert run.forward_backward(lesson)["loss"] == later


def test_weights_hide_what_is_not_to_be_learnt(plain: ModuleType, run: Any) -> None:
    weights = [0.0] * 9 + [1.0] * (len(TEXT) - 10)
    hidden = [-100] * 9 + list(TEXT[10:])
    weighted = run.operation("forward", data=[plain.datum(TEXT[:-1], TEXT[1:], weights)], loss_fn="cross_entropy")
    masked = run.operation("forward", data=[plain.datum(TEXT[:-1], hidden)], loss_fn="cross_entropy")
    assert weighted["loss"] == pytest.approx(masked["loss"], rel=1e-5)


def test_several_operations_can_be_on_their_way(plain: ModuleType, run: Any) -> None:
    lesson = [plain.datum(TEXT[:-1], TEXT[1:])]
    sent = [
        run.submit(one, **more)
        for one, more in [("forward_backward", {"data": lesson, "loss_fn": "cross_entropy"}), ("optim_step", {})] * 5
    ]
    assert len(set(sent)) == 10
    results = [run.wait(one) for one in sent]
    assert [one["loss"] for one in results[::2]] == sorted((one["loss"] for one in results[::2]), reverse=True)


def test_what_is_wrong_is_said_in_words(plain: ModuleType, run: Any) -> None:
    with pytest.raises(RuntimeError, match="target"):
        run.forward_backward([plain.datum(TEXT, [1, 2, 3])])
    with pytest.raises(plain.RefusedError, match=r"/forward_backward: 422 data is empty; send at least one datum\.$"):
        run.forward_backward([])


def test_only_a_final_answer_ends_the_wait_for_a_trainer(plain: ModuleType) -> None:
    said = [
        Answer({"message": "The trainer of run a422b is not ready."}, status=503),
        Answer({"message": "422 bad gateways"}, status=502),
        Answer({}),
        Answer(["run_ended"], status=422),
    ]
    with serving(*said) as server:
        loops = plain.PlainLoops(server.url, "local")
        run = plain.PlainRun(loops, {"id": "a422b", "session_id": "s", "base_url": f"{server.url}/trainers/a422b"})
        run.wait_until_up()
        with pytest.raises(plain.RefusedError, match="run_ended"):
            run.wait_until_up()
        loops.close()
