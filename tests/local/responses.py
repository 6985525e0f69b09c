"""Short ways to ask the service, for tests."""

from __future__ import annotations

from typing import Any

import httpx

MODEL = "Qwen/Qwen3-8B"


def good(answer: httpx.Response) -> Any:
    """The JSON of an answer that must be exactly 200."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def problem(answer: httpx.Response, status: int, *, field: str | None = None) -> dict[str, Any]:
    """The error body of an answer that must have this status, and name this field."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body: dict[str, Any] = answer.json()
    assert set(body) == {"code", "message", "details"}
    assert body["message"]
    if field is not None:
        assert body["details"]["field"] == field, body
    return body


def new_run(api: httpx.Client, session_id: str, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = good(
        api.post("/v1/loops/runs", json={"session_id": session_id, "base_model": MODEL, **fields})
    )["run"]
    return made


def new_sampler(api: httpx.Client, session_id: str, **fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = good(api.post("/v1/loops/samplers", json={"session_id": session_id, **fields}))["sampler"]
    return made


def run_of(api: httpx.Client, run_id: str) -> dict[str, Any]:
    found: dict[str, Any] = good(api.get(f"/v1/loops/runs/{run_id}"))["run"]
    return found


def deployment_of(api: httpx.Client, run: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = good(api.get(f"/v1/loops/deployments/{run['deployment_id']}"))["deployment"]
    return found


def states(api: httpx.Client, run: dict[str, Any]) -> tuple[str, str, str | None]:
    """Run, deployment and sampler as they are now."""
    now = run_of(api, run["id"])
    sampler = now["sampler"]["status"]["name"] if now["sampler"] else None
    return now["status"]["name"], deployment_of(api, run)["status"]["name"], sampler
