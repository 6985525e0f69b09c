"""What a runs frame takes from the deployments listing: the state of the trainer half, and the hardware of both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loops_nb.frames.rows import Rows

_DEPLOYMENT_FIELDS = (
    "id",
    "active_run_id",
    "latest_run_id",
    "status.name",
    "instance_type.gpu_type",
    "instance_type.gpu_count",
    "node_count",
)


def halves_of_runs(runs: Rows, deployments: Rows | None) -> dict[str, list[Any]]:
    """Return the values of deployment_status, gpu_type and gpu_count, one a run.

    A run is joined to its deployment by ``deployment_id``; in the first documents' shape, which has none, by being the run that a
    deployment serves or served last.

    Parameters
    ----------
    runs
        Decoded rows of a runs frame.
    deployments
        Decoded rows of a deployments frame, if that listing was read.
    """
    by_id: dict[str, tuple[Any, ...]] = {}
    by_run: dict[str, tuple[Any, ...]] = {}
    if deployments is not None:
        for identity, active, latest, *rest in zip(*(deployments.values(field) for field in _DEPLOYMENT_FIELDS), strict=True):
            by_id[identity] = tuple(rest)
            for run_id in (active, latest):
                if run_id is not None:
                    by_run.setdefault(run_id, tuple(rest))

    status: list[str | None] = []
    gpu_type: list[str | None] = []
    gpu_count: list[int | None] = []
    fields = (
        "id | run_id | trainer_id",
        "deployment_id",
        "sampler.id | sampling_server.id",
        "sampler.instance_type.gpu_type",
        "sampler.instance_type.gpu_count",
        "sampler.node_count",
    )
    for run_id, deployment_id, sampler_id, sampler_type, sampler_gpus, sampler_nodes in zip(
        *(runs.values(field) for field in fields), strict=True
    ):
        found = by_run.get(run_id) if deployment_id is None else by_id.get(deployment_id)
        if found is None:
            status.append(None)
            gpu_type.append(None)
            gpu_count.append(None)
            continue
        name, trainer_type, trainer_gpus, trainer_nodes = found
        status.append(name)
        has_sampler = sampler_id is not None
        gpu_type.append(_types([trainer_type, sampler_type] if has_sampler else [trainer_type]))
        counts = [_gpus(trainer_gpus, trainer_nodes)] + ([_gpus(sampler_gpus, sampler_nodes)] if has_sampler else [])
        gpu_count.append(None if None in counts else sum(count for count in counts if count is not None))
    return {"deployment_status": status, "gpu_type": gpu_type, "gpu_count": gpu_count}


def _types(halves: Sequence[str | None]) -> str | None:
    return " + ".join(dict.fromkeys(half for half in halves if half is not None)) or None


def _gpus(per_node: int | None, nodes: int | None) -> int | None:
    return None if per_node is None else per_node * (1 if nodes is None else nodes)
