"""What a person waits for, beyond the network."""

from __future__ import annotations

import time

from tests.magics.conftest import Notebook

ROUNDS = 15
#: The promise is 5 ms on an idle machine; this one runs other tests at the same time.
BUDGET = 0.010


def test_a_second_listing_costs_little_beyond_the_network(live: Notebook) -> None:
    live.run("%loops runs")
    spent = []
    for _ in range(ROUNDS):
        # What this thread computes: waiting for the service, or for a busy machine, is not ours.
        started = time.thread_time()
        frame = live.shell.run_line_magic("loops", "runs")
        shown, _ = live.shell.display_formatter.format(frame)
        spent.append(time.thread_time() - started)
        assert "text/html" in shown
    assert min(spent) <= BUDGET, spent
