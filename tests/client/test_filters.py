"""``loops.runs.find``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from loops_nb import Loops
from tests.client.scripted_server import Answer, Received, ScriptedServer

NOW = datetime.now(UTC)


def run(n: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"r{n}",
        "session_id": "s1",
        "base_model": "Qwen/Qwen3-8B",
        "created_at": (NOW - timedelta(hours=n)).isoformat(),
    } | fields


RUNS = [
    run(3, status={"name": "INACTIVE"}, name="lr-sweep-3"),
    run(
        1,
        status={"name": "ACTIVE"},
        name="lr-sweep-1",
        deployment_id="d1",
        sampler={"id": "x", "status": {"name": "SCALED_TO_ZERO"}},
    ),
    run(2, session_id="s2", base_model="google/gemma-3-4b", status={"name": "ACTIVE"}, deployment_id="d2"),
    {"run_id": "old", "session_id": "s1", "base_model": "Qwen/Qwen3-8B"},
]
DEPLOYMENTS = [{"id": "d1", "status": {"name": "RUNNING"}}, {"id": "d2", "status": {"name": "PREEMPTED"}}, {"id": "d3"}]


def script(request: Received) -> Answer:
    return Answer({"deployments": DEPLOYMENTS} if "deployments" in request.target else {"runs": RUNS})


@pytest.mark.parametrize(
    ("conditions", "found", "requests"),
    [
        ({}, ["r1", "r2", "r3", "old"], 1),
        ({"session_id": "s1"}, ["r1", "r3", "old"], 1),
        ({"base_model": "GEMMA"}, ["r2"], 1),
        ({"name": "sweep"}, ["r1", "r3"], 1),
        ({"name": "lr-*-3"}, ["r3"], 1),
        ({"name": "nothing"}, [], 1),
        ({"status": "active"}, ["r1", "r2"], 1),
        ({"status": "INACTIVE"}, ["r3"], 1),
        ({"status": "RUNNING"}, ["r1"], 2),
        ({"status": "PREEMPTED"}, ["r2"], 2),
        ({"status": "SCALED_TO_ZERO"}, ["r1"], 2),
        ({"newer_than": timedelta(hours=1.5)}, ["r1"], 1),
        ({"older_than": NOW - timedelta(hours=2.5)}, ["r3"], 1),
        ({"newer_than": timedelta(hours=2.5), "older_than": timedelta(hours=1.5)}, ["r2"], 1),
        ({"session_id": "s1", "status": "ACTIVE"}, ["r1"], 1),
    ],
)
def test_find(conditions: dict[str, Any], found: list[str], requests: int) -> None:
    with ScriptedServer(script) as server, Loops("key", server.url) as loops:
        assert [r.id for r in loops.runs.find(**conditions)] == found
        assert len(server.received) == requests
