"""How many GPUs runs, deployments and samplers hold."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from loops_nb.api.models import Deployment, Run, Sampler
from loops_nb.api.pairing import serves
from loops_nb.api.states import DEPLOYMENT_ALIVE, RUN_TERMINAL, SAMPLER_ALIVE, status_name

#: What is said of what is on shared capacity.
SERVERLESS_WORDS = "serverless: no GPUs of its own, billed by tokens"


def total_gpus(gpus_per_node: int | None, nodes: int | None) -> int | None:
    """Return nodes times GPUs of a node; a node count that the service does not send is 1."""
    if gpus_per_node is None:
        return None
    return gpus_per_node * (1 if nodes is None else nodes)


def node_count_of(part: Deployment | Sampler) -> int:
    """Return the nodes of a deployment's trainer or of a sampler; a count that the service does not send is 1."""
    return 1 if part.node_count is None else part.node_count


def sum_of_known(counts: Iterable[int | None]) -> int | None:
    """Return the sum of some counts; None if one of them is not known."""
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total


def gpu_types(*types: str | None) -> str | None:
    """Return the GPU models of several parts: ``H100``, or ``H100 + L4`` where they differ."""
    return " + ".join(dict.fromkeys(name for name in types if name)) or None


def gpus_of(part: Deployment | Sampler) -> int | None:
    """Return the GPUs of a deployment's trainer or of a sampler; None if the service does not say."""
    if part.instance_type is None:
        return None
    return total_gpus(part.instance_type.gpu_count, part.node_count)


def is_alive(part: Deployment | Sampler) -> bool:
    """Tell whether a deployment's trainer or a sampler holds GPUs, or is about to."""
    return status_name(part) in (SAMPLER_ALIVE if isinstance(part, Sampler) else DEPLOYMENT_ALIVE)


def is_serverless(part: Deployment | Sampler) -> bool:
    """Tell whether it runs on shared capacity, which holds no GPUs of the caller: a sampler without a deployment."""
    return isinstance(part, Sampler) and sampler_is_serverless(
        has_status=part.status is not None,
        deployment_id=part.deployment_id,
        has_hardware=part.instance_type is not None,
    )


def sampler_is_serverless(*, has_status: bool, deployment_id: str | None, has_hardware: bool) -> bool:
    """Tell whether a sampler is on shared capacity; one without a status has the shape of the first documents."""
    return has_status and deployment_id is None and not has_hardware


def run_is_serverless(
    *, has_status: bool, deployment_id: str | None, has_deployment: bool, on_shared_sampler: bool | None
) -> bool:
    """Tell whether a run is on shared capacity: it has no deployment, and its sampler has none either.

    Parameters
    ----------
    has_status : bool
        Whether the run has a status; one without has the shape of the first documents, which name no deployment.
    deployment_id : str or None
        The deployment that the run names.
    has_deployment : bool
        Whether a deployment names the run.
    on_shared_sampler : bool or None
        Whether its sampler is on shared capacity; None without a sampler.
    """
    return has_status and deployment_id is None and not has_deployment and on_shared_sampler is not False


def is_serverless_run(run: Run, deployment: Deployment | None) -> bool:
    """Tell whether a run is on shared capacity; ``deployment`` is its own, see `loops_nb.api.pairing`."""
    return run_is_serverless(
        has_status=run.status is not None,
        deployment_id=run.deployment_id,
        has_deployment=deployment is not None,
        on_shared_sampler=None if run.sampler is None else is_serverless(run.sampler),
    )


def holds_gpus(part: Deployment | Sampler) -> bool:
    """Tell whether it is alive on hardware of the caller."""
    return is_alive(part) and not is_serverless(part)


def gpus_held_by_run(run: Run, deployment: Deployment | None) -> int | None:
    """Return the GPUs that a run's trainer and sampler hold now; None if that is not known.

    A deployment that went on to serve another run is counted there.

    Parameters
    ----------
    run : Run
        The run.
    deployment : Deployment or None
        Its deployment, see `loops_nb.api.pairing`.
    """
    if deployment is not None and not serves(deployment, run):
        return 0
    parts = [part for part in (deployment, run.sampler) if part is not None]
    return sum_of_known(gpus_of(part) for part in parts if holds_gpus(part))


def run_is_finished(run: Run, deployment: Deployment | None) -> bool:
    """Tell whether a run has ended and holds no GPUs any more."""
    return status_name(run) in RUN_TERMINAL and gpus_held_by_run(run, deployment) == 0


class GpuUsage(NamedTuple):
    """What one trainer or sampler holds.

    Parameters
    ----------
    part_id : str
        Id of the deployment or the sampler.
    gpus : int or None
        How many GPUs; None if the service does not say.
    in_use : bool or None
        Whether something active is behind it.  None where that is not known: a listing of runs may be filtered where
        the one of deployments is not, so what no listed run explains may train for another team.
    instance_type_id : str or None, default None
        Id of the hardware of each node, by which prices are listed.
    nodes : int, default 1
        How many nodes.
    """

    part_id: str
    gpus: int | None
    in_use: bool | None
    instance_type_id: str | None = None
    nodes: int = 1


def usage_of(parts: Iterable[Deployment | Sampler | None], *, in_use: bool | None) -> tuple[GpuUsage, ...]:
    """Return the usage of those parts that hold GPUs.

    Parameters
    ----------
    parts : iterable of Deployment, Sampler or None
        Trainers and samplers; None is left out.
    in_use : bool or None
        As in `GpuUsage`; what is on its way down counts as in use, because nothing has to be done about it.
    """
    return tuple(
        GpuUsage(
            part.id,
            gpus_of(part),
            True if status_name(part) == "DEACTIVATING" else in_use,
            None if part.instance_type is None else part.instance_type.id,
            node_count_of(part),
        )
        for part in parts
        if part is not None and holds_gpus(part)
    )


def usage_of_run(run: Run, deployment: Deployment | None, *, in_use: bool | None) -> tuple[GpuUsage, ...]:
    """Return what a run's trainer and sampler hold; a deployment that went on to another run is counted there.

    Parameters
    ----------
    run : Run
        The run.
    deployment : Deployment or None
        Its deployment, see `loops_nb.api.pairing`.
    in_use : bool or None
        As in `GpuUsage`.
    """
    if deployment is not None and serves(deployment, run):
        return usage_of([deployment, deployment.sampler or run.sampler], in_use=in_use)
    return usage_of([run.sampler] if run.deployment_id is None else [], in_use=in_use)


class GpuTotals(NamedTuple):
    """GPUs held in all.

    Parameters
    ----------
    in_use, idle, unexplained : int
        GPUs with something active behind them, with nothing behind them, and those of which that is not known.
    parts_without_count : int
        Trainers and samplers that are alive on hardware of which the service does not say the GPUs.
    """

    in_use: int
    idle: int
    unexplained: int
    parts_without_count: int


def total_usage(usages: Iterable[GpuUsage]) -> GpuTotals:
    """Add up usages; a repeated part counts once, see `by_part`."""
    in_use = idle = unexplained = without_count = 0
    for usage in by_part(usages):
        if usage.gpus is None:
            without_count += 1
        elif usage.in_use:
            in_use += usage.gpus
        elif usage.in_use is None:
            unexplained += usage.gpus
        else:
            idle += usage.gpus
    return GpuTotals(in_use, idle, unexplained, without_count)


def by_part(usages: Iterable[GpuUsage]) -> Collection[GpuUsage]:
    """Return each part once, in use if any of its usages says so, else as the first one."""
    found: dict[str, GpuUsage] = {}
    for usage in usages:
        known = found.setdefault(usage.part_id, usage)
        if known is not usage and usage.in_use and not known.in_use:
            found[usage.part_id] = usage
    return found.values()
