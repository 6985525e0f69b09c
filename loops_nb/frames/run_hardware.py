"""Columns that follow from several fields: state of a run's trainer, hardware of both parts, shared capacity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from loops_nb.api.gpus import gpu_types, run_is_serverless, sampler_is_serverless, sum_of_known, total_gpus
from loops_nb.api.pairing import DeploymentIndex

if TYPE_CHECKING:
    from loops_nb.frames.json_rows import Rows

_DEPLOYMENT_FIELDS = (
    "id",
    "active_run_id",
    "latest_run_id",
    "status.name",
    "instance_type.gpu_type",
    "instance_type.gpu_count",
    "node_count",
)


def hardware_of_runs(runs: Rows, deployments: Rows | None) -> dict[str, list[Any]]:
    """Return the columns deployment_status, gpu_type, gpu_count and serverless of a runs frame.

    `loops_nb.api.pairing` and `loops_nb.api.gpus` have the rules.

    Parameters
    ----------
    runs : Rows
        Decoded rows of a runs frame.
    deployments : Rows or None
        Decoded rows of a deployments frame; None without that listing.

    Returns
    -------
    dict of str to list
        By name of the column one value a run, None where missing.
    """
    index: DeploymentIndex[list[Any]] = DeploymentIndex(())
    if deployments is not None:
        columns = [deployments.values(field) for field in _DEPLOYMENT_FIELDS]
        index = DeploymentIndex(
            (key, active, latest, rest) for key, active, latest, *rest in zip(*columns, strict=True)
        )
    status: list[str | None] = []
    gpu_type: list[str | None] = []
    gpu_count: list[int | None] = []
    serverless: list[bool] = []
    fields = (
        "id | run_id | trainer_id",
        "status.name",
        "deployment_id",
        "sampler.id | sampling_server.id",
        "sampler.instance_type.gpu_type",
        "sampler.instance_type.gpu_count",
        "sampler.node_count",
        "sampler.status.name | sampling_server.status.name",
        "sampler.deployment_id",
    )
    rows = zip(*(runs.values(field) for field in fields), strict=True)
    for run_id, state, deployment_id, sampler_id, sampler_type, sampler_gpus, sampler_nodes, *sampler_place in rows:
        found = index.of_run(run_id, deployment_id)
        sampler_state, sampler_deployment = sampler_place
        shared_sampler = sampler_is_serverless(
            has_status=sampler_state is not None,
            deployment_id=sampler_deployment,
            has_hardware=sampler_type is not None or sampler_gpus is not None,
        )
        is_serverless = run_is_serverless(
            has_status=state is not None,
            deployment_id=deployment_id,
            has_deployment=found is not None,
            on_shared_sampler=None if sampler_id is None else shared_sampler,
        )
        serverless.append(is_serverless)
        if found is None:
            status.append(None)
            gpu_type.append(None)
            gpu_count.append(0 if is_serverless else None)
            continue
        name, trainer_type, trainer_gpus, trainer_nodes = found
        status.append(name)
        counts = [total_gpus(trainer_gpus, trainer_nodes)]
        if sampler_id is None:
            gpu_type.append(gpu_types(trainer_type))
        else:
            gpu_type.append(gpu_types(trainer_type, sampler_type))
            counts.append(total_gpus(sampler_gpus, sampler_nodes))
        gpu_count.append(sum_of_known(counts))
    return {"deployment_status": status, "gpu_type": gpu_type, "gpu_count": gpu_count, "serverless": serverless}


def serverless_samplers(samplers: Rows) -> list[bool]:
    """Return the column serverless of a samplers frame."""
    fields = ("status.name", "deployment_id", "instance_type.name", "instance_type.gpu_count")
    return [
        sampler_is_serverless(
            has_status=state is not None,
            deployment_id=deployment_id,
            has_hardware=hardware is not None or gpus is not None,
        )
        for state, deployment_id, hardware, gpus in zip(*(samplers.values(field) for field in fields), strict=True)
    ]
