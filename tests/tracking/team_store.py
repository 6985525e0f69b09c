"""The use of a team's store by the process of the tests."""

from __future__ import annotations

from loops_nb.config.postgres_address import PostgresAddress
from loops_nb.tracking import experiment, writers
from loops_nb.tracking.postgres.backend import close_idle
from loops_nb.tracking.postgres.sender import all_senders


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
