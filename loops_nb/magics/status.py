"""Output of ``%loops`` alone: connection, user, response time, active runs and samplers, next steps."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loops_nb.api.states import SAMPLER_ALIVE
from loops_nb.config.time_zone import display_zone
from loops_nb.render.formatting import many, moment, zone_name

if TYPE_CHECKING:
    from loops_nb.frames.listing_rows import ListingRows
    from loops_nb.magics.context import MagicContext
    from loops_nb.resources.loops import Loops


_KEY_SOURCES = {
    "BASETEN_API_KEY": "with the key from BASETEN_API_KEY",
    "keyring": "with the key from the system keyring",
    "file": "with the key that %loops login stored",
    "local placeholder": "no key needed",
    "local token": "no key needed",
}
_NOT_CONNECTED = """\
Not connected yet: there is no API key, and no local service is running. Two ways to start:
  %loops local start    a local Loops service on this machine, with sample data: no key, no network
  %loops login          store an API key for the hosted service (the prompt hides what you type)"""


def key_source_text(loops: Loops) -> str:
    """Return where the API key came from, for the end of a sentence; never the key."""
    return _KEY_SOURCES.get(loops.key_source, f"with the key from {loops.key_source}")


def print_status(context: MagicContext) -> None:
    """Print where the shell is connected and what is active.

    Raises
    ------
    LoopsError
        If the service does not answer or refuses the key.
    """
    if context.connection.target() is None:
        context.answer(_NOT_CONNECTED)
        return
    loops = context.loops
    runs = loops.runs.listing()
    # The first listing also waits for the connection, so the second one is timed.
    started = time.perf_counter()
    samplers = loops.samplers.listing()
    took = time.perf_counter() - started
    context.cache.add_listing(runs)
    context.cache.add_listing(samplers)
    lines = [_connection(context, loops), _response_time(context, took), _counts(runs, samplers), _next_steps(runs)]
    context.answer("\n".join(lines))


def _connection(context: MagicContext, loops: Loops) -> str:
    owners = context.cache.known("owner")
    user = ""
    if len(owners) == 1:
        user = f"as {owners[0]}, "
    return f"Connected to {loops.base_url} ({context.connection.because}), {user}{key_source_text(loops)}."


def _response_time(context: MagicContext, took: float) -> str:
    zone = display_zone(context.settings.time_zone)
    now = datetime.now(UTC)
    return (
        f"As of {moment(now, zone)} ({zone_name(context.settings.time_zone, zone, [now])}), answered in "
        f"{took * 1000:.0f} ms."
    )


def _counts(runs: ListingRows, samplers: ListingRows) -> str:
    active = runs.values("status").count("ACTIVE")
    states = samplers.values("status")
    alive = sum(state in SAMPLER_ALIVE for state in states)
    asleep = states.count("SCALED_TO_ZERO")
    runs_text, samplers_text = "No runs yet.", "No samplers."
    if len(runs):
        runs_text = f"{many(len(runs), 'run')}, {active:,} active."
    if len(samplers):
        samplers_text = f"{many(len(samplers), 'sampler')}, {alive:,} alive."
        if asleep:
            samplers_text = f"{many(len(samplers), 'sampler')}, {alive:,} alive, {asleep:,} scaled to zero."
    return f"{runs_text} {samplers_text}"


def _next_steps(runs: ListingRows) -> str:
    if not len(runs):
        return "Next: %loops capabilities, %loops create session, %loops --help"
    # Times of an unusual form are compared as texts.
    created = runs.cells("created_at") or runs.values("created_at")
    _, newest = max(zip(created, runs.values("id"), strict=True), key=lambda run: (run[0] is not None, run[0] or ""))
    return f"Next: %loops runs, %loops watch (updates live), %loops checkpoints {newest}, %loops --help"
