"""A page as the kernel sees it: puts together what it is sent, as ``js/src/curves/session.ts`` does."""

from __future__ import annotations

import base64
import json
import threading
from typing import Any

import numpy as np

from loops_nb.panels.curves.controller import CurvesController
from loops_nb.panels.curves.messages import ChartSpec
from loops_nb.panels.visibility import Visibility
from tests.panels.curves.memory_store import MemoryStore

PATIENCE = 20.0


def size(message: Any) -> int:
    """Return the bytes of a message's content on its way."""
    return len(json.dumps(message, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode())


def floats(text: str, *, wide: bool = False) -> list[float]:
    """Return the numbers of a packed text, of 32 bits each or of 64."""
    return [float(value) for value in np.frombuffer(base64.b64decode(text), "<f8" if wide else "<f4")]


class Page:
    """One view of one panel."""

    def __init__(
        self, store: MemoryStore, wanted: list[str] | None = None, *, spec: ChartSpec | None = None, seen: bool = True
    ) -> None:
        self.sent: list[dict[str, Any]] = []
        self.chart: dict[str, Any] | None = None
        self.lines: dict[int, dict[str, list[float]]] = {}
        self.seq = -1
        self.lost = 0
        self._came = threading.Condition()
        self.seen = seen
        # Seen while a cell "runs", or never.
        visibility = Visibility(lambda: 0.0, lambda: None if self.seen else float("-inf"))
        if not seen:
            visibility.gone("closed view")
        self.controller = CurvesController(
            store, wanted, self._take, visibility, title="Curves", line="%loops curves", spec=spec or ChartSpec()
        )
        self.controller.start()

    def plot(self, spec: ChartSpec | None = None, view: str = "v", **how: Any) -> None:
        """ChartSpec at something, and wait for its picture."""
        asked = {"key": "", "axis": "step", "smoothing": 0.0, "low": None, "high": None, "columns": 600} | how
        before = len(self.of("chart"))
        self.controller.receive({"type": "set_chart", "view": view, "spec": asked})
        self.wait(lambda: len(self.of("chart")) > before)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the messages of a kind."""
        return [message for message in list(self.sent) if message["type"] == kind]

    def wait(self, condition: Any) -> None:
        """Wait until a condition is met; it is looked at whenever a message came."""
        with self._came:
            assert self._came.wait_for(condition, timeout=PATIENCE), "waited in vain"

    def close(self) -> None:
        """Close the panel."""
        self.controller.close("closed")

    def _take(self, message: dict[str, Any]) -> None:
        with self._came:
            self.sent.append(message)
            if message["type"] == "chart":
                self._whole(message)
            elif message["type"] == "append" and message["stream"] == "v":
                self._append(message)
            self._came.notify_all()

    def _whole(self, message: dict[str, Any]) -> None:
        self.chart, self.seq = message["chart"], message["seq"]
        origin = self.chart["origin"] if self.chart else 0.0
        self.lines = {
            line["run"]: {
                "x": [origin + x for x in floats(line.get("x", ""))],
                "y": floats(line.get("y", ""), wide=line.get("wide", False)),
            }
            for line in (self.chart["lines"] if self.chart else [])
        }

    def _append(self, message: dict[str, Any]) -> None:
        if message["base"] != self.seq or self.chart is None:
            self.lost += 1
            return
        self.seq = message["seq"]
        for line in message["lines"]:
            known = self.lines[line["run"]]
            end = slice(line.get("keep", len(known["x"])), None)
            known["x"][end] = [self.chart["origin"] + x for x in floats(line.get("x", ""))]
            known["y"][end] = floats(line.get("y", ""), wide=line.get("wide", False))
