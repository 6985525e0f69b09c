"""Where runs and samplers are created: on a deployment of their own, or on shared (serverless) capacity."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.local.conftest import Clock
from tests.local.responses import MODEL, good, new_run, new_sampler, problem, run_of
from tests.service import running_service

BIG = "meta-llama/Llama-3.1-8B-Instruct"


def refused(api: httpx.Client, route: str, **body: Any) -> dict[str, Any]:
    details: dict[str, Any] = problem(api.post(route, json=body), 400, field="scope")["details"]
    return details


def test_a_serverless_run_has_no_deployment_and_ends_with_its_sampler(
    api: httpx.Client, clock: Clock, session_id: str
) -> None:
    run = new_run(api, session_id, scope="serverless", replicas=2, scale_down_delay_seconds=1)
    assert run["deployment_id"] is None
    sampler = run["sampler"]
    assert (sampler["model_id"], sampler["deployment_id"], sampler["instance_type"]) == (None, None, None)
    assert sampler["status"] == {"name": "ACTIVE"}
    assert good(api.get("/v1/loops/deployments"))["deployments"] == []
    clock.forward(10_000)
    assert run_of(api, run["id"])["sampler"]["status"]["name"] == "ACTIVE", "idle it stays"
    # A second request for its sampler may say where it is, and nothing else.
    pair = {"session_id": session_id, "run_id": run["id"]}
    assert new_sampler(api, **pair, scope="serverless")["id"] == sampler["id"]
    assert "serverless" in problem(api.post("/v1/loops/samplers", json={**pair, "scope": "deployment"}), 400)["message"]
    good(api.post(f"/v1/loops/runs/{run['id']}/deactivate"))
    clock.forward(60)
    ended = run_of(api, run["id"])
    assert (ended["status"]["name"], ended["sampler"]["status"]["name"]) == ("INACTIVE", "INACTIVE")
    alone = new_sampler(api, session_id, base_model=MODEL, scope="serverless")
    assert (alone["model_id"], alone["status"]["name"]) == (None, "ACTIVE")
    # Where the official SDK creates what has a scope; it sends a version too.
    body = {"session_id": session_id, "base_model": MODEL, "scope": "serverless", "debug_version": "x"}
    for team in ("", "/teams/default"):
        made = good(api.post(f"/v1{team}/loops/debug/trainers", json=body))["run"]
        assert (made["deployment_id"], made["sampler"]) == (None, None)
        assert good(api.post(f"/v1{team}/loops/debug/samplers", json=body))["sampler"]["model_id"] is None


def test_what_serverless_capacity_does_not_take_is_refused_with_the_reason(api: httpx.Client, session_id: str) -> None:
    asked = {"session_id": session_id, "base_model": MODEL, "scope": "serverless"}
    everything = {**asked, "base_model": BIG, "lora_rank": 128, "max_seq_len": 65_536, "reuse_from_session_id": "s"}
    reasons = []
    for field, good_value in [("base_model", MODEL), ("lora_rank", 64), ("max_seq_len", 4096)]:
        reasons.append(refused(api, "/v1/loops/runs", **everything)["reason"])
        everything[field] = good_value
    reasons.append(refused(api, "/v1/loops/trainers", **everything)["reason"])
    assert reasons == [
        "SERVERLESS_NOT_ENABLED",
        "LORA_RANK_UNSUPPORTED",
        "SEQUENCE_LENGTH_UNSUPPORTED",
        "REUSE_REQUESTED",
    ]
    assert refused(api, "/v1/loops/samplers", **{**asked, "base_model": BIG})["reason"] == "SERVERLESS_NOT_ENABLED"
    # The scope is looked at first; a sampler has no team scope.
    assert "reason" not in refused(api, "/v1/loops/runs", session_id="nothere", base_model=MODEL, scope="cheap")
    refused(api, "/v1/loops/samplers", **{**asked, "scope": "team"})
    assert new_run(api, session_id, scope="team")["deployment_id"]
    assert new_run(api, session_id, scope="deployment")["deployment_id"]
    assert new_run(api, session_id)["deployment_id"], "the default stays dedicated here"
    assert good(api.get("/v1/loops/runs"))["runs"][3:] == [], "what is refused creates nothing"


def test_the_default_can_prefer_serverless_where_it_has_what_is_asked_for(tmp_path: Path) -> None:
    with (
        running_service(in_process=True, data_dir=tmp_path / "data", prefer_serverless=True) as service,
        httpx.Client(base_url=service.url, headers=service.headers) as api,
    ):
        session = good(api.post("/v1/loops/sessions"))["session"]["id"]
        first = new_run(api, session, scope="default")
        assert first["deployment_id"] is None
        assert new_sampler(api, session, base_model=MODEL)["model_id"] is None
        for field, value in {"base_model": BIG, "lora_rank": 128, "max_seq_len": 65_536, "scope": "deployment"}.items():
            assert new_run(api, session, **{field: value})["deployment_id"]
        assert new_run(api, session, reuse_from_run_id=first["id"])["deployment_id"]
