"""The official management client, with its strict models, reads every listing and runs a full lifecycle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from baseten.client import ManagementClient, managementapi

from tests.local.responses import MODEL
from tests.service import AnyService, running_service

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def service() -> Iterator[AnyService]:
    with running_service(sample=True, any_key=False) as found:
        yield found


@pytest.fixture(scope="module")
def official(service: AnyService) -> Iterator[Any]:
    with ManagementClient(api_key=service.key, base_url_override=service.url) as client:
        yield client.api


def models(official: Any) -> list[str]:
    runs = official.get_loops_runs(params=managementapi.GetLoopsRunsParams(scope="org")).runs
    return sorted({run.base_model for run in runs})


def test_runs_samplers_and_deployments(official: Any) -> None:
    for run in official.get_loops_runs(params=managementapi.GetLoopsRunsParams(scope="org")).runs:
        assert official.get_loops_runs_run_id(run_id=run.id).run == run
        assert official.get_loops_sessions(session_id=run.session_id).session.id == run.session_id
    for sampler in official.get_loops_samplers(params=managementapi.GetLoopsSamplersParams(scope="org")).samplers:
        assert official.get_loops_samplers_sampler_id(sampler_id=sampler.id).sampler.id == sampler.id
        if sampler.model_id is not None:
            key = {"model_id": sampler.model_id, "deployment_id": sampler.deployment_id}
            assert official.get_models_deployments_deployment_id(**key).status == sampler.status.name
            official.get_models_deployments_logs(**key)
    deployments = official.get_loops_deployments().deployments
    assert len(deployments) >= 10
    for deployment in deployments:
        assert (
            official.get_loops_deployments_deployment_id(deployment_id=deployment.id).deployment.base_model
            == deployment.base_model
        )
        official.get_loops_deployments_logs(deployment_id=deployment.id)
        official.get_loops_deployments_debug_archive_files(deployment_id=deployment.id)
        request = managementapi.GetLoopsDeploymentMetricsRequest()
        assert (
            official.post_loops_deployments_metrics(deployment_id=deployment.id, request=request).deployment_id
            == deployment.id
        )


def test_checkpoints_and_files(official: Any) -> None:
    counted = 0
    for model in models(official):
        for checkpoint in official.get_loops_checkpoints(
            params=managementapi.GetLoopsCheckpointsParams(base_model=model)
        ).checkpoints:
            files = official.get_loops_checkpoints_files(checkpoint_id=checkpoint.id)
            assert sum(file.size_bytes for file in files.presigned_urls) == checkpoint.size_bytes
            assert official.get_loops_checkpoints_source(checkpoint_id=checkpoint.id).source.kind == "s3"
            counted += 1
    assert counted >= 180


def test_server_and_team_listings(official: Any) -> None:
    assert MODEL in [model.model_name for model in official.get_loops_capabilities().supported_models]
    patch = managementapi.PatchLoopsUserConfigRequest(trainer_accelerator_priority=["H100"])
    assert official.patch_loops_user_config(request=patch).user_config == official.get_loops_user_config().user_config
    teams = official.get_teams().teams
    assert len(teams) == 2
    for team in teams:
        assert official.get_teams_loops_runs(team_id=team.id).runs
        assert official.get_teams_loops_samplers(team_id=team.id).samplers


def test_full_lifecycle(official: Any) -> None:
    session = official.post_loops_sessions().session.id
    run = official.post_loops_runs(
        request=managementapi.CreateLoopsRunRequest(session_id=session, base_model=MODEL)
    ).run
    trainer = official.post_loops_trainers(
        request=managementapi.CreateLoopsTrainerRequest(session_id=session, base_model=MODEL)
    ).run
    paired = official.post_loops_samplers(
        request=managementapi.CreateLoopsSamplerRequest(session_id=session, run_id=trainer.id)
    ).sampler
    alone = official.post_loops_samplers(
        request=managementapi.CreateLoopsSamplerRequest(session_id=session, base_model=MODEL)
    ).sampler
    with pytest.raises(Exception, match="409"):
        official.post_loops_samplers_deactivate(sampler_id=paired.id)
    assert official.post_loops_samplers_deactivate(sampler_id=alone.id).id == alone.id
    assert official.post_loops_runs_deactivate(run_id=run.id).id == run.id
    assert official.post_loops_deployments_deactivate(deployment_id=trainer.deployment_id).id == trainer.deployment_id
    assert {official.get_loops_runs_run_id(run_id=key).run.status.name for key in (run.id, trainer.id)} == {"INACTIVE"}


def test_validating_and_deploying(official: Any) -> None:
    found = official.get_loops_checkpoints(params=managementapi.GetLoopsCheckpointsParams(base_model=MODEL)).checkpoints
    sampler = next(
        checkpoint for checkpoint in found if checkpoint.target == "sampler" and checkpoint.sync_status == "COMPLETE"
    )
    uri = f"bt://loops:{sampler.run_id}/sampler_weights/{sampler.checkpoint_id}"
    official.post_loops_checkpoints_validate(request=managementapi.ValidateLoopsCheckpointRequest(checkpoint_path=uri))
    request = managementapi.DeployLoopsCheckpointRequest(
        checkpoint_ids=[sampler.id], model_name="m", instance_type_id="local-h100-1", hf_secret_name="hf_access_token"
    )
    made = official.post_loops_checkpoints_deploy(request=request)
    assert (
        official.get_models_deployments_deployment_id(model_id=made.model_id, deployment_id=made.deployment_id).id
        == made.deployment_id
    )
