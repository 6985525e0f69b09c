"""The writers of this process, one a file and one a team's store."""

from __future__ import annotations

from pathlib import Path

from loops_nb.config.postgres_address import PostgresAddress
from loops_nb.errors import TrackingError
from loops_nb.tracking import process_end
from loops_nb.tracking.location import Location, store_path
from loops_nb.tracking.writer import HEALTHY_SECONDS, READ_SECONDS, WriterThread

_writers: dict[str, WriterThread] = {}


def writer_for(location: Location) -> WriterThread:
    """Return the writer of this process for a file or a team's store.

    Raises
    ------
    TrackingError
        If it is a team's store, and there is no folder for what waits to be sent.
    """
    key = _key(location)
    found = _writers.get(key)
    # One step without a lock, because a signal handler may call this too.
    return _writers.setdefault(key, _made(location)) if found is None else found


def all_writers() -> list[WriterThread]:
    """Return the writers of this process."""
    return list(_writers.values())


def flush(location: Location) -> bool:
    """Write what this process has logged to a store, and return whether it is safe."""
    found = _writers.get(_key(location))
    return found is None or found.flush()


def try_flush(location: Location, *, held_up_seconds: float = READ_SECONDS) -> int:
    """Write what this process has logged to a store, and return how many values are not there yet."""
    found = _writers.get(_key(location))
    if found is None:
        _send_left(location)
        return 0
    return found.try_flush(held_up_seconds=held_up_seconds)


def trouble(location: Location) -> str:
    """Return why this process cannot write to a store at the moment; empty if it can."""
    found = _writers.get(_key(location))
    return "" if found is None else found.trouble or found.delay


def _key(location: Location) -> str:
    if isinstance(location, Path):
        return str(location.absolute())
    try:
        return f"{location} {store_path()}"
    except TrackingError:
        return str(location)


def _made(location: Location) -> WriterThread:
    if isinstance(location, Path):
        return WriterThread(location.absolute())
    from loops_nb.tracking.postgres.team_writer import TeamWriter  # only where the address says so

    return TeamWriter(location)


def _send_left(location: Location) -> None:
    """Begin to send what processes that have ended left on this machine for a team's store."""
    if not isinstance(location, PostgresAddress):
        return
    try:
        path = store_path()
    except TrackingError:
        return
    if path.exists():
        from loops_nb.tracking.postgres.sender import sender_for  # only where the address says so

        sender_for(location, path).start()


def _close_all() -> None:
    for writer in all_writers():
        writer.close()


def _flush_all() -> None:
    for writer in all_writers():
        writer.save(held_up_seconds=HEALTHY_SECONDS)


process_end.call_at_end(close=_close_all, flush=_flush_all)
