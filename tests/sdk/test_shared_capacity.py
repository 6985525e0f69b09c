"""The official sampling client, unmodified, asks the sampler on shared capacity that the sample workspace has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from baseten.loops import ModelInput, SamplingParams
from baseten.loops.promise_client import RemoteOpError
from baseten.loops.sampling_client import SamplingClient, ServerlessDeployment

from tests.service import AnyService, running_service

PROMPT = [151_644, 872, 198, 9707]


@pytest.fixture(scope="module")
def workspace(_silent: None) -> Iterator[AnyService]:
    with running_service(sample=True, speed=1.0) as running:
        yield running


@pytest.fixture
def sampler(workspace: AnyService) -> Iterator[Any]:
    with httpx.Client(base_url=workspace.url, headers=workspace.headers) as api:
        (run,) = (run for run in api.get("/v1/loops/runs").json()["runs"] if run["deployment_id"] is None)
        found = api.get(f"/v1/loops/samplers/{run['sampler']['id']}").json()["sampler"]
    deployment = ServerlessDeployment(base_url=found["base_url"])
    client = SamplingClient(base_model=found["base_model"], deployment=deployment, api_key="local", run_id=run["id"])
    yield client
    client.close()


def test_a_sample_is_accepted_and_fetched(sampler: Any) -> None:
    found = sampler.sample(
        ModelInput.from_ints(PROMPT), sampling_params=SamplingParams(max_tokens=6, temperature=0.0), num_samples=2
    )
    first, second = found.sequences
    assert first.tokens == second.tokens
    assert 0 < len(first.tokens) <= 6


def test_later_failure_is_reported(sampler: Any) -> None:
    with pytest.raises(RemoteOpError, match="The prompt has 9000 tokens"):
        sampler.sample(ModelInput.from_ints([1] * 9000), sampling_params=SamplingParams(max_tokens=2))
