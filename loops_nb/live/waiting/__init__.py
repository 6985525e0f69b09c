"""Waiting until something is in a state: on the same poller as the panels, with one line that says how it stands."""

from __future__ import annotations

from loops_nb.live.waiting.aims import DeploymentAim, RunAim, SamplerAim
from loops_nb.live.waiting.awaiting import wait_async
from loops_nb.live.waiting.blocking import wait

__all__ = ["DeploymentAim", "RunAim", "SamplerAim", "wait", "wait_async"]
