"""What goes on at the service while somebody watches: runs come, time passes, things end."""

from __future__ import annotations

import time
from typing import Any

from loops_nb import Loops
from loops_nb.models import Run
from tests.browser.backstage import Backstage

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


class World:
    """A service's other user.

    Parameters
    ----------
    loops
        A client of the service.
    clock
        The service's clock.
    backstage
        What stands before the service.
    """

    def __init__(self, loops: Loops, clock: Clock, backstage: Backstage) -> None:
        self.loops = loops
        self.clock = clock
        self.backstage = backstage
        self._session = loops.sessions.create().id

    def run(self, name: str, *, base_model: str = MODEL, up: bool = True) -> Run:
        """Create a run, and let it come up."""
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

    def looks(self, path: str = "/v1/loops/runs") -> int:
        """Return how often a listing was asked for."""
        return sum(1 for seen in self.backstage.listings() if seen.path == path)

    def pretend(self, kind: str, run: Run, **fields: Any) -> None:
        """Answer listings of runs or deployments with other fields from now on."""
        key = {"runs": run.id, "deployments": run.deployment_id}[kind]

        def edit(listing: Any) -> Any:
            for one in listing[kind]:
                if one["id"] == key:
                    one.update(fields)
            return listing

        self.backstage.edits[f"GET /v1/loops/{kind}"] = edit
