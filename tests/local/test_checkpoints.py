"""Checkpoints: listing, files, validation, deployment, and the legacy routes."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.local.responses import MODEL, good, new_run, new_sampler, problem


@pytest.fixture(scope="module")
def runs(sample: httpx.Client) -> dict[str, Any]:
    return {run["name"]: run for run in good(sample.get("/v1/loops/runs"))["runs"]}


def listed(api: httpx.Client, **params: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = good(api.get("/v1/loops/checkpoints", params=params))["checkpoints"]
    return found


@pytest.fixture(scope="module")
def both(sample: httpx.Client, runs: dict[str, Any]) -> dict[str, Any]:
    """The trainer and the sampler checkpoint that share the name step-40."""
    found = listed(sample, run_id=runs["gsm8k-grpo"]["id"])
    return {checkpoint["target"]: checkpoint for checkpoint in found if checkpoint["checkpoint_id"] == "step-40"}


def test_exactly_one_filter(sample: httpx.Client, runs: dict[str, Any]) -> None:
    run_id = runs["support-tone-r8"]["id"]
    assert "none" in problem(sample.get("/v1/loops/checkpoints"), 400)["message"]
    assert (
        "run_id and base_model"
        in problem(sample.get("/v1/loops/checkpoints", params={"run_id": run_id, "base_model": MODEL}), 400)["message"]
    )
    problem(sample.get("/v1/loops/checkpoints", params={"run_id": "nothere"}), 404)
    problem(sample.get("/v1/loops/checkpoints", params={"checkpoint_path": "bt://nope"}), 400, field="checkpoint_path")


def test_listing_by_run_and_by_model(sample: httpx.Client, runs: dict[str, Any]) -> None:
    by_run = listed(sample, run_id=runs["support-tone-r8"]["id"])
    assert len(by_run) == 15
    assert {checkpoint["run_id"] for checkpoint in by_run} == {runs["support-tone-r8"]["id"]}
    by_model = listed(sample, base_model=MODEL)
    assert {checkpoint["base_model"] for checkpoint in by_model} == {MODEL}
    assert len({checkpoint["run_id"] for checkpoint in by_model}) == 4
    times = [checkpoint["created_at"].replace("Z", "") + "." for checkpoint in by_model]
    assert times == sorted(times, reverse=True)
    assert listed(sample, base_model="org/other") == []
    for checkpoint in by_model:
        assert isinstance(checkpoint["lora_adapter_config"]["r"], int)
        assert checkpoint["lora_config"]["config_version"] == "v1"


def test_a_uri_names_one_checkpoint(sample: httpx.Client, both: dict[str, Any]) -> None:
    run_id = both["trainer"]["run_id"]
    assert listed(sample, checkpoint_path=f"bt://loops:{run_id}/weights/step-40") == [both["trainer"]]
    assert listed(sample, checkpoint_path=f"bt://loops:{run_id}/sampler_weights/step-40/") == [both["sampler"]]
    assert listed(sample, checkpoint_path=f"bt://loops:{run_id}/sampler_weights/step-41") == []
    assert listed(sample, checkpoint_path="bt://loops:nothere/weights/x") == []


def test_files_come_in_pages(sample: httpx.Client, both: dict[str, Any]) -> None:
    path = f"/v1/loops/checkpoints/{both['trainer']['id']}/files"
    whole = good(sample.get(path))
    assert whole["next_page_token"] is None
    assert whole["total_count"] == 4
    assert sum(file["size_bytes"] for file in whole["presigned_urls"]) == both["trainer"]["size_bytes"]
    assert [file["relative_file_name"] for file in whole["presigned_urls"]] == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "optimizer/shard-00000-of-00001.safetensors",
        "trainer_state.json",
    ]
    names: list[str] = []
    token: int | None = 0
    while token is not None:
        page = good(sample.get(path, params={"page_size": 3, "page_token": token}))
        names += [file["relative_file_name"] for file in page["presigned_urls"]]
        token = page["next_page_token"]
    assert names == [file["relative_file_name"] for file in whole["presigned_urls"]]
    assert good(sample.get(path, params={"page_token": 10**15}))["presigned_urls"] == []
    problem(sample.get(path, params={"page_size": 0}), 400, field="page_size")
    problem(sample.get(path, params={"page_size": "many"}), 400, field="page_size")
    problem(sample.get(path, params={"page_token": -1}), 400, field="page_token")
    problem(sample.get(f"/v1/loops/checkpoints/{both['trainer']['checkpoint_id']}/files"), 404)


def test_the_source_is_always_the_files_route(sample: httpx.Client, both: dict[str, Any]) -> None:
    assert good(sample.get(f"/v1/loops/checkpoints/{both['sampler']['id']}/source")) == {"source": {"kind": "s3"}}
    problem(sample.get("/v1/loops/checkpoints/nothere/source"), 404)


def test_validation(sample: httpx.Client, both: dict[str, Any], runs: dict[str, Any]) -> None:
    def ask(**body: Any) -> httpx.Response:
        return sample.post("/v1/loops/checkpoints/validate", json=body)

    uri = f"bt://loops:{both['sampler']['run_id']}/sampler_weights/step-40"
    assert good(ask(checkpoint_path=uri)) == {}
    assert good(ask(checkpoint_path=uri, run_id=None)) == {}
    assert good(ask(checkpoint_path=uri, run_id=runs["gsm8k-grpo-lower-lr"]["id"])) == {}
    problem(ask(checkpoint_path=uri, run_id=runs["support-tone-r8"]["id"]), 400, field="run_id")
    problem(ask(checkpoint_path=uri, run_id="nothere"), 404)
    problem(ask(checkpoint_path=uri.replace("sampler_weights", "weights")), 400, field="checkpoint_path")
    problem(ask(checkpoint_path=uri + "1"), 400, field="checkpoint_path")
    problem(ask(checkpoint_path="s3://bucket"), 400, field="checkpoint_path")
    problem(ask(), 400, field="checkpoint_path")


def test_deploying_checkpoints_makes_a_model_each_time(
    sample: httpx.Client, both: dict[str, Any], runs: dict[str, Any]
) -> None:
    def ask(ids: list[str], **more: Any) -> httpx.Response:
        body = {
            "checkpoint_ids": ids,
            "model_name": "gsm8k",
            "instance_type_id": "local-h100-2",
            "hf_secret_name": "hf_access_token",
            **more,
        }
        return sample.post("/v1/loops/checkpoints/deploy", json=body)

    first, second = good(ask([both["sampler"]["id"]])), good(ask([both["sampler"]["id"]]))
    assert first["model_id"] != second["model_id"]
    path = f"/v1/models/{first['model_id']}/deployments/{first['deployment_id']}"
    found = good(sample.get(path))
    assert found["model_id"] == first["model_id"]
    assert found["status"] in {"BUILDING", "DEPLOYING", "LOADING_MODEL", "ACTIVE", "SCALED_TO_ZERO"}
    assert "gsm8k" in good(sample.get(path + "/logs"))["logs"][0]["message"]
    assert good(sample.post(path + "/deactivate")) == {"success": True, "no_op": False}
    problem(ask([both["trainer"]["id"]]), 400, field="checkpoint_ids")
    problem(ask([]), 400, field="checkpoint_ids")
    problem(ask(["nothere"]), 404)
    problem(ask([both["sampler"]["id"]], model_name=""), 400, field="model_name")
    other = listed(sample, run_id=runs["support-tone-r8"]["id"])[0]
    problem(ask([both["sampler"]["id"], other["id"]]), 400, field="checkpoint_ids")
    syncing = next(
        c
        for c in listed(sample, run_id=runs["support-tone-dpo"]["id"])
        if c["sync_status"] == "SYNCING" and c["target"] == "sampler"
    )
    problem(ask([syncing["id"]]), 409)


def test_starting_from_checkpoints(sample: httpx.Client, both: dict[str, Any]) -> None:
    session = good(sample.post("/v1/loops/sessions"))["session"]["id"]
    run_id, model = both["trainer"]["run_id"], both["trainer"]["base_model"]
    trainer, sampler = f"bt://loops:{run_id}/weights/step-40", f"bt://loops:{run_id}/sampler_weights/step-40"
    new_run(sample, session, base_model=model, path=trainer)
    assert new_sampler(sample, session, model_path=sampler)["base_model"] == model
    assert new_sampler(sample, session, model_path=sampler, base_model=model)["base_model"] == model
    body = {"session_id": session, "base_model": MODEL}
    problem(sample.post("/v1/loops/runs", json={**body, "path": trainer}), 400, field="path")
    problem(sample.post("/v1/loops/samplers", json={**body, "model_path": sampler}), 400, field="model_path")
    problem(
        sample.post("/v1/loops/samplers", json={"session_id": session, "model_path": trainer}), 400, field="model_path"
    )
    problem(sample.post("/v1/loops/runs", json={**body, "base_model": model, "path": trainer + "1"}), 404)


def test_checkpoints_outlive_their_run(sample: httpx.Client, runs: dict[str, Any]) -> None:
    run = runs["charts"]
    before = listed(sample, run_id=run["id"])
    good(sample.post(f"/v1/loops/runs/{run['id']}/deactivate"))
    assert listed(sample, run_id=run["id"]) == before != []


def test_legacy_routes(sample: httpx.Client, both: dict[str, Any], runs: dict[str, Any]) -> None:
    run, checkpoint = runs["gsm8k-grpo"], both["trainer"]
    trainers = good(sample.post("/v1/trainers/search", json={}))["trainers"]
    assert {"trainer_id": run["id"], "session_id": run["session_id"], "base_model": run["base_model"]} in trainers
    assert len(good(sample.post("/v1/trainers/search", json={"trainer_id": run["id"]}))["trainers"]) == 1
    old = {**checkpoint, "trainer_id": checkpoint["run_id"]}
    del old["run_id"], old["lora_config"]
    uri = f"bt://loops:{run['id']}/weights/step-40"
    assert good(sample.post("/v1/trainers/checkpoints/search", json={"checkpoint_path": uri})) == {"checkpoint": old}
    problem(sample.post("/v1/trainers/checkpoints/search", json={"checkpoint_path": uri + "1"}), 404)
    path = f"/v1/trainer_sessions/{run['session_id']}/trainers/{run['id']}/checkpoints"
    found = good(sample.get(path))
    assert found["trainer_id"] == run["id"]
    assert old in found["checkpoints"]
    files = good(sample.get(f"{path}/{checkpoint['id']}/files"))
    assert files["total_count"] == 4
    other = listed(sample, run_id=runs["support-tone-r8"]["id"])[0]
    problem(sample.get(f"{path}/{other['id']}/files"), 404)
    problem(sample.get(path.replace(run["session_id"], runs["charts"]["session_id"])), 404)


def test_legacy_creation(sample: httpx.Client) -> None:
    session = good(sample.post("/v1/trainer_sessions", json={"training_project_id": "p"}))["session"]["id"]
    path = f"/v1/trainer_sessions/{session}"
    made = good(sample.post(path + "/trainers", json={"model": MODEL, "scale_down_delay_seconds": 7200}))[
        "trainer_server"
    ]
    assert set(made) == {"id", "base_url", "sampling_server"}
    assert set(made["sampling_server"]) == {"id", "base_url", "model_id", "deployment_id"}
    assert good(sample.get(f"/v1/loops/runs/{made['id']}"))["run"]["session_id"] == session
    assert set(good(sample.post(path + "/samplers", json={"model": MODEL}))["sampling_server"]) == set(
        made["sampling_server"]
    )
    problem(sample.post(path + "/trainers", json={}), 400, field="model")
    problem(sample.post(path + "/trainers", json={"model": "x"}), 400, field="model")
    problem(sample.post("/v1/trainer_sessions/nothere/samplers", json={"model": MODEL}), 404)


def test_a_listing_is_one_json_document(sample: httpx.Client, runs: dict[str, Any]) -> None:
    answer = sample.get("/v1/loops/checkpoints", params={"run_id": runs["support-tone-r8"]["id"]})
    assert json.loads(answer.content)["checkpoints"]
    assert int(answer.headers["content-length"]) == len(answer.content)
