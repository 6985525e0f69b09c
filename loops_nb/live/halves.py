"""Which deployment a run has."""

from __future__ import annotations

from collections.abc import Mapping

from loops_nb.models import Deployment, Run


def deployment_of(run: Run, deployments: Mapping[str, Deployment]) -> Deployment | None:
    """Return the deployment that a run executes on, or executed on last; None on serverless capacity, or when it is not listed.

    In the first documents' shape a run does not name its deployment: there it is the one that serves it, or served it last.
    """
    if run.deployment_id is not None:
        return deployments.get(run.deployment_id)
    if run.status is not None:
        return None
    return next((d for d in deployments.values() if run.id in {d.active_run_id, d.latest_run_id}), None)
