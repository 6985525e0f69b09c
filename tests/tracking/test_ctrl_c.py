"""Interrupts and signal handlers at any moment: nothing is lost, duplicated or deadlocked."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from loops_nb.tracking import ExperimentStore

STORM = """
import json, signal, sys, time
import loops_nb

is_armed = False
def interrupt(*_):
    global is_armed
    if is_armed:
        is_armed = False
        raise KeyboardInterrupt

signal.signal(signal.SIGINT, interrupt)
exp = loops_nb.experiment("storm")
step = acknowledged = interrupts = 0
logged = []
end = time.monotonic() + 2

def train():
    global is_armed, step, acknowledged
    while time.monotonic() < end:
        for _ in range(300):
            step += 1
            is_armed = True
            exp.log({"loss": float(step), "other": -float(step)}, step=step)
            is_armed = False
            logged.append(step)
        is_armed = True
        is_done = exp.flush()
        is_armed = False
        if is_done:
            acknowledged = len(logged)

print("begun", flush=True)
while time.monotonic() < end:
    try:
        train()
    except KeyboardInterrupt:
        interrupts += 1
signal.signal(signal.SIGINT, signal.SIG_IGN)
with open(sys.argv[1], "w") as file:
    json.dump({"interrupts": interrupts, "sure": logged[:acknowledged], "logged": logged}, file)
"""


def test_interrupts_in_log_and_flush_lose_and_duplicate_nothing(store: ExperimentStore, tmp_path: Path) -> None:
    result_path = tmp_path / "result.json"
    with subprocess.Popen(
        [sys.executable, "-c", STORM, str(result_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        chance = random.Random(7)  # noqa: S311 - moments, not secrets
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            time.sleep(0.01 * chance.random())
    assert process.returncode == 0
    found = json.loads(result_path.read_text())
    assert found["interrupts"] > 10
    assert len(found["sure"]) > 1000
    (row,) = store.experiments()
    for key in ("loss", "other"):
        points = Counter(store.series(row.id, key).step.tolist())
        assert max(points.values()) == 1
        # At a normal end, unacknowledged values are written, too.
        assert points.keys() >= set(found["logged"])


HANDLER = """
import os, signal, sys
import loops_nb
exp = loops_nb.experiment("handled")
count = 0

def end(*_):
    exp.log(last=1.0)
    exp.note("terminated")
    is_done = exp.flush()
    exp.close()
    loops_nb.experiment("begun by the handler").close()
    print(count, is_done, flush=True)
    os._exit(0)

signal.signal(signal.SIGTERM, end)
print("begun", flush=True)
while True:
    exp.log(loss=float(count))
    count += 1
    {more}
"""


@pytest.mark.parametrize(
    "more", ["pass", "exp.flush()", "loops_nb.experiment('x').close()"], ids=["log", "flush", "begin"]
)
def test_a_signal_handler_may_log_flush_and_close(store: ExperimentStore, more: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HANDLER.format(more=more)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.1)
        process.terminate()
        count, is_done = process.communicate(timeout=60)[0].split()
    assert is_done == "True"
    rows = {row.name: row for row in store.experiments()}
    steps = store.series(rows["handled"].id, "loss").step.tolist()
    # The interrupted call may or may not be recorded.
    assert int(count) <= len(steps) <= int(count) + 1
    assert len(set(steps)) == len(steps)
    assert store.series(rows["handled"].id, "last").value.tolist() == [1]
    assert rows["handled"].notes == ("terminated",)
    assert "begun by the handler" in rows
