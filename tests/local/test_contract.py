"""Conformance to the published OpenAPI contract: generated requests for every operation, validated answers."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.local.responses import MODEL, good
from tests.service import AnyService, running_service

pytestmark = pytest.mark.once

OPENAPI = Path(__file__).parents[1] / "contract" / "loops-openapi.json"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 10

schema = schemathesis.openapi.from_path(str(OPENAPI))


@pytest.fixture(scope="module")
def target() -> Iterator[AnyService]:
    with running_service(sample=True, any_key=False) as service:
        yield service


@pytest.fixture(scope="module")
def known(target: AnyService) -> dict[str, str]:
    """Ids that are there, by the name of the path parameter."""
    with httpx.Client(base_url=target.url, headers=target.headers) as client:
        session = good(client.post("/v1/loops/sessions"))["session"]["id"]
        runs = good(client.get("/v1/loops/runs"))["runs"]
        run = next(run for run in runs if run["name"] == "support-tone-r8")
        checkpoint = good(client.get("/v1/loops/checkpoints", params={"run_id": run["id"]}))["checkpoints"][-1]
    return {
        "session_id": session,
        "run_id": run["id"],
        "trainer_id": run["id"],
        "sampler_id": run["sampler"]["id"],
        "checkpoint_id": checkpoint["id"],
        "deployment_id": run["deployment_id"],
        "model_id": run["sampler"]["model_id"],
        "model_deployment_id": run["sampler"]["deployment_id"],
        "team_id": "default",
        "legacy_session_id": run["session_id"],
        "base_model": MODEL,
        "checkpoint_path": f"bt://loops:{run['id']}/sampler_weights/{checkpoint['checkpoint_id']}",
    }


def with_known_ids(case: Any, known: dict[str, str]) -> None:
    """Give the generated request ids that exist, so that it comes further than a 404."""
    for name in case.path_parameters:
        case.path_parameters[name] = known[name]
    if case.path.endswith("/usage_summary"):
        case.query |= {"start_date": "2026-11-01T00:00:00Z", "end_date": "2026-11-20T00:00:00Z"}
    if "/models/" in case.path:
        case.path_parameters["deployment_id"] = known["model_deployment_id"]
    if "trainer_id" in case.path_parameters:
        case.path_parameters["session_id"] = known["legacy_session_id"]
    if isinstance(case.body, dict):
        case.body |= {
            name: known[name] for name in ("session_id", "base_model", "checkpoint_path") if name in case.body
        }
        if "model" in case.body:
            case.body["model"] = MODEL
        if case.path.endswith("/samplers"):
            # A standalone one: a run or a checkpoint that do not exist would be refused each time.
            case.body["base_model"] = MODEL
            for name in ("run_id", "model_path", "checkpoint_path", "reuse_from_session_id"):
                case.body.pop(name, None)


def check_operation(operation: Any, target: AnyService, known: dict[str, str]) -> Counter[int]:
    """Send generated requests to one operation; return how often each status was answered."""
    statuses: Counter[int] = Counter()

    @given(case=operation.as_strategy())
    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
    )
    def answers_conform(case: Any) -> None:
        if len(repr(case.body) + repr(case.path_parameters)) % 3:
            with_known_ids(case, known)
        case.headers.pop("Authorization", None)
        answer = case.call_and_validate(base_url=target.url, headers=target.headers, checks=CHECKS, timeout=20)
        statuses[answer.status_code] += 1
        assert answer.status_code == 200 or 400 <= answer.status_code < 500

    answers_conform()
    return statuses


# One test for all operations: they share a service, and what one of them is not asked shows only in the sum.
@pytest.mark.timeout(300)
def test_every_operation_conforms_to_the_published_contract(target: AnyService, known: dict[str, str]) -> None:
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) == 63
    # What is deleted answers nothing else any more.
    operations.sort(key=lambda operation: operation.method.upper() == "DELETE")
    answered = {
        f"{operation.method.upper()} {operation.path}": check_operation(operation, target, known)
        for operation in operations
    }
    logging.getLogger(__name__).info(
        "%d generated requests, %d of them answered 200",
        sum(statuses.total() for statuses in answered.values()),
        sum(statuses[200] for statuses in answered.values()),
    )
    assert all(statuses.total() for statuses in answered.values())
    # Their ids stand in bodies and queries, or the known sampler is a paired one; the other tests cover them.
    assert {name for name, statuses in answered.items() if not statuses[200]} <= {
        "POST /v1/loops/checkpoints/deploy",
        "POST /v1/loops/samplers/{sampler_id}/deactivate",
        "POST /v1/models/{model_id}/deployments/{deployment_id}/activate",
        "POST /v1/models/{model_id}/deployments/{deployment_id}/deactivate",
        "DELETE /v1/models/{model_id}",
        "DELETE /v1/models/{model_id}/deployments/{deployment_id}",
        "GET /v1/loops/checkpoints",
    }
