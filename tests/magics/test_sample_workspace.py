"""Every route of the documented examples: over plain HTTP, through the client, and as a line of ``%loops``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from loops_nb import Loops
from tests.magics.conftest import Notebook
from tests.service import AnyService, running_service

SEEDS = Path(__file__).parents[1] / "contract" / "seeds"
RUN_BODY: dict[str, Any] = {"base_model": "Qwen/Qwen3-8B", "lora_rank": 64, "max_seq_len": 131072}


class World:
    """A service with one of everything, made over plain HTTP as the documents' examples do it."""

    def __init__(self, service: AnyService) -> None:
        self.url = service.url
        # The examples of the first overview use this scheme.
        self.http = httpx.Client(base_url=service.url, headers={"Authorization": "Api-Key any"}, trust_env=False)
        self.session_id = self.post("/v1/loops/sessions", {})["session"]["id"]
        self.run_id = self.post("/v1/loops/runs", {"session_id": self.session_id, **RUN_BODY})["run"]["id"]
        self.sampler_id = self.post(
            "/v1/loops/samplers", {"session_id": self.session_id, "base_model": "Qwen/Qwen3-8B"}
        )["sampler"]["id"]
        self.deployment_id = self.get("/v1/loops/deployments")["deployments"][0]["id"]
        # The newest of this model is still being synced; older ones may have no sync_status, which the documents allow.
        saved = self.get("/v1/loops/checkpoints?base_model=Qwen%2FQwen3-8B")["checkpoints"][0]
        self.saved_run_id, self.checkpoint_id, self.base_model = saved["run_id"], saved["id"], saved["base_model"]

    def get(self, path: str) -> Any:
        return self.read(self.http.get(path))

    def post(self, path: str, body: Any = None) -> Any:
        return self.read(self.http.post(path, json=body))

    @staticmethod
    def read(answer: httpx.Response) -> Any:
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("application/json")
        return answer.json()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running_service(sample=True) as service:
        made = World(service)
        yield made
        made.http.close()


#: Route of the documents, its example's file, the path to ask, the body to send, the line of %loops that does the same.
ROUTES: list[tuple[str, str, str, Any, str]] = [
    ("POST /v1/loops/sessions", "create_session", "/v1/loops/sessions", {}, "create session"),
    ("GET /v1/loops/sessions/{}", "get_session", "/v1/loops/sessions/{session_id}", None, "sessions {session_id}"),
    (
        "POST /v1/loops/runs",
        "create_run",
        "/v1/loops/runs",
        {"session_id": "{session_id}", **RUN_BODY},
        "create run --session {session_id} --base-model Qwen/Qwen3-8B --max-seq-len 131072",
    ),
    (
        "GET /v1/loops/runs",
        "list_runs",
        "/v1/loops/runs?base_model=Qwen%2FQwen3-8B",
        None,
        "runs --base-model Qwen/Qwen3-8B",
    ),
    ("GET /v1/loops/runs/{}", "get_run", "/v1/loops/runs/{run_id}", None, "run {run_id}"),
    (
        "POST /v1/loops/samplers",
        "create_sampler",
        "/v1/loops/samplers",
        {"session_id": "{session_id}", "base_model": "Qwen/Qwen3-8B"},
        "create sampler --session {session_id} --base-model Qwen/Qwen3-8B",
    ),
    ("GET /v1/loops/samplers", "list_samplers", "/v1/loops/samplers", None, "samplers"),
    ("GET /v1/loops/samplers/{}", "get_sampler", "/v1/loops/samplers/{sampler_id}", None, "sampler {sampler_id}"),
    (
        "GET /v1/loops/checkpoints",
        "list_checkpoints",
        "/v1/loops/checkpoints?run_id={saved_run_id}",
        None,
        "checkpoints --run {saved_run_id}",
    ),
    (
        "GET /v1/loops/checkpoints/{}/files",
        "list_checkpoint_files",
        "/v1/loops/checkpoints/{checkpoint_id}/files?page_size=50&page_token=0",
        None,
        "files {checkpoint_id}",
    ),
    ("GET /v1/loops/deployments", "list_deployments", "/v1/loops/deployments", None, "deployments"),
    (
        "GET /v1/loops/deployments/{}",
        "get_deployment",
        "/v1/loops/deployments/{deployment_id}",
        None,
        "deployment {deployment_id}",
    ),
    (
        "POST /v1/loops/deployments/{}/deactivate",
        "deactivate_deployment",
        "/v1/loops/deployments/{deployment_id}/deactivate",
        "no body",
        "deactivate deployment {deployment_id} -y",
    ),
]


def filled(template: Any, world: World) -> Any:
    if isinstance(template, dict):
        return {k: filled(v, world) for k, v in template.items()}
    return template.format(**vars(world)) if isinstance(template, str) else template


def shape(value: Any) -> Any:
    """Return the names and types of a JSON value; of a list, of its first entry."""
    if isinstance(value, dict):
        return {k: shape(v) for k, v in value.items()}
    return [shape(v) for v in value[:1]] if isinstance(value, list) else type(value)


def covers(answer: Any, example: Any) -> bool:
    """Tell whether an answer has all that an example has; where the example has null, anything will do."""
    if example is type(None):
        return True
    if isinstance(example, dict):
        return isinstance(answer, dict) and all(k in answer and covers(answer[k], v) for k, v in example.items())
    if isinstance(example, list):
        return isinstance(answer, list) and all(covers(a, e) for a, e in zip(answer, example, strict=True))
    return bool(answer == example)


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: r[0])
def test_http_response_has_all_fields_of_the_example(route: tuple[str, str, str, Any, str], world: World) -> None:
    _, name, path, body, _ = route
    target = filled(path, world)
    if body == "no body":
        answer = world.read(world.http.post(target))
    else:
        answer = world.get(target) if body is None else world.post(target, filled(body, world))
    example = json.loads((SEEDS / f"{name}.json").read_text("utf-8"))
    assert covers(shape(answer), shape(example)), (shape(answer), shape(example))


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: r[0])
def test_route_as_a_line_of_loops(
    route: tuple[str, str, str, Any, str], world: World, notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPS_BASE_URL", world.url)
    value = notebook.run(f"%loops {filled(route[4], world)}").value
    shown = notebook.plain(value) + notebook.html(value)
    expected = {"files": "adapter_model.safetensors", "create": "Qwen/Qwen3-8B", "sessions": world.session_id}
    verb, *words = filled(route[4], world).split()
    if "session" in words:
        assert value.id in shown
    else:
        assert expected.get(verb, world.base_model if not words else words[-2 if "-y" in words else -1]) in shown
    assert "Traceback" not in shown


def test_routes_through_the_client(world: World) -> None:
    with Loops("any", world.url) as loops:
        session = loops.sessions.create()
        assert loops.sessions.get(session.id).id == session.id
        run = loops.runs.create(session_id=session.id, **RUN_BODY)
        assert run.id in [r.id for r in loops.runs.list(base_model="Qwen/Qwen3-8B")]
        assert [r.run_id for r in loops.runs.list(run_id=run.id)] == [run.id]
        found = loops.runs.get(run.id)
        assert found.sampler is not None
        standalone = loops.samplers.create(session_id=session.id, base_model="Qwen/Qwen3-8B")
        assert {standalone.id, found.sampler.id} <= {s.id for s in loops.samplers.list()}
        assert loops.samplers.get(standalone.id).base_url
        (by_uri,) = loops.checkpoints.list(checkpoint_path=loops.checkpoints.list(run_id=world.saved_run_id)[0].uri)
        files = list(loops.checkpoints.files(by_uri.id, page_size=1))
        assert sum(f.size_bytes or 0 for f in files) == by_uri.size_bytes
        assert by_uri.id in [c.id for c in loops.checkpoints.list(base_model=world.base_model)]
        assert run.deployment_id in [d.id for d in loops.deployments.list()]
        assert run.deployment_id is not None
        assert loops.deployments.get(run.deployment_id).base_url
        assert loops.deployments.deactivate(run.deployment_id).base_model == "Qwen/Qwen3-8B"
        ended = loops.runs.get(run.id)
        assert ended.status is not None
        assert ended.status.name == "INACTIVE"
