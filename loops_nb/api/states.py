"""States of runs, deployments, samplers and checkpoints: the documented values, and which of them mean what."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loops_nb.api.models import Deployment, Run, Sampler

RUN_STATUSES = ("ACTIVE", "INACTIVE")
DEPLOYMENT_STATUSES = ("CREATED", "DEPLOYING", "RUNNING", "SCALED_TO_ZERO", "PREEMPTED", "FAILED", "STOPPED")
SAMPLER_STATUSES = (
    "BUILDING",
    "DEPLOYING",
    "LOADING_MODEL",
    "WAKING_UP",
    "UPDATING",
    "ACTIVE",
    "SCALED_TO_ZERO",
    "UNHEALTHY",
    "DEACTIVATING",
    "INACTIVE",
    "BUILD_FAILED",
    "BUILD_STOPPED",
    "DEPLOY_FAILED",
    "FAILED",
)
SYNC_STATUSES = ("SYNCING", "COMPLETE")

#: The order in which a deployment and a sampler come up.
DEPLOYMENT_STARTUP = ("CREATED", "DEPLOYING", "RUNNING")
SAMPLER_STARTUP = ("BUILDING", "DEPLOYING", "LOADING_MODEL", "ACTIVE")

#: States in which a deployment or a sampler holds GPUs, or is about to.
DEPLOYMENT_ALIVE = frozenset(DEPLOYMENT_STARTUP)
SAMPLER_ALIVE = frozenset(
    {"BUILDING", "DEPLOYING", "LOADING_MODEL", "WAKING_UP", "UPDATING", "ACTIVE", "UNHEALTHY", "DEACTIVATING"}
)
#: Large models take minutes to come up; a transitional state that lasts longer than this is stuck.
STUCK_SECONDS = 15 * 60.0
#: States that never change again by themselves.
RUN_TERMINAL = frozenset({"INACTIVE"})
DEPLOYMENT_TERMINAL = frozenset({"FAILED", "STOPPED", "PREEMPTED"})
SAMPLER_FAILED = frozenset({"BUILD_FAILED", "BUILD_STOPPED", "DEPLOY_FAILED", "FAILED"})
SAMPLER_TERMINAL = SAMPLER_FAILED | {"INACTIVE"}
#: The same by the kind of a listing; whatever is in another state, an unknown one included, is alive.
TERMINAL = {"runs": RUN_TERMINAL, "deployments": DEPLOYMENT_TERMINAL, "samplers": SAMPLER_TERMINAL}

#: States of anything that lead to another one by themselves.
IN_TRANSITION = frozenset(
    {"CREATED", "BUILDING", "DEPLOYING", "LOADING_MODEL", "WAKING_UP", "UPDATING", "DEACTIVATING", "SYNCING"}
)
#: States of anything that works.
WORKING = frozenset({"ACTIVE", "RUNNING", "COMPLETE"})
#: States of anything that failed, was interrupted, or does not answer as it should.
FAILED = frozenset({"FAILED", "BUILD_FAILED", "DEPLOY_FAILED", "PREEMPTED", "UNHEALTHY"})
#: States of anything that was ended on request.
ENDED = frozenset({"INACTIVE", "STOPPED", "BUILD_STOPPED"})
#: States of anything that starts again when it is used.
SLEEPING = frozenset({"SCALED_TO_ZERO"})


def status_name(item: Run | Deployment | Sampler | None) -> str | None:
    """Return the name of an object's state; None without an object, or where the service did not send a state."""
    if item is None or item.status is None:
        return None
    return item.status.name


def is_in_transition(status: str | None) -> bool:
    """Tell whether a state leads to another one by itself."""
    return status in IN_TRANSITION
