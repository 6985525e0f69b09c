"""Sessions, runs, teams, and how a run lives and ends."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.local.conftest import Clock
from tests.local.responses import MODEL, deployment_of, good, new_run, new_sampler, problem, run_of, states
from tests.service import AnyService


def test_sessions(api: httpx.Client) -> None:
    for content in (b"", b"{}", b'{"training_project_id": null}', b'{"training_project_id": "p1", "unknown": 1}'):
        made = good(api.post("/v1/loops/sessions", content=content))["session"]
        assert good(api.get(f"/v1/loops/sessions/{made['id']}")) == {"session": made}
    problem(api.get("/v1/loops/sessions/nothere"), 404)
    problem(api.post("/v1/loops/sessions", json={"training_project_id": 3}), 400, field="training_project_id")
    problem(api.post("/v1/loops/sessions", content=b"[]"), 400)
    assert problem(api.post("/v1/loops/sessions", content=b"{"), 400)["code"] == "INVALID_JSON"
    assert problem(api.post("/v1/loops/sessions", content=b'{"a": "\xff"}'), 400)["code"] == "INVALID_JSON"


def test_a_run_has_both_eras_fields(api: httpx.Client, service: AnyService, session_id: str) -> None:
    run = new_run(api, session_id)
    assert run["id"] == run["run_id"]
    assert run["base_url"] == f"{service.url}/trainers/{run['id']}"
    assert run["name"] == MODEL
    assert run["status"] == {"name": "ACTIVE"}
    assert run["created_at"] == "2025-06-15T15:06:40Z"
    assert run["user"] == {"email": "you@localhost"}
    assert run["sampler"]["base_url"] == f"{service.url}/samplers/{run['sampler']['id']}"
    assert run["sampler"]["status"] == {"name": "BUILDING"}
    assert run == run_of(api, run["id"])
    assert good(api.get("/v1/loops/runs")) == {"runs": [run]}


def test_a_trainer_has_no_sampler(api: httpx.Client, session_id: str) -> None:
    run = good(api.post("/v1/loops/trainers", json={"session_id": session_id, "base_model": MODEL, "name": "alone"}))[
        "run"
    ]
    assert run["sampler"] is None
    assert run["name"] == "alone"
    assert good(api.get("/v1/loops/samplers"))["samplers"] == []
    assert deployment_of(api, run)["sampler"] is None


def test_listing_filters_combine_and_the_newest_comes_first(api: httpx.Client, clock: Clock, session_id: str) -> None:
    made = []
    for model in (MODEL, "org/other", MODEL):
        made.append(new_run(api, session_id, base_model=model)["id"])
        clock.forward(1)
    same_moment = [new_run(api, session_id)["id"] for _ in range(3)]
    assert [run["id"] for run in good(api.get("/v1/loops/runs"))["runs"]] == [*reversed(same_moment), *reversed(made)]

    def listed(**params: str) -> list[str]:
        return [run["id"] for run in good(api.get("/v1/loops/runs", params=params))["runs"]]

    assert listed(base_model="org/other") == [made[1]]
    assert listed(run_id=made[0]) == [made[0]]
    assert listed(run_id=made[0], base_model="org/other") == []
    assert listed(run_id="nothere") == []
    assert len(listed(scope="org")) == 6
    problem(api.get("/v1/loops/runs?run_id=a&run_id=b"), 400, field="run_id")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("session_id", None),
        ("session_id", 3),
        ("base_model", None),
        ("base_model", "no-slash"),
        ("base_model", "../etc/passwd"),
        ("base_model", "a b/c"),
        ("base_model", ""),
        ("name", ""),
        ("name", "x" * 256),
        ("max_seq_len", "long"),
        ("max_seq_len", 0),
        ("max_seq_len", 131_073),
        ("max_seq_len", 2**70),
        ("base_model", "loops-local/tinny"),
        ("lora_rank", 0),
        ("lora_rank", 257),
        ("lora_rank", 1.5),
        ("lora_rank", None),
        ("seed", "x"),
        ("seed", 2**64),
        ("scale_down_delay_seconds", 0),
        ("scale_down_delay_seconds", 3601),
        ("availability_model", "sometimes"),
        ("replicas", 0),
        ("sampler_num_replicas", 0),
        ("path", "bt://loops:k4q95w5/sampler_weights/step-100"),
        ("path", "s3://bucket/x"),
        ("path", "bt://loops:../weights/.."),
    ],
)
def test_fields_have_bounds(api: httpx.Client, session_id: str, field: str, value: Any) -> None:
    body = {"session_id": session_id, "base_model": MODEL, field: value}
    found = problem(api.post("/v1/loops/runs", json=body), 400, field=field)
    assert found["code"] == "VALIDATION_ERROR"
    assert field in found["message"]
    assert good(api.get("/v1/loops/runs"))["runs"] == []


def test_required_fields_are_named(api: httpx.Client, session_id: str) -> None:
    problem(api.post("/v1/loops/runs"), 400, field="session_id")
    problem(api.post("/v1/loops/runs", json={"session_id": session_id}), 400, field="base_model")


def test_a_run_needs_a_session_that_is_there(api: httpx.Client) -> None:
    for key in ("nothere", "", "../x", "x\0y", "x" * 5000):
        problem(api.post("/v1/loops/runs", json={"session_id": key, "base_model": MODEL}), 404)


def test_bounds_that_pass(api: httpx.Client, session_id: str) -> None:
    limits = {
        "name": "é" * 255,
        "max_seq_len": 131_072,
        "lora_rank": 256,
        "seed": -5,
        "scale_down_delay_seconds": 3600,
        "replicas": 2,
    }
    new_run(api, session_id, **limits, availability_model="spot", sampler_num_replicas=1, surprise={"deep": [1]})
    nulls = dict.fromkeys(
        ("name", "max_seq_len", "seed", "path", "reuse_from_run_id", "reuse_from_session_id", "sampler_num_replicas")
    )
    new_run(api, session_id, **nulls)


def test_unknown_ids_are_404(api: httpx.Client) -> None:
    for key in ("nothere", "a%2Fb", "..%2f..", "%00", "%ff", "x" * 1000):
        problem(api.get(f"/v1/loops/runs/{key}"), 404)
        problem(api.post(f"/v1/loops/runs/{key}/deactivate"), 404)


def test_life_from_creation_to_sleep_and_back(api: httpx.Client, clock: Clock, session_id: str) -> None:
    run = new_run(api, session_id, scale_down_delay_seconds=600)
    seen = [states(api, run)]
    for seconds in (3, 3, 5, 10, 5):
        clock.forward(seconds)
        seen.append(states(api, run))
    assert seen == [
        ("ACTIVE", "CREATED", "BUILDING"),
        ("ACTIVE", "DEPLOYING", "BUILDING"),
        ("ACTIVE", "DEPLOYING", "DEPLOYING"),
        ("ACTIVE", "DEPLOYING", "LOADING_MODEL"),
        ("ACTIVE", "DEPLOYING", "ACTIVE"),
        ("ACTIVE", "RUNNING", "ACTIVE"),
    ]
    clock.forward(600)
    assert states(api, run) == ("ACTIVE", "SCALED_TO_ZERO", "SCALED_TO_ZERO")
    answer = api.post(run["sampler"]["base_url"] + "/wake")
    assert (answer.status_code, answer.json()) == (202, {"status": {"name": "WAKING_UP"}})
    assert states(api, run) == ("ACTIVE", "SCALED_TO_ZERO", "WAKING_UP")
    assert good(api.get(run["base_url"] + "/policy_version")) == {"policy_version": 0}
    assert states(api, run) == ("ACTIVE", "DEPLOYING", "WAKING_UP")
    clock.forward(10)
    assert states(api, run) == ("ACTIVE", "RUNNING", "ACTIVE")
    assert api.post(run["sampler"]["base_url"] + "/wake").status_code == 200


def test_activity_delays_scaling_to_zero(api: httpx.Client, clock: Clock, session_id: str) -> None:
    run = new_run(api, session_id, scale_down_delay_seconds=60)
    clock.forward(30)
    for _ in range(5):
        good(api.get(run["base_url"] + "/policy_version"))
        good(api.get(run["sampler"]["base_url"] + "/v1/models"))
        clock.forward(40)
        assert states(api, run) == ("ACTIVE", "RUNNING", "ACTIVE")
    clock.forward(40)
    assert states(api, run) == ("ACTIVE", "SCALED_TO_ZERO", "SCALED_TO_ZERO")


def test_deactivating_a_run_ends_all_of_it_once(api: httpx.Client, clock: Clock, session_id: str) -> None:
    run = new_run(api, session_id)
    clock.forward(60)
    for content in (b"", b"{}"):
        receipt = good(api.post(f"/v1/loops/runs/{run['id']}/deactivate", content=content))
        assert receipt == {"id": run["id"], "base_model": MODEL, "user": {"email": "you@localhost"}}
        assert states(api, run) == ("INACTIVE", "STOPPED", "DEACTIVATING")
    clock.forward(3)
    assert states(api, run) == ("INACTIVE", "STOPPED", "INACTIVE")
    assert deployment_of(api, run)["active_run_id"] is None
    assert deployment_of(api, run)["latest_run_id"] == run["id"]
    problem(api.post(run["sampler"]["base_url"] + "/wake"), 409)
    assert states(api, run) == ("INACTIVE", "STOPPED", "INACTIVE")


def test_deactivating_the_deployment_ends_the_run_too(api: httpx.Client, clock: Clock, session_id: str) -> None:
    run = new_run(api, session_id)
    clock.forward(60)
    path = f"/v1/loops/deployments/{run['deployment_id']}/deactivate"
    assert (
        good(api.post(path))
        == good(api.post(path))
        == {"id": run["deployment_id"], "base_model": MODEL, "user": {"email": "you@localhost"}}
    )
    clock.forward(10)
    assert states(api, run) == ("INACTIVE", "STOPPED", "INACTIVE")
    problem(api.post("/v1/loops/deployments/nothere/deactivate"), 404)


@pytest.mark.parametrize("how", ["run", "session"])
def test_reuse_shares_the_deployment_and_replaces_the_run(
    api: httpx.Client, clock: Clock, session_id: str, how: str
) -> None:
    first = new_run(api, session_id)
    clock.forward(100)
    later = good(api.post("/v1/loops/sessions"))["session"]["id"]
    reuse = {"reuse_from_run_id": first["id"]} if how == "run" else {"reuse_from_session_id": session_id}
    second = new_run(api, later, scale_down_delay_seconds=120, **reuse)
    assert second["deployment_id"] == first["deployment_id"]
    assert second["sampler"]["id"] == first["sampler"]["id"]
    assert states(api, first)[0] == "INACTIVE"
    assert states(api, second) == ("ACTIVE", "RUNNING", "UPDATING")
    deployment = deployment_of(api, second)
    assert (deployment["active_run_id"], deployment["latest_run_id"]) == (second["id"], second["id"])
    clock.forward(5)
    assert states(api, second) == ("ACTIVE", "RUNNING", "ACTIVE")
    # The run that was replaced has nothing left to end.
    good(api.post(f"/v1/loops/runs/{first['id']}/deactivate"))
    assert states(api, second) == ("ACTIVE", "RUNNING", "ACTIVE")
    clock.forward(120)
    assert states(api, second)[1] == "SCALED_TO_ZERO"


def test_reuse_is_best_effort(api: httpx.Client, clock: Clock, session_id: str) -> None:
    first = new_run(api, session_id)
    other_model = new_run(api, session_id, base_model="org/other", reuse_from_run_id=first["id"])
    spot = new_run(api, session_id, availability_model="spot", reuse_from_run_id=first["id"])
    good(api.post(f"/v1/loops/runs/{first['id']}/deactivate"))
    after_its_end = new_run(api, session_id, reuse_from_run_id=first["id"])
    assert len({run["deployment_id"] for run in (first, other_model, spot, after_its_end)}) == 4
    problem(
        api.post(
            "/v1/loops/runs", json={"session_id": session_id, "base_model": MODEL, "reuse_from_run_id": "nothere"}
        ),
        404,
    )


def test_a_reused_trainer_takes_the_sampler_when_it_is_paired(api: httpx.Client, session_id: str) -> None:
    first = new_run(api, session_id)
    body = {"session_id": session_id, "base_model": MODEL, "reuse_from_run_id": first["id"]}
    second = good(api.post("/v1/loops/trainers", json=body))["run"]
    assert second["sampler"] is None
    sampler = new_sampler(api, session_id, run_id=second["id"])
    assert sampler["id"] == first["sampler"]["id"]
    assert run_of(api, second["id"])["sampler"]["id"] == sampler["id"]


def test_teams(api: httpx.Client, session_id: str) -> None:
    teams = good(api.get("/v1/teams"))["teams"]
    assert [(team["name"], team["default"]) for team in teams] == [("Default team", True)]
    team = teams[0]["id"]
    session = good(api.post(f"/v1/teams/{team}/loops/sessions"))["session"]["id"]
    body = {"session_id": session, "base_model": MODEL}
    run = good(api.post(f"/v1/teams/{team}/loops/runs", json=body))["run"]
    trainer = good(api.post(f"/v1/teams/{team}/loops/trainers", json=body))["run"]
    sampler = good(api.post(f"/v1/teams/{team}/loops/samplers", json=body))["sampler"]
    assert [found["id"] for found in good(api.get(f"/v1/teams/{team}/loops/runs"))["runs"]] == [
        trainer["id"],
        run["id"],
    ]
    assert good(api.get(f"/v1/teams/{team}/loops/samplers"))["samplers"][0]["id"] == sampler["id"]
    for path in ("sessions", "runs", "trainers", "samplers"):
        problem(api.post(f"/v1/teams/nothere/loops/{path}", json=body), 404)
    problem(api.get("/v1/teams/nothere/loops/runs"), 404)


def test_a_session_of_another_team_is_refused(sample: httpx.Client) -> None:
    session = good(sample.post("/v1/loops/sessions"))["session"]["id"]
    problem(
        sample.post("/v1/teams/research/loops/runs", json={"session_id": session, "base_model": MODEL}),
        400,
        field="session_id",
    )
