"""Runs in the measured kernel: records polls, keeps the kernel busy, measures CPU, and has a naive panel as a peer."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import anywidget
import httpx
import traitlets

from loops_nb.client.transport import Transport

#: When looks began, in epoch milliseconds.
looks: list[float] = []
#: When the naive panel's look began that first saw a run in another state.
first_seen: dict[str, float] = {}
_PATIENCE = 300.0


def record_polls() -> None:
    """Note from now on when the runs are asked for: the moment at which a look begins."""
    send = Transport.send

    def noting(self: Transport, request: Any) -> Any:
        if request.method == "GET" and request.path == "/v1/loops/runs":
            looks.append(time.time() * 1e3)
        return send(self, request)

    Transport.send = noting  # type: ignore[method-assign]


def save(name: str) -> None:
    """Write down what was noted."""
    Path(name).write_text(json.dumps({"looks": looks, "first_seen": first_seen}), encoding="utf-8")


def idle(seconds: float) -> float:
    """Return the CPU seconds that a second of waiting costs this process."""
    cpu, start = time.process_time(), time.monotonic()
    while time.monotonic() < start + seconds:
        time.sleep(0.05)
    return (time.process_time() - cpu) / (time.monotonic() - start)


def cost(times: int, *, idle: float, poller: Any = None) -> dict[str, float]:
    """Return the CPU seconds of a poll, over several polls: of the process, and of the thread that decodes and sends.

    Parameters
    ----------
    times
        How many looks.
    idle
        What the process costs anyway.
    poller
        Whose thread that is; None for the naive panel, all of whose work is on one thread.
    """
    _wait_for(len(looks) + 1)
    first, cpu, start, writer = len(looks), time.process_time(), time.monotonic(), _writers_cpu(poller)
    _wait_for(first + times)
    count, wall = len(looks) - first, time.monotonic() - start
    spent = time.process_time() - cpu - idle * wall
    return {
        "process": spent / count,
        "writer": (_writers_cpu(poller) - writer) / count,
        "looks": count,
        "wall": wall / count,
    }


def _wait_for(count: int) -> None:
    until = time.monotonic() + _PATIENCE
    while len(looks) < count:
        assert time.monotonic() < until, f"after {_PATIENCE:g} s there were {len(looks)} looks"
        time.sleep(0.05)


def _writers_cpu(poller: Any) -> float:
    if poller is None:
        return 0.0
    told = threading.Event()
    found: list[float] = []

    def tell() -> None:
        found.append(time.thread_time())
        told.set()

    poller.post(tell)
    assert told.wait(_PATIENCE), "the poller's thread does not answer"
    return found[0]


PAGE = """
const COLUMNS = [
  "id", "name", "base_model", "status", "sampler_status", "session_id", "deployment_id", "owner", "gpu", "created_at",
];
export default {
  render({ model, el }) {
    el.classList.add("naive-live");
    const draw = () => {
      const table = document.createElement("table");
      const head = table.createTHead().insertRow();
      for (const name of COLUMNS) head.insertCell().textContent = name;
      const body = table.createTBody();
      for (const row of model.get("rows")) {
        const line = body.insertRow();
        line.dataset.id = row.id;
        for (const name of COLUMNS) {
          const cell = line.insertCell();
          cell.dataset.column = name;
          cell.textContent = row[name] ?? "";
        }
      }
      el.replaceChildren(table);
    };
    model.on("change:rows", draw);
    draw();
  },
};
"""


class NaivePanel(anywidget.AnyWidget):
    """A naive panel: a thread that requests each run, a trait with all rows as dicts, and a rebuilt table.

    Parameters
    ----------
    url, key
        The service.
    ids
        The runs; None asks for the listing.
    interval
        Seconds from the start of one look to the start of the next.
    """

    _esm = PAGE
    rows: Any = traitlets.List().tag(sync=True)

    def __init__(self, url: str, key: str, ids: list[str] | None, interval: float) -> None:
        self._client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30)
        self._ids = ids
        self._interval = interval
        super().__init__()
        self.rows = self._look()
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        known = {row["id"]: row["status"] for row in self.rows}
        while True:
            start, began = time.monotonic(), time.time() * 1e3
            looks.append(began)
            rows = self._look()
            for row in rows:
                if row["status"] != known.get(row["id"]):
                    known[row["id"]] = row["status"]
                    first_seen.setdefault(row["id"], began)
            # Traitlets sends nothing when nothing is different.
            self.rows = rows
            time.sleep(max(0.0, start + self._interval - time.monotonic()))

    def _look(self) -> list[dict[str, Any]]:
        if self._ids is None:
            return [_row(run) for run in self._client.get("/v1/loops/runs").json()["runs"]]
        return [_row(self._client.get(f"/v1/loops/runs/{key}").json()["run"]) for key in self._ids]


def _row(run: dict[str, Any]) -> dict[str, Any]:
    sampler = run.get("sampler") or {}
    return {
        "id": run["id"],
        "name": run.get("name"),
        "base_model": run["base_model"],
        "status": (run.get("status") or {}).get("name"),
        "sampler_status": (sampler.get("status") or {}).get("name"),
        "session_id": run.get("session_id"),
        "deployment_id": run.get("deployment_id"),
        "owner": (run.get("user") or {}).get("email"),
        "gpu": (sampler.get("instance_type") or {}).get("gpu_type"),
        "created_at": run["created_at"],
    }
