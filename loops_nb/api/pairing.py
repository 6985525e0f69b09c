"""Which deployment belongs to a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from loops_nb.api.models import Deployment, Run

T = TypeVar("T")


class DeploymentIndex(Generic[T]):
    """Finds the deployment of a run: the one that the run names, else the one that names the run.

    A run of the first documents' shape has no ``deployment_id``; its deployment is the first one listed that serves it
    (``active_run_id``) or served it last (``latest_run_id``).  A run on serverless capacity has none either way.

    Parameters
    ----------
    deployments : iterable of (str, str or None, str or None, T)
        Id, active run, latest run, and what `of_run` is to return, one entry a deployment.
    """

    def __init__(self, deployments: Iterable[tuple[str, str | None, str | None, T]]) -> None:
        self._by_id: dict[str, T] = {}
        self._by_run: dict[str, T] = {}
        for deployment_id, active_run_id, latest_run_id, deployment in deployments:
            self._by_id[deployment_id] = deployment
            for run_id in (active_run_id, latest_run_id):
                if run_id is not None:
                    self._by_run.setdefault(run_id, deployment)

    def of_run(self, run_id: str, deployment_id: str | None) -> T | None:
        """Return the deployment of a run; None when it has none or when it is not listed."""
        if deployment_id is None:
            return self._by_run.get(run_id)
        return self._by_id.get(deployment_id)


def deployments_of_runs(runs: Mapping[str, Run], deployments: Mapping[str, Deployment]) -> dict[str, Deployment | None]:
    """Return the deployment of each run, by the run's id.

    Parameters
    ----------
    runs : mapping of str to Run
        By id.
    deployments : mapping of str to Deployment
        By id.
    """
    if all(run.deployment_id is not None for run in runs.values()):
        return {key: deployments.get(run.deployment_id or "") for key, run in runs.items()}
    index = DeploymentIndex((key, d.active_run_id, d.latest_run_id, d) for key, d in deployments.items())
    return {key: index.of_run(key, run.deployment_id) for key, run in runs.items()}


def deployment_of_run(run: Run, deployments: Mapping[str, Deployment]) -> Deployment | None:
    """Return the deployment that a run executes on, or executed on last; None when it has none or it is not listed."""
    if run.deployment_id is not None:
        return deployments.get(run.deployment_id)
    return deployments_of_runs({run.id: run}, deployments)[run.id]


def serves(deployment: Deployment, run: Run) -> bool:
    """Tell whether a deployment is there for a run: it serves the run now, or has served no other one since."""
    if deployment.active_run_id is not None:
        return deployment.active_run_id == run.id
    return deployment.latest_run_id in (None, run.id)
