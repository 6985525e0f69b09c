"""What goes on at the service while a panel is open: runs come, time passes, things end."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from loops_nb import Loops
from loops_nb.api.models import Run
from tests.browser.fault_proxy import FaultProxy

MODEL = "Qwen/Qwen3-8B"
#: By then what was created is up.
_UP_SECONDS = 60.0


class Clock:
    """The service's clock: stands still until it is moved."""

    def __init__(self) -> None:
        self._at = time.time_ns() // 1_000_000

    def __call__(self) -> int:
        """Return epoch milliseconds."""
        return self._at

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._at += round(seconds * 1000)


class ServiceState:
    """A service's other user.

    Parameters
    ----------
    loops
        A client of the service.
    clock
        The service's clock.
    proxy
        What stands before the service.
    """

    def __init__(self, loops: Loops, clock: Clock, proxy: FaultProxy) -> None:
        self.loops = loops
        self.clock = clock
        self.proxy = proxy
        self._session = loops.sessions.create().id
        self._checkpoints: list[dict[str, Any]] = []

    def run(self, name: str, *, base_model: str = MODEL, up: bool = True) -> Run:
        """Create a run, and let it come up; one of two is always the younger."""
        self.clock.advance(1)
        run = self.loops.runs.create(session_id=self._session, base_model=base_model, name=name)
        if up:
            self.everything_comes_up()
        return run

    def everything_comes_up(self) -> None:
        """Let so much time pass that whatever was created runs."""
        self.clock.advance(_UP_SECONDS)

    def end(self, run: Run) -> None:
        """Deactivate a run: its trainer stops, its sampler is on its way."""
        self.loops.runs.deactivate(run.id)

    def save(self, run: Run, name: str, *, target: str = "trainer", sync_status: str = "COMPLETE") -> str:
        """Let a run save a checkpoint; returns its URI."""
        saved = {
            "id": f"ck-{len(self._checkpoints)}",
            "run_id": run.id,
            "target": target,
            "checkpoint_id": name,
            "created_at": datetime.fromtimestamp(self.clock() / 1000, UTC).isoformat(),
            "checkpoint_type": "lora",
            "base_model": run.base_model,
            "lora_adapter_config": {"r": 64},
            "size_bytes": 524_288_000,
            "sync_status": sync_status,
        }
        self._checkpoints = [one for one in self._checkpoints if one["checkpoint_id"] != name] + [saved]
        found = list(self._checkpoints)
        self.proxy.edits["GET /v1/loops/checkpoints"] = lambda _: {"checkpoints": found}
        return f"bt://loops:{run.id}/{'weights' if target == 'trainer' else 'sampler_weights'}/{name}"

    def looks(self, path: str = "/v1/loops/runs") -> int:
        """Return how often a listing was asked for."""
        return sum(1 for seen in self.proxy.listings() if seen.path == path)

    def pretend(self, kind: str, run: Run, **fields: Any) -> None:
        """Answer listings of runs or deployments with other fields from now on."""
        key = {"runs": run.id, "deployments": run.deployment_id}[kind]

        def edit(listing: Any) -> Any:
            for one in listing[kind]:
                if one["id"] == key:
                    one.update(fields)
            return listing

        self.proxy.edits[f"GET /v1/loops/{kind}"] = edit
