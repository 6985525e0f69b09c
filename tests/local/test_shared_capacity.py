"""Sampling on shared capacity over HTTP: a request is accepted, and fetched when it is done."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from loops_nb import Loops
from tests.local.conftest import Clock
from tests.local.responses import MODEL, good, problem
from tests.local.training_client import sample
from tests.service import AnyService, running_service

pytestmark = pytest.mark.once

PROMPT = [151_644, 872, 198, 9707]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AnyService]:
    folder: Path = tmp_path_factory.mktemp("shared") / "data"
    with running_service(
        sample=True, in_process=True, speed=1.0, clock=Clock(), data_dir=folder, hold_seconds=20.0
    ) as found:
        yield found


@pytest.fixture
def sampler(api: httpx.Client) -> dict[str, Any]:
    """The one of the sample workspace."""
    runs = good(api.get("/v1/loops/runs"))["runs"]
    (run,) = (run for run in runs if run["deployment_id"] is None)
    found: dict[str, Any] = good(api.get(f"/v1/loops/samplers/{run['sampler']['id']}"))["sampler"]
    return found


def accepted(answer: httpx.Response) -> str:
    assert answer.status_code == 202, answer.text
    assert answer.json()["schema_version"] == 1
    assert answer.headers["location"] == f"/operations/{answer.json()['operation_id']}"
    return str(answer.json()["operation_id"])


def poll(api: httpx.Client, sampler: dict[str, Any], key: str) -> httpx.Response:
    return api.get(f"{sampler['base_url']}/operations/{key}")


def finished(api: httpx.Client, sampler: dict[str, Any], key: str) -> dict[str, Any]:
    """Poll until the request is finished, however long a loaded machine takes."""
    while (answer := poll(api, sampler, key)).status_code == 408:
        pass
    found: dict[str, Any] = good(answer)
    return found


def test_a_request_is_accepted_and_fetched(api: httpx.Client, sampler: dict[str, Any]) -> None:
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    key = accepted(sample(api, sampler, PROMPT, headers=headers, model=MODEL))
    done = good(poll(api, sampler, key))
    assert done["status"] == "done"
    assert len(done["result"]["choices"][0]["token_ids"]) > 0
    assert accepted(sample(api, sampler, PROMPT, headers=headers, model=MODEL)) == key
    assert good(poll(api, sampler, key)) == done
    problem(sample(api, sampler, PROMPT, headers=headers, model=MODEL, n=2), 422)
    # The same body for other weights is another request.
    problem(sample(api, sampler, PROMPT, headers={**headers, "X-Min-Policy-Version": "0"}, model=MODEL), 422)


def test_invalid_requests_are_refused_at_once(api: httpx.Client, sampler: dict[str, Any]) -> None:
    assert "openai/gpt-oss-20b" in problem(sample(api, sampler, PROMPT, model="openai/gpt-oss-20b"), 422)["message"]
    missing = "bt://loops:abc/sampler_weights/none"
    assert "no checkpoint" in problem(sample(api, sampler, PROMPT, model=MODEL, lora=missing), 422)["message"]
    assert "lora" in problem(sample(api, sampler, PROMPT, model=MODEL, lora=5), 422)["message"]
    problem(sample(api, sampler, [], model=MODEL), 422)
    problem(poll(api, sampler, "none"), 404)
    problem(api.post(f"{sampler['base_url']}/operations/none/cancel"), 404)


def test_failure_is_reported_by_the_operation(api: httpx.Client, sampler: dict[str, Any]) -> None:
    failed = good(poll(api, sampler, accepted(sample(api, sampler, PROMPT * 3000, model=MODEL))))
    assert (failed["status"], failed["error_class"]) == ("error", "ValueError")
    assert "12000 tokens" in failed["error"]


def test_cancelled_request_fails_and_the_running_one_completes(api: httpx.Client, sampler: dict[str, Any]) -> None:
    cancel = f"{sampler['base_url']}/operations/{{}}/cancel"
    busy = accepted(sample(api, sampler, PROMPT, model=MODEL, n=32, max_tokens=128, temperature=1))
    waiting = accepted(sample(api, sampler, PROMPT, model=MODEL))
    held: list[httpx.Response] = []
    waiter = threading.Thread(target=lambda: held.append(poll(api, sampler, waiting)))
    waiter.start()
    good(api.post(cancel.format(waiting)))
    waiter.join()
    assert good(held[0])["error_class"] == "CancelledError"
    assert finished(api, sampler, busy)["status"] == "done"
    for key in (busy, waiting):
        problem(api.post(cancel.format(key)), 409)


def test_client_samples_on_shared_capacity(service: AnyService, sampler: dict[str, Any]) -> None:
    with Loops(base_url=service.url, api_key="local") as loops:
        found = loops.samplers.sample(sampler["id"], PROMPT, max_tokens=4, min_policy_version=0)
    assert 0 < len(found[0].tokens) <= 4
