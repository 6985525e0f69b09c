"""Training, saving and sampling over HTTP, with the real model in real processes."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.local.responses import good
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
