"""Trains with the official SDK, tracked and not; runs in the SDK's environment.

``python -m benchmarks.tracking.sdk_worker STEPS ROUNDS``

It prints JSON: by round, the seconds of a step of either kind, and those that were spent on recording while the tracked
ones ran.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from baseten.loops import ServiceClient

import loops_nb
from benchmarks.rounds import take_turns
from loops_nb.tracking import store_path
from loops_nb.tracking.writers import writer_for
from tests.sdk import loopback_guard
from tests.sdk.training_data import adam, long_batch

MODEL, RANK = "loops-local/tiny", 16
WARM = 5


class Spent:
    """Seconds that passed, and seconds that the calling thread worked, inside some functions."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def inside(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with its time taken."""

        @functools.wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                self.wall += time.perf_counter() - wall
                self.cpu += time.thread_time() - cpu

        return timed


class Loop:
    """A loop of the SDK whose calls are timed, those of the SDK itself apart.

    Parameters
    ----------
    client
        What trains, tracked or not.
    sdk
        Takes the time of the SDK's own calls.
    """

    def __init__(self, client: Any, sdk: Spent) -> None:
        self.client = client
        self._sdk = sdk
        self._batch = long_batch(rows=4, length=128)
        #: Seconds of a step that did not pass in the SDK, by round.
        self.wall: list[float] = []
        self.cpu: list[float] = []

    def run(self, steps: int) -> float:
        """Train, and return the seconds of a step."""
        around, rate = Spent(), adam(1e-3)
        # The wrapper is at work already when a method is looked up.
        forward = around.inside(lambda: self.client.forward_backward(self._batch))
        optim = around.inside(lambda: self.client.optim_step(rate))
        result = around.inside(lambda future: future.result())
        self._sdk.wall = self._sdk.cpu = 0.0
        began = time.perf_counter()
        for _ in range(steps):
            for pending in (forward(), optim()):
                result(pending)
        passed = time.perf_counter() - began
        self.wall.append((around.wall - self._sdk.wall) / steps)
        self.cpu.append((around.cpu - self._sdk.cpu) / steps)
        return passed / steps


def main() -> None:
    """Print the figures."""
    steps, rounds = int(sys.argv[1]), int(sys.argv[2])
    loopback_guard.guard()
    service, sdk = ServiceClient(), Spent()
    clients = [service.create_lora_training_client(MODEL, rank=RANK, seed=1) for _ in range(2)]
    began = time.perf_counter()
    tracked = loops_nb.track(clients[1], experiment="measured")
    once = time.perf_counter() - began
    # What passes in a tracked call and not in the SDK's own one beneath it is the wrapper, and what these clocks
    # themselves take.
    for client in clients:
        for name in ("forward_backward", "optim_step"):
            setattr(client, name, sdk.inside(getattr(client, name)))
    future = type(clients[0].optim_step(adam(0.0)))
    future.result = sdk.inside(future.result)
    without, with_ = Loop(clients[0], sdk), Loop(tracked, sdk)
    written = _Written()

    def plain() -> float:
        return without.run(steps)

    def recorded() -> float:
        passed = with_.run(steps)
        written.end_round(steps)
        return passed

    take_turns({"plain": lambda: without.run(WARM), "tracked": lambda: with_.run(WARM)}, 1)
    written.end_round(WARM)
    turns = take_turns({"plain": plain, "tracked": recorded}, rounds)
    points = loops_nb.Loops("none", "http://127.0.0.1:1").metrics.frame("measured")
    # Every step was recorded: what is not done costs nothing.
    assert (points["key"] == "loss").sum() == WARM + steps * rounds
    for client in clients:
        client.close()
    figures: dict[str, list[float]] = {**turns, "once": [once], "keys": [points["key"].nunique()]}
    for which in ("wall", "cpu"):
        clocks = getattr(without, which)
        figures[f"wrapper, {which}"] = [
            whole - spent for whole, spent in zip(getattr(with_, which), clocks, strict=True)
        ][1:]
        figures[f"writer, {which}"] = getattr(written, which)[1:]
    print("FIGURES", json.dumps(figures), flush=True)


class _Written:
    """Seconds a step in which what was recorded is written, by round."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu: list[float] = []
        self._spent = Spent()
        self._writer = writer_for(store_path())
        # Only the work of the writer thread, not that of callers that wait for it.
        self._writer._write = self._spent.inside(self._writer._write)  # type: ignore[method-assign]  # noqa: SLF001

    def end_round(self, steps: int) -> None:
        """Write what waits, and take the time of all that was written since."""
        self._writer.flush()
        self.wall.append(self._spent.wall / steps)
        self.cpu.append(self._spent.cpu / steps)
        self._spent.wall = self._spent.cpu = 0.0


if __name__ == "__main__":
    main()
