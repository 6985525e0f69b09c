"""Wait until a run, a sampler or a deployment is in a state; uses the same poller as the panels."""

from __future__ import annotations

from loops_nb.live.wait._async.functions import wait as wait_async
from loops_nb.live.wait.conditions import DeploymentCondition, RunCondition, SamplerCondition
from loops_nb.live.wait.functions import wait

__all__ = ["DeploymentCondition", "RunCondition", "SamplerCondition", "wait", "wait_async"]
