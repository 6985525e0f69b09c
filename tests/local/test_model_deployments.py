"""Model deployments after they were made: start again, retry, delete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from loops_nb.local.rules import model_deployments, samplers
from loops_nb.local.rules.statuses import Statuses
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.records import ModelDeploymentRecord
from tests.local.conftest import Clock
from tests.local.responses import MODEL, good, new_run, new_sampler, problem


def path_of(sampler: dict[str, Any]) -> str:
    return f"/v1/models/{sampler['model_id']}/deployments/{sampler['deployment_id']}"


def test_the_engine_of_a_standalone_sampler_starts_again_and_is_deleted(
    api: httpx.Client, clock: Clock, session_id: str
) -> None:
    sampler = new_sampler(api, session_id, base_model=MODEL)
    path = path_of(sampler)

    def status() -> str:
        return str(good(api.get(path))["status"])

    clock.forward(30)
    assert status() == "ACTIVE"
    assert good(api.post(path + "/activate")) == {"success": True, "no_op": True}
    refused = good(api.post(path + "/retry"))
    assert (refused["retried"], refused["deployment"]["status"]) == (False, "ACTIVE")
    assert "only a deployment that failed" in refused["reason"]
    good(api.post(path + "/deactivate"))
    problem(api.post(path + "/activate"), 409)
    clock.forward(30)
    assert status() == "INACTIVE"
    assert good(api.post(path + "/activate")) == {"success": True, "no_op": False}
    assert status() == "BUILDING"
    clock.forward(30)
    assert good(api.get(f"/v1/loops/samplers/{sampler['id']}"))["sampler"]["status"]["name"] == "ACTIVE"
    assert good(api.delete(path)) == {"id": sampler["deployment_id"], "deleted": True, "model_id": sampler["model_id"]}
    problem(api.get(path), 404)
    problem(api.delete(path), 404)
    problem(api.get(f"/v1/models/{sampler['model_id']}"), 404)
    assert good(api.get("/v1/models"))["models"] == []
    clock.forward(30)
    assert good(api.get(f"/v1/loops/samplers/{sampler['id']}"))["sampler"]["status"]["name"] == "INACTIVE"


def test_the_engine_of_a_run_ends_with_it_only(api: httpx.Client, clock: Clock, session_id: str) -> None:
    run = new_run(api, session_id)
    path = path_of(run["sampler"])
    for refused in (api.delete(path), api.delete(f"/v1/models/{run['sampler']['model_id']}")):
        assert run["id"] in problem(refused, 409)["message"]
    good(api.post(f"/v1/loops/runs/{run['id']}/deactivate"))
    clock.forward(30)
    assert run["id"] in problem(api.post(path + "/activate"), 409)["message"]


def test_a_failed_deployment_is_retried_and_a_deleted_one_is_gone(tmp_path: Path, clock: Clock) -> None:
    store = RecordStore(tmp_path / "data")
    statuses = Statuses(store, clock, speed=1.0)
    record = ModelDeploymentRecord(
        id="dep1",
        created_at=clock(),
        owner="you@localhost",
        model_id="mod1",
        model_name="support",
        base_model=MODEL,
        instance_type_id="local-h100-1",
        checkpoint_ids="ck1",
    )
    with store.transaction():
        store.insert(record)
        statuses.record(record, "created")
        statuses.record(record, "deploy_failed", note="out of memory")
    assert statuses.of(record) == "DEPLOY_FAILED"
    assert model_deployments.retry(store, statuses, record) == (True, None)
    assert statuses.of(record) == "BUILDING"
    clock.forward(30)
    assert statuses.of(record) == "ACTIVE"
    assert not model_deployments.retry(store, statuses, record).started
    model_deployments.delete(store, statuses, record)
    assert samplers.served_models(store) == []
    store.close()


def test_graphql_is_refused_in_its_own_form(sample: httpx.Client) -> None:
    for path in ("/graphql", "/graphql/"):
        answer = good(sample.post(path, json={"query": "{ model_s3_upload_credentials { s3_bucket } }"}))
        (error,) = answer["errors"]
        assert answer["data"] is None
        assert "%loops deploy" in error["message"]
        problem(sample.post(path, headers={"Authorization": ""}), 401)
