"""Requests that no ordinary client sends, and that must not be taken for a fault of the service."""

from __future__ import annotations

import httpx
import pytest

from tests.local.responses import good, new_run, new_sampler, problem

LAST_MOMENT = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z


@pytest.mark.parametrize("body", ['{"x":' + "[" * 500_000 + "]" * 500_000 + "}", '{"x":' * 200_000])
def test_deep_json_is_refused(api: httpx.Client, body: str) -> None:
    assert problem(api.post("/v1/loops/sessions", content=body), 400)["code"] == "INVALID_JSON"


@pytest.mark.parametrize(
    "body", ['{"x": NaN}', '{"x": "\\ud800"}', b"\xff\xfe", b"\xef\xbb\xbf{}", "{", '{"x": 1} {}', "\x00"]
)
def test_invalid_json_is_refused(api: httpx.Client, body: str | bytes) -> None:
    assert problem(api.post("/v1/loops/sessions", content=body), 400)["code"] == "INVALID_JSON"


def test_times_end_with_the_year_9999(api: httpx.Client, session_id: str) -> None:
    path = f"/v1/loops/deployments/{new_run(api, session_id)['deployment_id']}"
    last = {"start_epoch_millis": LAST_MOMENT - 1000, "end_epoch_millis": LAST_MOMENT}
    series = good(api.post(f"{path}/metrics", json={**last, "step_seconds": 1}))["metrics"]
    assert [point["timestamp"] for point in series["inference_volume"]] == ["9999-12-31T23:59:58.999Z"]
    beyond = {"start_epoch_millis": LAST_MOMENT, "end_epoch_millis": LAST_MOMENT + 1}
    problem(api.post(f"{path}/metrics", json=beyond), 400, field="end_epoch_millis")
    problem(api.get(f"{path}/logs", params=beyond), 400, field="end_epoch_millis")
    assert good(api.get(f"{path}/logs", params=last)) == {"logs": []}


def test_a_deployment_under_another_model_is_unknown_in_plain_words(api: httpx.Client, session_id: str) -> None:
    sampler = new_sampler(api, session_id, base_model="Qwen/Qwen3-8B")
    body = problem(api.get(f"/v1/models/other12/deployments/{sampler['deployment_id']}"), 404)
    assert body["message"] == f"There is no model deployment {sampler['deployment_id']!r} here."
    assert "''" not in body["message"]


def test_a_model_made_of_checkpoints_is_not_found_under_another_model(sample: httpx.Client) -> None:
    listed = good(sample.get("/v1/loops/checkpoints", params={"base_model": "Qwen/Qwen3-8B"}))["checkpoints"]
    checkpoint = next(item for item in listed if item["target"] == "sampler" and item["sync_status"] != "SYNCING")
    body = {
        "checkpoint_ids": [checkpoint["id"]],
        "model_name": "m",
        "instance_type_id": "local-h100-1",
        "hf_secret_name": "hf_access_token",
    }
    problem(sample.post("/v1/loops/checkpoints/deploy", json={**body, "instance_type_id": "i"}), 400)
    problem(sample.post("/v1/loops/checkpoints/deploy", json={**body, "hf_secret_name": "s"}), 400)
    made = good(sample.post("/v1/loops/checkpoints/deploy", json=body))
    answer = problem(sample.get(f"/v1/models/other12/deployments/{made['deployment_id']}"), 404)
    assert (
        answer["message"] == f"There is no deployment of the model other12, with the id {made['deployment_id']!r} here."
    )
    assert answer["details"]["id"] == made["deployment_id"]


def test_two_filters_are_named(api: httpx.Client) -> None:
    two = api.get("/v1/loops/checkpoints", params={"run_id": "a", "base_model": "b"})
    assert "(given: run_id and base_model)" in problem(two, 400)["message"]
