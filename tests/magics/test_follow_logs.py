"""``%loops logs -f`` in a terminal, over a service that restarts meanwhile."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from tests.client.scripted_server import Answer, Received, ScriptedServer
from tests.magics.conftest import Notebook


def test_a_followed_log_goes_on_when_the_service_restarts(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    now = int(time.time() * 1000)
    created = datetime.now(UTC).isoformat()
    lines = [[], ["one"], None, None, ["one", "\x1b[31mtwo\x1b[0m"]]
    readings: list[int] = []

    def script(request: Received) -> Answer:
        if "/logs" not in request.target:
            run = {
                "id": "r1",
                "deployment_id": "d1",
                "status": {"name": "ACTIVE"},
                "created_at": created,
            }
            return Answer({"runs": [run]})
        found = lines[min(len(readings), len(lines) - 1)]
        if found is None:
            return Answer({"code": "UNAVAILABLE", "message": "restarting"}, 503)
        logged = [
            {"timestamp": f"{now + n}000000", "message": text, "replica": None, "level": "INFO"}
            for n, text in enumerate(found)
        ]
        return Answer({"logs": logged[::-1]})

    def pause(_seconds: float) -> None:
        readings.append(1)
        if len(readings) == len(lines):
            raise KeyboardInterrupt

    monkeypatch.setattr("loops_nb.magics.verbs.logs.time", SimpleNamespace(sleep=pause))
    with ScriptedServer(script) as server:
        monkeypatch.setenv("LOOPS_BASE_URL", server.url)
        monkeypatch.setenv("BASETEN_API_KEY", "sentinel-key-0123456789")
        said: Any = notebook.run("%loops logs r1 -f").out
    assert said.count("one") == 1
    assert said.count("UNAVAILABLE") == 1, "once, however long it lasts"
    assert "Still following; Ctrl-C stops." in said
    assert said.index("one") < said.index("Still following") < said.index("answers again") < said.index("INFO    two")
    assert "Stopped following the log of run r1; it goes on." in said
