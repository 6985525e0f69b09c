"""Training, saving and sampling over HTTP, with the real model in real processes."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from loops_nb import Loops
from tests.local.responses import good, problem
from tests.local.training_client import TEXT, TINY, TrainingClient, sample, tokens
from tests.service import AnyService, running_service


@pytest.fixture(scope="module")
def fast() -> Iterator[AnyService]:
    with running_service(speed=1000.0) as service:
        yield service


@pytest.fixture(scope="module")
def fast_api(fast: AnyService) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=fast.url, headers=fast.headers, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def session(fast_api: httpx.Client) -> str:
    return str(good(fast_api.post("/v1/loops/sessions"))["session"]["id"])


def test_a_text_is_learnt_saved_and_sampled(fast_api: httpx.Client, session: str) -> None:
    trainer = TrainingClient(fast_api, session)
    assert good(fast_api.get(trainer.url + "/health", params={"base_model": TINY}))["status"] == "ok"
    trainer.init()
    sampler = trainer.sampler()
    before = sample(fast_api, sampler)
    assert "x-trainers-policy-version" not in before.headers
    losses = [trainer.step() for _ in range(30)]
    assert losses[0] > 4
    assert losses[-1] < 0.2
    assert good(fast_api.get(trainer.url + "/policy_version")) == {"policy_version": 30}
    run = trainer.run["id"]
    assert trainer.do("save_state", name="s30", ttl_seconds=None)["path"] == f"bt://loops:{run}/weights/s30"
    saved = trainer.do("save_weights_for_sampler", name="s30", bump_version=True)
    assert saved == {"version": 30, "path": f"bt://loops:{run}/sampler_weights/s30"}
    after = sample(fast_api, sampler, headers={"X-Run-Id": run, "X-Min-Policy-Version": "30"})
    assert after.headers["x-trainers-policy-version"] == "30"
    assert tokens(after) == TEXT[10:18] != tokens(before)
    listed = good(fast_api.get("/v1/loops/checkpoints", params={"run_id": run}))["checkpoints"]
    assert [(found["checkpoint_id"], found["target"]) for found in listed] == [("s30", "sampler"), ("s30", "trainer")]


def test_trainer_and_sampler_are_measured_and_their_requests_timed(
    fast: AnyService, fast_api: httpx.Client, session: str
) -> None:
    trainer = TrainingClient(fast_api, session)
    trainer.init()
    sampler = trainer.sampler()
    sample(fast_api, sampler)
    with Loops(fast.key, fast.url) as loops:
        while True:
            # At work for as long as it takes to be measured twice.
            trainer.step()
            frame = loops.system.frame(trainer.run["id"], step_seconds=60)
            if {("cpu_usage", "trainer"), ("cpu_usage", "sampler")} <= set(zip(frame.metric, frame.half, strict=True)):
                break
        raw = loops.deployments.metrics_frame(trainer.run["deployment_id"], time_divisor_seconds=60)
        now = loops.model_deployments.metrics(sampler["model_id"], sampler["deployment_id"], mode="SUMMARY")
    by_metric = {key: group.value for key, group in frame[frame.half == "trainer"].groupby("metric")}
    assert 0 < by_metric["cpu_usage"].max() < 64
    assert 10e6 < by_metric["cpu_memory_usage_bytes"].max() < 10e9, "a Python process with NumPy"
    assert 0 < by_metric["ephemeral_storage_utilization"].max() <= 1
    assert by_metric["request_rate"].max() > 0
    assert by_metric["response_time_p50"].max() > 0
    assert "gpu_utilization" not in by_metric
    assert "Measured by the local service" in frame.attrs["loops_notes"][0]
    sampled = frame[frame.half == "sampler"].groupby("metric").value.max()
    assert sampled["requests_2xx"] > 0
    assert sampled["end_to_end_response_time_p95"] > 0
    assert set(raw.unit) >= {"cores", "bytes", "ratio", "ms", "requests/60s"}
    assert now.metric_descriptors[0].name == "replicas_active"
    path = f"/v1/models/{sampler['model_id']}/deployments/{sampler['deployment_id']}/metrics"
    problem(fast_api.get(path, params={"metrics": "unheard"}), 400, field="metrics")
    problem(fast_api.get(path, params={"mode": "CURRENT", "start_epoch_millis": 5}), 400, field="mode")
