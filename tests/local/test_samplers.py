"""Samplers, standalone and paired."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.local.conftest import Clock
from tests.local.responses import MODEL, good, new_run, new_sampler, problem, run_of


def name_of(sampler: dict[str, Any]) -> str:
    return str(sampler["status"]["name"])


def test_a_standalone_sampler(api: httpx.Client, clock: Clock, session_id: str) -> None:
    sampler = new_sampler(api, session_id, base_model=MODEL, max_seq_length=4096, num_replicas=2)
    assert sampler["model_id"]
    assert sampler["deployment_id"]
    assert sampler["instance_type"]["gpu_type"] == "H100"
    assert good(api.get(f"/v1/loops/samplers/{sampler['id']}")) == {"sampler": sampler}
    clock.forward(1)
    newer = new_sampler(api, session_id, base_model=MODEL)
    assert [found["id"] for found in good(api.get("/v1/loops/samplers"))["samplers"]] == [newer["id"], sampler["id"]]


def test_pairing_is_idempotent_and_inherits(api: httpx.Client, session_id: str) -> None:
    run = good(
        api.post(
            "/v1/loops/trainers", json={"session_id": session_id, "base_model": MODEL, "availability_model": "spot"}
        )
    )["run"]
    problem(
        api.post(
            "/v1/loops/samplers",
            json={"session_id": session_id, "run_id": run["id"], "availability_model": "dedicated"},
        ),
        400,
        field="availability_model",
    )
    problem(
        api.post("/v1/loops/samplers", json={"session_id": session_id, "run_id": run["id"], "base_model": "org/other"}),
        400,
        field="base_model",
    )
    first = new_sampler(api, session_id, run_id=run["id"])
    again = new_sampler(api, session_id, run_id=run["id"], availability_model="spot", base_model=MODEL)
    assert first == again
    assert first["base_model"] == MODEL
    assert run_of(api, run["id"])["sampler"] == first
    assert len(good(api.get("/v1/loops/samplers"))["samplers"]) == 1
    other = good(api.post("/v1/loops/sessions"))["session"]["id"]
    problem(api.post("/v1/loops/samplers", json={"session_id": other, "run_id": run["id"]}), 400, field="run_id")


def test_an_ended_run_gets_no_sampler(api: httpx.Client, session_id: str) -> None:
    run = good(api.post("/v1/loops/trainers", json={"session_id": session_id, "base_model": MODEL}))["run"]
    good(api.post(f"/v1/loops/runs/{run['id']}/deactivate"))
    problem(api.post("/v1/loops/samplers", json={"session_id": session_id, "run_id": run["id"]}), 409)


def test_a_paired_sampler_cannot_be_deactivated_alone(api: httpx.Client, clock: Clock, session_id: str) -> None:
    run = new_run(api, session_id)
    clock.forward(60)
    sampler = run["sampler"]
    for _ in range(2):
        body = problem(api.post(f"/v1/loops/samplers/{sampler['id']}/deactivate"), 409)
        assert body["details"]["run_id"] == run["id"]
        assert run["id"] in body["message"]
        problem(api.post(f"/v1/models/{sampler['model_id']}/deployments/{sampler['deployment_id']}/deactivate"), 409)
        # It stays refused when the run has ended.
        good(api.post(f"/v1/loops/runs/{run['id']}/deactivate"))
        clock.forward(10)


@pytest.mark.parametrize("how", ["sampler", "model deployment"])
def test_a_standalone_sampler_is_deactivated_once(api: httpx.Client, clock: Clock, session_id: str, how: str) -> None:
    sampler = new_sampler(api, session_id, base_model=MODEL)
    clock.forward(60)
    model = f"/v1/models/{sampler['model_id']}/deployments/{sampler['deployment_id']}"
    path = f"/v1/loops/samplers/{sampler['id']}/deactivate" if how == "sampler" else f"{model}/deactivate"
    good(api.post(path))
    assert good(api.get(model))["status"] == "DEACTIVATING"
    clock.forward(3)
    assert good(api.get(model))["status"] == "INACTIVE"
    again = good(api.post(path))
    assert good(api.get(model))["status"] == "INACTIVE"
    assert again == (
        {"id": sampler["id"], "base_model": MODEL, "user": {"email": "you@localhost"}}
        if how == "sampler"
        else {"success": True, "no_op": True}
    )


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "base_model"),
        ({"base_model": "nonsense"}, "base_model"),
        ({"base_model": MODEL, "max_seq_length": 0}, "max_seq_length"),
        ({"base_model": MODEL, "max_seq_length": 10**9}, "max_seq_length"),
        ({"base_model": MODEL, "num_replicas": 0}, "num_replicas"),
        ({"base_model": MODEL, "availability_model": "cheap"}, "availability_model"),
        ({"model_path": "bt://loops:k4q95w5/weights/step-100"}, "model_path"),
        ({"model_path": "nonsense"}, "model_path"),
    ],
)
def test_bad_samplers_are_refused(api: httpx.Client, session_id: str, fields: dict[str, Any], field: str) -> None:
    problem(api.post("/v1/loops/samplers", json={"session_id": session_id, **fields}), 400, field=field)


def test_unknown_ids_are_404(api: httpx.Client, session_id: str) -> None:
    problem(api.get("/v1/loops/samplers/nothere"), 404)
    problem(api.post("/v1/loops/samplers/nothere/deactivate"), 404)
    problem(api.post("/v1/loops/samplers", json={"session_id": "nothere", "base_model": MODEL}), 404)
    problem(api.post("/v1/loops/samplers", json={"session_id": session_id, "run_id": "nothere"}), 404)
    problem(
        api.post(
            "/v1/loops/samplers", json={"session_id": session_id, "model_path": "bt://loops:nope/sampler_weights/x"}
        ),
        404,
    )
    sampler = new_sampler(api, session_id, base_model=MODEL)
    problem(api.get(f"/v1/models/{sampler['model_id']}/deployments/nothere"), 404)
    problem(api.get(f"/v1/models/nothere/deployments/{sampler['deployment_id']}"), 404)


def test_a_standalone_sampler_of_an_earlier_session_is_reused(api: httpx.Client, clock: Clock, session_id: str) -> None:
    first = new_sampler(api, session_id, base_model=MODEL)
    clock.forward(60)
    later = good(api.post("/v1/loops/sessions"))["session"]["id"]
    reused = new_sampler(api, later, base_model=MODEL, reuse_from_session_id=session_id)
    assert (reused["id"], name_of(reused)) == (first["id"], "UPDATING")
    other = new_sampler(api, later, base_model="org/other", reuse_from_session_id=later)
    assert other["id"] != first["id"]


def test_sampler_logs_contain_every_state(api: httpx.Client, clock: Clock, session_id: str) -> None:
    sampler = new_sampler(api, session_id, base_model=MODEL)
    clock.forward(60)
    path = f"/v1/models/{sampler['model_id']}/deployments/{sampler['deployment_id']}/logs"
    lines = good(api.get(path))["logs"]
    assert [line["message"].split(" is ")[1].split(":")[0] for line in lines] == [
        "ACTIVE",
        "LOADING_MODEL",
        "DEPLOYING",
        "BUILDING",
    ]
    assert good(api.post(path, json={}))["logs"] == lines == good(api.post(path))["logs"]
    start = clock.millis - 55_000
    later = good(api.post(path, json={"start_epoch_millis": start, "end_epoch_millis": clock.millis}))["logs"]
    assert later == [line for line in lines if int(line["timestamp"]) >= start * 1_000_000]
    assert 0 < len(later) < len(lines)
