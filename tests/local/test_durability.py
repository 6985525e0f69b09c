"""What was answered with 200 is there after SIGKILL at any moment."""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.local.responses import MODEL, good
from tests.service import ProcessService

pytestmark = pytest.mark.once

ROUNDS = 6
WRITERS = 4


class Writer(threading.Thread):
    """Creates and deactivates as fast as it can and remembers what was answered."""

    def __init__(self, service: ProcessService) -> None:
        super().__init__(daemon=True)
        self._url, self._headers = service.url, service.headers
        self.sessions: list[str] = []
        self.runs: list[dict[str, Any]] = []
        self.samplers: list[str] = []
        self.ended: list[str] = []

    def run(self) -> None:
        try:
            with httpx.Client(base_url=self._url, headers=self._headers, timeout=10) as client:
                while True:
                    self.write(client)
        except httpx.TransportError:
            return  # the service was killed

    def write(self, client: httpx.Client) -> None:
        session = good(client.post("/v1/loops/sessions"))["session"]["id"]
        self.sessions.append(session)
        run = good(
            client.post(
                "/v1/loops/runs", json={"session_id": session, "base_model": MODEL, "name": f"n{len(self.runs)}"}
            )
        )["run"]
        self.runs.append(run)
        self.samplers.append(
            good(client.post("/v1/loops/samplers", json={"session_id": session, "base_model": MODEL}))["sampler"]["id"]
        )
        good(client.post(f"/v1/loops/runs/{run['id']}/deactivate"))
        self.ended.append(run["id"])


def test_every_answer_survives_every_kill(tmp_path: Path) -> None:
    source = random.Random(11)  # noqa: S311 - the same moments each time
    options = ("--rate-limit", "0", "--speed", "1")
    service = ProcessService(tmp_path / "data", *options)
    sessions: set[str] = set()
    samplers: set[str] = set()
    runs: dict[str, dict[str, Any]] = {}
    ended: set[str] = set()
    try:
        for _ in range(ROUNDS):
            writers = [Writer(service) for _ in range(WRITERS)]
            for writer in writers:
                writer.start()
            # Any moment will do, once writing is under way.
            while not all(writer.sessions for writer in writers):
                time.sleep(0.001)
            time.sleep(source.uniform(0, 0.3))
            service.kill()
            for writer in writers:
                writer.join(20)
                assert not writer.is_alive()
                sessions.update(writer.sessions)
                samplers.update(writer.samplers)
                runs.update({run["id"]: run for run in writer.runs})
                ended.update(writer.ended)
            service.start()
        with httpx.Client(base_url=service.url, headers=service.headers, timeout=30) as client:
            for session in sessions:
                good(client.get(f"/v1/loops/sessions/{session}"))
            kept = {run["id"]: run for run in good(client.get("/v1/loops/runs"))["runs"]}
            assert set(runs) <= set(kept)
            for key, run in runs.items():
                assert kept[key]["created_at"] == run["created_at"]
                assert kept[key]["name"] == run["name"]
                assert kept[key]["sampler"]["id"] == run["sampler"]["id"]
            assert all(kept[key]["status"]["name"] == "INACTIVE" for key in ended)
            assert samplers <= {sampler["id"] for sampler in good(client.get("/v1/loops/samplers"))["samplers"]}
            hosted = {deployment["id"] for deployment in good(client.get("/v1/loops/deployments"))["deployments"]}
            # Nothing is half there: each run has its deployment and its sampler, whether its answer arrived or not.
            assert all(run["deployment_id"] in hosted and run["sampler"] for run in kept.values())
        assert len(sessions) >= ROUNDS * WRITERS
    finally:
        service.kill()
    with sqlite3.connect(tmp_path / "data" / "records.sqlite3") as records:
        assert records.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    records.close()
    counts = (ROUNDS, len(sessions), len(runs), len(samplers), len(ended))
    logging.getLogger(__name__).info("%d kills; %d sessions, %d runs, %d samplers, %d endings: all there", *counts)


def test_states_continue_after_a_kill(tmp_path: Path) -> None:
    service = ProcessService(tmp_path / "data", "--speed", "0.001")
    try:
        session = good(httpx.post(service.url + "/v1/loops/sessions", headers=service.headers))["session"]["id"]
        body = {"session_id": session, "base_model": MODEL}
        run = good(httpx.post(service.url + "/v1/loops/runs", headers=service.headers, json=body))["run"]
        service.kill()
        service.start()
        after = good(httpx.get(service.url + f"/v1/loops/runs/{run['id']}", headers=service.headers))["run"]
        drop = ("base_url",)
        assert {k: v for k, v in after.items() if k not in drop and k != "sampler"} == {
            k: v for k, v in run.items() if k not in drop and k != "sampler"
        }
        assert after["sampler"]["status"] == run["sampler"]["status"] == {"name": "BUILDING"}
    finally:
        service.kill()
