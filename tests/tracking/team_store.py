"""The use of a team's store by the process of the tests."""

from __future__ import annotations

import time

from loops_nb.config.postgres_address import PostgresAddress
from loops_nb.tracking import ExperimentStore, experiment, store_path, writers
from loops_nb.tracking.outbox import waiting_values
from loops_nb.tracking.postgres.backend import close_idle
from loops_nb.tracking.postgres.sender import all_senders
from loops_nb.tracking.schema import open_store

_PATIENCE = 30.0


def wait_until_sent(store: ExperimentStore) -> None:
    """Wait until nothing that ended processes have left on this machine waits for a team's store."""
    if not store.is_shared:
        return
    store.experiments()
    until = time.monotonic() + _PATIENCE
    while True:
        file = open_store(store_path())
        left = waiting_values(file)
        file.close()
        if not left:
            return
        assert time.monotonic() < until, f"these wait in vain: {left}"
        time.sleep(0.02)


def end_use(address: str) -> None:
    """End the threads and connections of this process for a store, whose server may end before this process does."""
    team = PostgresAddress.parse(address)
    for key, writer in list(writers._writers.items()):
        if writer.location == team:
            writer.close()
            del writers._writers[key]
    for token, (of, _) in list(experiment._sessions.items()):
        if of.location == team:
            del experiment._sessions[token]
    for sender in all_senders():
        if sender.address == team:
            sender.stop()
    close_idle()
