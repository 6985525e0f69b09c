"""``%loops`` alone: where, as whom, how fresh, what is alive, what to type next."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from loops_nb.config.zones import display_zone
from loops_nb.drawing.wording import many, moment, zone_name
from loops_nb.magics.phrases import NOT_CONNECTED, key_words
from loops_nb.magics.warming import warm_up
from loops_nb.models import SAMPLER_ALIVE

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.loops import Loops
    from loops_nb.magics.desk import Desk


def run(desk: Desk) -> None:
    """Print the state of things.

    Raises
    ------
    LoopsError
        If the service does not answer or refuses the key.
    """
    if desk.connection.target() is None:
        desk.say(NOT_CONNECTED)
        return
    warm_up()
    loops = desk.loops
    runs = loops.runs.frame()
    # The first listing of a session also waits for pandas: only the second one tells how fast the service is.
    started = time.perf_counter()
    samplers = loops.samplers.frame()
    took = time.perf_counter() - started
    desk.knowledge.learn("runs", runs)
    desk.knowledge.learn("samplers", samplers)
    desk.say("\n".join([_where(desk, loops), _how_fresh(desk, took), *_alive(runs, samplers), _next(runs)]))


def _where(desk: Desk, loops: Loops) -> str:
    owners = desk.knowledge.known("owner")
    whom = f"as {owners[0]}, " if len(owners) == 1 else ""
    return f"Connected to {loops.base_url} ({desk.connection.because}), {whom}{key_words(loops)}."


def _how_fresh(desk: Desk, took: float) -> str:
    zone = display_zone(desk.settings.time_zone)
    now = datetime.now(UTC)
    return f"As of {moment(now, zone)} ({zone_name(desk.settings.time_zone, zone, [now])}), answered in {took * 1000:.0f} ms."


def _alive(runs: pd.DataFrame, samplers: pd.DataFrame) -> list[str]:
    active = int((runs["status"].astype(object) == "ACTIVE").sum())
    alive = int(samplers["status"].isin(SAMPLER_ALIVE).sum())
    asleep = int((samplers["status"].astype(object) == "SCALED_TO_ZERO").sum())
    sleeping = f", {asleep:,} scaled to zero" if asleep else ""
    told = f"{many(len(runs), 'run')}, {active:,} active." if len(runs) else "No runs yet."
    return [f"{told} {many(len(samplers), 'sampler')}, {alive:,} alive{sleeping}." if len(samplers) else f"{told} No samplers."]


def _next(runs: pd.DataFrame) -> str:
    if not len(runs):
        return "Next: %loops capabilities, %loops create session, %loops --help"
    newest = runs.sort_values("created_at", ascending=False, na_position="last")["id"].iloc[0]
    return f"Next: %loops runs, %loops watch (a live panel), %loops checkpoints {newest}, %loops --help"
