"""Every operation of the OpenAPI file is covered, sends what is documented, and has its async twin."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from loops_nb import AsyncLoops, Loops
from loops_nb.checkpoints.deletion import DeletionItem, DeletionPlan
from tests.client.scripted_server import Answer, Received, ScriptedServer

SPEC = json.loads((Path(__file__).parents[1] / "contract" / "loops-openapi.json").read_text("utf-8"))
TRAINER_URI = "bt://loops:k4q95w5/weights/step-100"
SAMPLER_URI = "bt://loops:k4q95w5/sampler_weights/step-100"
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
NOON_MILLIS = "1782907200000"

Case = tuple[str, dict[str, Any], tuple[Any, ...], str, str, dict[str, str], Any]
RUN = {"session_id": "sess_1", "base_model": "Qwen/Qwen3-8B"}
RUN_BODY = {**RUN, "lora_rank": 64}

CASES: list[Case] = [
    (
        "sessions.create",
        {"training_project_id": "p1"},
        (),
        "POST",
        "/v1/loops/sessions",
        {},
        {"training_project_id": "p1"},
    ),
    ("sessions.create", {"team_id": "t1"}, (), "POST", "/v1/teams/t1/loops/sessions", {}, {}),
    ("sessions.get", {}, ("sess_1",), "GET", "/v1/loops/sessions/sess_1", {}, None),
    ("runs.create", RUN, (), "POST", "/v1/loops/runs", {}, RUN_BODY),
    (
        "runs.create",
        {**RUN, "path": TRAINER_URI, "seed": 0, "sampler_num_replicas": 2, "team_id": "t1"},
        (),
        "POST",
        "/v1/teams/t1/loops/runs",
        {},
        {**RUN_BODY, "path": TRAINER_URI, "seed": 0, "sampler_num_replicas": 2},
    ),
    ("runs.list", {"base_model": "Qwen/Qwen3-8B"}, (), "GET", "/v1/loops/runs", {"base_model": "Qwen/Qwen3-8B"}, None),
    ("runs.list", {"scope": "org", "team_id": "t1"}, (), "GET", "/v1/teams/t1/loops/runs", {"scope": "org"}, None),
    ("runs.find", {}, (), "GET", "/v1/loops/runs", {}, None),
    ("runs.get", {}, ("k4q95w5",), "GET", "/v1/loops/runs/k4q95w5", {}, None),
    ("runs.deactivate", {}, ("k4q95w5",), "POST", "/v1/loops/runs/k4q95w5/deactivate", {}, {}),
    ("runs.delete", {}, ("k4q95w5",), "DELETE", "/v1/loops/runs/k4q95w5", {}, None),
    ("trainers.create", RUN, (), "POST", "/v1/loops/trainers", {}, RUN_BODY),
    ("trainers.create", {**RUN, "team_id": "t1"}, (), "POST", "/v1/teams/t1/loops/trainers", {}, RUN_BODY),
    (
        "samplers.create",
        {**RUN, "model_path": SAMPLER_URI},
        (),
        "POST",
        "/v1/loops/samplers",
        {},
        {**RUN, "model_path": SAMPLER_URI},
    ),
    (
        "samplers.create",
        {"session_id": "s", "run_id": "k4", "team_id": "t1"},
        (),
        "POST",
        "/v1/teams/t1/loops/samplers",
        {},
        {"session_id": "s", "run_id": "k4"},
    ),
    ("samplers.list", {}, (), "GET", "/v1/loops/samplers", {}, None),
    ("samplers.list", {"team_id": "t1"}, (), "GET", "/v1/teams/t1/loops/samplers", {}, None),
    ("samplers.get", {}, ("samp_1",), "GET", "/v1/loops/samplers/samp_1", {}, None),
    ("samplers.deactivate", {}, ("samp_1",), "POST", "/v1/loops/samplers/samp_1/deactivate", {}, {}),
    (
        "checkpoints.list",
        {"checkpoint_path": SAMPLER_URI},
        (),
        "GET",
        "/v1/loops/checkpoints",
        {"checkpoint_path": SAMPLER_URI},
        None,
    ),
    (
        "checkpoints.files",
        {"page_size": 50},
        ("chkpt_1",),
        "GET",
        "/v1/loops/checkpoints/chkpt_1/files",
        {"page_size": "50", "page_token": "0"},
        None,
    ),
    (
        "checkpoints.files_page",
        {"page_token": 100},
        ("chkpt_1",),
        "GET",
        "/v1/loops/checkpoints/chkpt_1/files",
        {"page_size": "1000", "page_token": "100"},
        None,
    ),
    (
        "deployments.debug_files_page",
        {"page_size": 5, "page_token": "opaque"},
        ("dep_1",),
        "GET",
        "/v1/loops/deployments/dep_1/debug_archive/files",
        {"page_size": "5", "page_token": "opaque"},
        None,
    ),
    (
        "checkpoints.delete",
        {},
        (DeletionPlan((DeletionItem("checkpoint", "chkpt_1"),)),),
        "DELETE",
        "/v1/loops/checkpoints/chkpt_1",
        {},
        None,
    ),
    ("checkpoints.source", {}, ("chkpt_1",), "GET", "/v1/loops/checkpoints/chkpt_1/source", {}, None),
    (
        "checkpoints.validate",
        {"run_id": "k4"},
        (SAMPLER_URI,),
        "POST",
        "/v1/loops/checkpoints/validate",
        {},
        {"checkpoint_path": SAMPLER_URI, "run_id": "k4"},
    ),
    (
        "checkpoints.deploy",
        {"checkpoint_ids": ["c1"], "model_name": "m", "instance_type_id": "i", "hf_secret_name": "h"},
        (),
        "POST",
        "/v1/loops/checkpoints/deploy",
        {},
        {"checkpoint_ids": ["c1"], "model_name": "m", "instance_type_id": "i", "hf_secret_name": "h"},
    ),
    ("deployments.list", {"scope": "org"}, (), "GET", "/v1/loops/deployments", {"scope": "org"}, None),
    ("deployments.get", {}, ("dep_1",), "GET", "/v1/loops/deployments/dep_1", {}, None),
    ("deployments.deactivate", {}, ("dep_1",), "POST", "/v1/loops/deployments/dep_1/deactivate", {}, {}),
    (
        "deployments.logs",
        {"start": NOON, "direction": "desc", "min_level": "INFO"},
        ("dep_1",),
        "GET",
        "/v1/loops/deployments/dep_1/logs",
        {"start_epoch_millis": NOON_MILLIS, "direction": "desc", "limit": "500", "min_level": "INFO"},
        None,
    ),
    (
        "deployments.metrics",
        {"end": NOON, "step_seconds": 60},
        ("dep_1",),
        "POST",
        "/v1/loops/deployments/dep_1/metrics",
        {},
        {"end_epoch_millis": int(NOON_MILLIS), "step_seconds": 60},
    ),
    (
        "deployments.debug_files",
        {},
        ("dep_1",),
        "GET",
        "/v1/loops/deployments/dep_1/debug_archive/files",
        {"page_size": "1000"},
        None,
    ),
    (
        "capabilities.list",
        {"max_seq_len": 4096},
        (),
        "GET",
        "/v1/loops/capabilities",
        {"use_case": "rl", "max_seq_len": "4096"},
        None,
    ),
    ("user_config.get", {}, (), "GET", "/v1/loops/user_config", {}, None),
    (
        "user_config.update",
        {"trainer_accelerator_priority": ["H100"], "sampler_accelerator_priority": None},
        (),
        "PATCH",
        "/v1/loops/user_config",
        {},
        {"trainer_accelerator_priority": ["H100"], "sampler_accelerator_priority": None},
    ),
    ("billing.prices", {}, (), "GET", "/v1/instance_type_prices", {}, None),
    (
        "billing.usage",
        {"end": datetime(2026, 7, 2, 14, tzinfo=timezone(timedelta(hours=2)))},
        (NOON,),
        "GET",
        "/v1/billing/usage_summary",
        {"start_date": "2026-07-01T12:00:00.000Z", "end_date": "2026-07-02T12:00:00.000Z"},
        None,
    ),
    ("teams.list", {}, (), "GET", "/v1/teams", {}, None),
    ("instance_types.list", {}, (), "GET", "/v1/instance_types", {}, None),
    ("secrets.list", {}, (), "GET", "/v1/secrets", {}, None),
    ("secrets.list", {"team_id": "t1"}, (), "GET", "/v1/teams/t1/secrets", {}, None),
    ("models.list", {"name": "support"}, (), "GET", "/v1/models", {"name": "support"}, None),
    ("models.get", {}, ("m1",), "GET", "/v1/models/m1", {}, None),
    ("model_deployments.list", {}, ("m1",), "GET", "/v1/models/m1/deployments", {}, None),
    ("teams.list", {"name": "Research"}, (), "GET", "/v1/teams", {"name": "Research"}, None),
    ("teams.frame", {}, (), "GET", "/v1/teams", {}, None),
    ("teams.get", {}, ("t1",), "GET", "/v1/teams/t1", {}, None),
    ("model_deployments.get", {}, ("m1", "d1"), "GET", "/v1/models/m1/deployments/d1", {}, None),
    ("models.delete", {}, ("m1",), "DELETE", "/v1/models/m1", {}, None),
    ("model_deployments.delete", {}, ("m1", "d1"), "DELETE", "/v1/models/m1/deployments/d1", {}, None),
    ("model_deployments.activate", {}, ("m1", "d1"), "POST", "/v1/models/m1/deployments/d1/activate", {}, {}),
    ("model_deployments.retry", {}, ("m1", "d1"), "POST", "/v1/models/m1/deployments/d1/retry", {}, {}),
    ("model_deployments.deactivate", {}, ("m1", "d1"), "POST", "/v1/models/m1/deployments/d1/deactivate", {}, {}),
    (
        "model_deployments.logs",
        {"limit": 10},
        ("m1", "d1"),
        "GET",
        "/v1/models/m1/deployments/d1/logs",
        {"limit": "10"},
        None,
    ),
    (
        "model_deployments.metrics",
        {"start": NOON, "metrics": ["requests"]},
        ("m1", "d1"),
        "GET",
        "/v1/models/m1/deployments/d1/metrics",
        {"mode": "SERIES", "start_epoch_millis": NOON_MILLIS, "metrics": "requests"},
        None,
    ),
    (
        "model_deployments.logs",
        {"search_pattern": "a|b", "includes": ["x y"], "excludes": ["z"], "replica": "r1", "limit": None},
        ("m1", "d1"),
        "GET",
        "/v1/models/m1/deployments/d1/logs",
        {"search_pattern": "a|b", "includes": "x y", "excludes": "z", "replica": "r1"},
        None,
    ),
    ("model_deployments.search_logs", {}, ("m1", "d1"), "POST", "/v1/models/m1/deployments/d1/logs", {}, {}),
    (
        "model_deployments.search_logs",
        {"includes": ["x", "y"], "min_level": "INFO", "component": "c"},
        ("m1", "d1"),
        "POST",
        "/v1/models/m1/deployments/d1/logs",
        {},
        {"includes": ["x", "y"], "min_level": "INFO", "component": "c"},
    ),
    ("legacy.search_trainers", {}, (), "POST", "/v1/trainers/search", {}, {"trainer_id": None}),
    (
        "legacy.search_checkpoint",
        {},
        (TRAINER_URI,),
        "POST",
        "/v1/trainers/checkpoints/search",
        {},
        {"checkpoint_path": TRAINER_URI},
    ),
    ("legacy.create_session", {}, (), "POST", "/v1/trainer_sessions", {}, {}),
    (
        "legacy.create_trainer",
        {"model": "Qwen/Qwen3-8B"},
        ("s",),
        "POST",
        "/v1/trainer_sessions/s/trainers",
        {},
        {"model": "Qwen/Qwen3-8B", "lora_rank": 64},
    ),
    (
        "legacy.create_sampler",
        {"model": "Qwen/Qwen3-8B"},
        ("s",),
        "POST",
        "/v1/trainer_sessions/s/samplers",
        {},
        {"model": "Qwen/Qwen3-8B"},
    ),
    ("legacy.checkpoints", {}, ("s", "t"), "GET", "/v1/trainer_sessions/s/trainers/t/checkpoints", {}, None),
    (
        "legacy.checkpoint_files",
        {},
        ("s", "t", "c"),
        "GET",
        "/v1/trainer_sessions/s/trainers/t/checkpoints/c/files",
        {"page_size": "1000", "page_token": "0"},
        None,
    ),
]


def example(schema: dict[str, Any]) -> Any:
    """Return the smallest value that a schema of the contract describes."""
    if "$ref" in schema:
        return example(SPEC["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "oneOf" in schema:
        return example(schema["oneOf"][0])
    if "anyOf" in schema and "properties" not in schema:
        return example(schema["anyOf"][0])
    if "const" in schema or "enum" in schema:
        return schema.get("const") or schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "object":
        # The run has no required fields of its own: the two eras share none.
        required = schema.get("required") or (["id"] if "run_id" in schema.get("properties", {}) else [])
        return {name: example(schema["properties"][name]) for name in required}
    if kind == "string":
        return "2026-07-01T20:50:39.854Z" if schema.get("format") == "date-time" else "text"
    return {"array": [], "integer": 1, "number": 1.5, "boolean": True}[kind]


def template_of(method: str, path: str) -> str:
    """Return the path template of the contract that a request falls under."""
    fits: list[str] = [
        t
        for t in SPEC["paths"]
        if method.lower() in SPEC["paths"][t] and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", t), path)
    ]
    # /runs/{run_id} also fits nothing else; fixed parts win over variables.
    return min(fits, key=lambda t: t.count("{"))


def script(request: Received) -> Answer:
    path = urlsplit(request.target).path
    if path == "/v1/teams":
        return Answer({"teams": [{"id": "t1", "name": "Research"}]})
    operation = SPEC["paths"][template_of(request.method, path)][request.method.lower()]
    return Answer(example(operation["responses"]["200"]["content"]["application/json"]["schema"]))


def call(loops: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    target: Callable[..., Any] = loops
    for part in name.split("."):
        target = getattr(target, part)
    return target(*args, **kwargs)


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c[0]} {c[3]} {c[4]}")
def test_operation_sends_the_documented_request(case: Case) -> None:
    name, kwargs, args, method, path, query, body = case
    with ScriptedServer(script) as server, Loops("key", server.url) as loops:
        result = call(loops, name, args, kwargs)
        if inspect.isgenerator(result):
            list(result)

        async def awaited() -> None:
            async with AsyncLoops("key", server.url) as twin:
                pending = call(twin, name, args, kwargs)
                if isinstance(pending, AsyncIterator):
                    assert [f async for f in pending] == []
                else:
                    again = await pending
                    assert type(again) is type(result)

        asyncio.run(awaited())
    # Teams are listed once, by the first of the two clients.
    received = [one for one in server.received if path == "/v1/teams" or urlsplit(one.target).path != "/v1/teams"]
    assert len(received) == 2
    assert len(server.received) == 2 + ("t1" in path)
    for request in received:
        sent = urlsplit(request.target)
        assert (request.method, sent.path, dict(parse_qsl(sent.query))) == (method, path, query)
        assert request.json == body


def test_every_operation_of_the_contract_is_covered() -> None:
    documented = {
        (m.upper(), p) for p, ms in SPEC["paths"].items() for m in ms if m in {"get", "post", "patch", "put", "delete"}
    }
    # The SDK's own routes: this client sends a scope to the public ones.
    documented = {(method, path) for method, path in documented if "/debug/" not in path}
    reached = {(method, template_of(method, path)) for _, _, _, method, path, _, _ in CASES}
    assert documented - reached == set()


def test_the_async_twin_has_the_same_names_and_signatures() -> None:
    loops, twin = Loops("key", "http://127.0.0.1:1"), AsyncLoops("key", "http://127.0.0.1:1")

    def surface(root: Any) -> dict[str, str]:
        found = {}
        for group_name, group in vars(root).items():
            if group_name.startswith("_"):
                continue
            for name, method in inspect.getmembers(group, inspect.ismethod):
                if not name.startswith("_"):
                    signature = str(inspect.signature(method)).replace("AsyncIterator", "Iterator")
                    found[f"{group_name}.{name}"] = signature
                    assert method.__doc__, f"{group_name}.{name} has no docstring"
        return found

    assert surface(loops) == surface(twin)
    assert len(surface(loops)) > 40
