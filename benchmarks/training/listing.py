"""What training costs those who look on: listings while two runs train, an operation's way over HTTP, and memory.

Runs alone too: ``python -m benchmarks.training.listing``.
"""

from __future__ import annotations

import http.client
import json
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.rounds import Ratio, compare, machine, table
from tests.service import ProcessService

RANK = 16
LISTINGS = 200
STEPS = 20
P95_LIMIT = 0.020
MEMORY_LIMIT = 150e6
_ROW = [number * 7 % 256 for number in range(129)]
_DATUM = {
    "model_input": {"chunks": [{"type": "encoded_text", "tokens": _ROW[:-1]}]},
    "loss_fn_inputs": {"target_tokens": {"data": _ROW[1:], "dtype": "int64", "shape": [128]}},
}
NOTE = """The service with the sample workspace (its runs are listed with their samplers), two clients that train
without a pause (4 x 128 tokens, rank 16), and one that lists without a pause: the 95th percentile of 200 listings a
round, over one connection.  A step is forward_backward and optim_step, submitted and polled over HTTP while nothing
else goes on.  Memory is the most that the trainer's process ever took."""


class Client:
    """Asks over one connection."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

    def ask(self, method: str, path: str, body: Any = None, key: str = "") -> tuple[int, Any]:
        """Return status and JSON of an answer."""
        headers = {"Authorization": "Bearer k", **({"Idempotency-Key": key} if key else {})}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        content = answer.read()
        return answer.status, json.loads(content)

    def do(self, run: str, operation: str, body: Any) -> Any:
        """Do an operation and return its result."""
        status, accepted = self.ask("POST", f"/trainers/{run}/{operation}", body, uuid.uuid4().hex)
        assert status == 202, accepted
        while True:
            status, found = self.ask("GET", f"/trainers/{run}/operations/{accepted['operation_id']}")
            if status == 200:
                assert found["status"] == "done", found
                return found["result"]

    def run(self) -> str:
        """Start a run and return its id."""
        session = self.ask("POST", "/v1/loops/sessions")[1]["session"]["id"]
        body = {
            "session_id": session,
            "base_model": "loops-local/tiny",
            "lora_rank": RANK,
            "scale_down_delay_seconds": 3600,
        }
        run = str(self.ask("POST", "/v1/loops/trainers", body)[1]["run"]["id"])
        self.do(run, "init_trainer_server", {"lora_rank": RANK})
        return run

    def step(self, run: str) -> None:
        """Take a step."""
        self.do(run, "forward_backward", {"data": [_DATUM] * 4})
        self.do(run, "optim_step", {"adam_params": {}})


class Training(threading.Thread):
    """A training client that never pauses."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._client = Client(url)
        self.run_id = self._client.run()
        self.stop = threading.Event()
        self.steps = 0

    def run(self) -> None:
        """Train."""
        while not self.stop.is_set():
            self._client.step(self.run_id)
            self.steps += 1


def run(rounds: int | None = None) -> Iterator[str]:
    """Yield the table."""
    with tempfile.TemporaryDirectory() as folder:
        service = ProcessService(Path(folder), "--sample", "--any-key", "--rate-limit", "0", "--speed", "100")
        try:
            yield table("training: those who look on", NOTE, list(_lines(service.url, rounds or 5)))
        finally:
            service.stop()


def _lines(url: str, rounds: int) -> Iterator[Ratio]:
    client = Client(url)
    alone = client.run()
    steps, idle, busy = [], [], []
    for _ in range(rounds):
        begun = time.perf_counter()
        for _ in range(STEPS):
            client.step(alone)
        steps.append((time.perf_counter() - begun) / STEPS)
        idle.append(_p95(client))
        others = [Training(url) for _ in range(2)]
        for other in others:
            other.start()
        while not all(other.steps for other in others):
            time.sleep(0.01)
        busy.append(_p95(client))
        for other in others:
            other.stop.set()
            other.join()
            client.ask("POST", f"/v1/loops/runs/{other.run_id}/deactivate")
    yield compare("p95 of a listing while two runs train", "20 ms", busy, [P95_LIMIT] * rounds, goal=">= 1")
    yield compare("p95 of a listing while two runs train", "the same, nothing trains", busy, idle)
    yield compare("a step over HTTP", "40 ms", steps, [0.040] * rounds, goal=">= 1")
    if sys.platform == "linux":
        memory = [float(_memory(client, alone))] * 3
        yield compare("memory of a live run", "150 MB", memory, [MEMORY_LIMIT] * 3, goal=">= 1", unit="MB")


def _p95(client: Client) -> float:
    took = []
    for _ in range(LISTINGS):
        begun = time.perf_counter()
        status, found = client.ask("GET", "/v1/loops/runs")
        took.append(time.perf_counter() - begun)
        assert status == 200
        assert found["runs"]
    return statistics.quantiles(took, n=20)[-1]


def _memory(client: Client, run: str) -> int:
    deployment = client.ask("GET", f"/v1/loops/runs/{run}")[1]["run"]["deployment_id"]
    lines = client.ask("GET", f"/v1/loops/deployments/{deployment}/logs")[1]["logs"]
    pid = next(line["message"].split()[2] for line in lines if line["message"].startswith("trainer process"))
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


if __name__ == "__main__":
    print(machine())
    for finished in run():
        print(finished)
