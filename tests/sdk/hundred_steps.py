"""Times a hundred steps of the official SDK from end to end, overhead included: ``python -m tests.sdk --figure``."""

# ruff: noqa: T201 - a command prints

from __future__ import annotations

import os
import statistics
import time

from baseten.loops import ServiceClient

from tests.sdk import loopback_guard
from tests.sdk.conftest import MODEL, SPEED, ending_runs
from tests.sdk.training_data import adam, long_batch
from tests.service import running_service

STEPS = 100
ROUNDS = 3


def main() -> None:
    """Print the seconds of whole runs, of the steps alone, and of a step that waits for itself."""
    loopback_guard.guard()
    batch = long_batch(rows=4, length=128)
    with running_service(speed=SPEED) as service:
        os.environ.update({"LOOPS_BASE_URL": service.url, "BASETEN_API_KEY": service.key})
        for kind, ahead in (("each step waited for", False), ("submitted ahead", True)):
            whole, training = [], []
            for seed in range(ROUNDS):
                # A service has a limit of live trainers.
                with ending_runs(service.url):
                    started = time.perf_counter()
                    client = ServiceClient().create_lora_training_client(MODEL, rank=16, seed=seed)
                    up = time.perf_counter()
                    pending = []
                    for _ in range(STEPS):
                        pending.append((client.forward_backward(batch), client.optim_step(adam(1e-3))))
                        if not ahead:
                            pending[-1][0].result()
                            pending[-1][1].result()
                    losses = [forward.result().loss for forward, _ in pending]
                    pending[-1][1].result()
                    done = time.perf_counter()
                whole.append(done - started)
                training.append(done - up)
                assert losses[-1] < losses[0]
            rows = f"{STEPS} steps of 4 x 128 tokens, rank 16, {MODEL}, {kind}"
            print(
                f"{rows}: median {statistics.median(whole):.2f} s with session and start, "
                f"{statistics.median(training):.2f} s without"
            )


if __name__ == "__main__":
    main()
