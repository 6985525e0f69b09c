"""The SDK's request log: followed, read later, read twice, truncated, with odd lines."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from loops_nb.tracking import ExperimentStore
from loops_nb.tracking.entries import RequestLogChunk
from loops_nb.tracking.request_log import RequestLog, follow, followed, unfollow
from tests.tracking.processes import read_number, running

RUN = "abc1234"
KEY = "a-key-that-must-not-be-kept"

pytestmark = pytest.mark.once


class Script:
    """A request log as a training script writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seq = 0
        self.at = 0

    def write(self, line: object, end: str = "\n") -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write((line if isinstance(line, str) else json.dumps(line)) + end)

    def request(self, method: str, path: str, body: Any = None) -> int:
        self.seq += 1
        headers = {"authorization": f"Api-Key {KEY}", "x-run-id": RUN}
        line = {
            "seq": self.seq,
            "kind": "request",
            "method": method,
            "path": path,
            "url": f"http://x{path}",
            "headers": headers,
            "body": body,
        }
        self.write({**line, "ts": self._time()})
        return self.seq

    def response(self, seq: int, status: int, body: Any) -> None:
        self.write(
            {
                "seq": seq,
                "kind": "response",
                "ts": self._time(),
                "status": status,
                "elapsed_ms": 1,
                "headers": {},
                "body": body,
            }
        )

    def submit(self, call: str, body: Any) -> str:
        operation = f"op-{self.seq}"
        self.response(
            self.request("POST", f"/trainers/{RUN}/{call}", body), 202, {"operation_id": operation, "schema_version": 1}
        )
        return operation

    def result(self, operation: str, result: Any) -> None:
        self.response(
            self.request("GET", f"/trainers/{RUN}/operations/{operation}"), 200, {"status": "done", "result": result}
        )

    def made(self) -> None:
        body = {
            "run": {
                "id": RUN,
                "session_id": "s1",
                "name": "my run",
                "base_model": "Qwen/Qwen3-8B",
                "base_url": "http://x",
            }
        }
        self.response(self.request("POST", "/v1/loops/trainers", {"base_model": "Qwen/Qwen3-8B"}), 200, body)
        self.result(self.submit("init_trainer_server", {"lora_rank": 8, "run_id": RUN}), {"step": 0, "lora_rank": 8})

    def step(self, loss: float) -> None:
        chunks = [{"type": "encoded_text", "tokens": [7] * 5}, {"type": "image", "data": "AAAA", "expected_tokens": 3}]
        forward = self.submit(
            "forward_backward", {"data": [{"model_input": {"chunks": chunks}, "loss_fn_inputs": {}}] * 2, "run_id": RUN}
        )
        optim = self.submit("optim_step", {"adam_params": {"learning_rate": 0.1}, "run_id": RUN})
        self.result(forward, {"loss": loss, "metrics": {"entropy": 0.5}, "loss_fn_outputs": []})
        self.result(optim, {"metrics": {"grad_norm": 2.0}})

    def _time(self) -> str:
        self.at += 10
        return f"2026-11-21T10:00:{self.at // 1000:02}.{self.at % 1000:03}Z"


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return Script(tmp_path / "loops.jsonl")


def losses(store: ExperimentStore) -> list[tuple[int, float, float]]:
    (row,) = store.experiments()
    series = store.series(row.id, "loss")
    return list(zip(series.step.tolist(), series.value.tolist(), series.tokens.tolist(), strict=True))


def test_finished_log_is_recorded_with_its_own_times(script: Script, store: ExperimentStore) -> None:
    script.made()
    script.step(3.0)
    script.step(2.0)
    script.result(
        script.submit("save_state", {"name": "step-2", "run_id": RUN}), {"path": f"bt://loops:{RUN}/weights/step-2"}
    )
    script.response(
        script.request("POST", "/samplers/s/sample", {"prompt": [1]}),
        200,
        {"choices": [{"text": "x", "token_ids": [1, 2]}, {"text": "y"}]},
    )
    log = RequestLog(script.path)
    assert log.read() > 0
    log.flush()
    assert log.odd_lines == 0
    assert losses(store) == [(1, 3.0, 16), (2, 2.0, 32)]
    (row,) = store.experiments()
    assert (row.name, row.run_id, row.session_id, row.params) == (
        "my run",
        RUN,
        "s1",
        {"base_model": "Qwen/Qwen3-8B", "lora_rank": 8},
    )
    at = {key.key: store.series(row.id, key.key) for key in store.keys(row.id)}
    assert at["tokens"].value.tolist() == [16, 16]
    assert at["sample/sequences"].value.tolist() == [2]
    assert at["sample/tokens"].value.tolist() == [2]
    assert at["forward_backward_seconds"].value.tolist() == pytest.approx([0.05, 0.05], abs=1e-4)
    assert row.created_at < int(at["loss"].at[0]) < row.last_at < 1795255201000
    assert [(mark.text, mark.step, mark.target) for mark in store.marks(row.id)] == [("step-2", 2, "trainer")]


def test_log_read_again_is_not_recorded_twice(script: Script, store: ExperimentStore) -> None:
    script.made()
    script.step(3.0)
    for loss in (2.0, 1.0):
        log = RequestLog(script.path)
        log.read()
        log.read()
        log.flush()
        script.step(loss)
    moved = script.path.rename(script.path.with_name("moved.jsonl"))
    log = RequestLog(moved)
    log.read()
    log.flush()
    assert losses(store) == [(1, 3.0, 16), (2, 2.0, 32), (3, 1.0, 48)]
    (row,) = store.experiments()
    assert store.series(row.id, "loss").attempt.tolist() == [1, 1, 1]


def test_lines_read_by_two_are_written_by_the_first(script: Script, store: ExperimentStore) -> None:
    script.made()
    script.step(3.0)
    first, second = RequestLog(script.path), RequestLog(script.path)
    first.read()
    script.step(2.0)
    script.result(script.submit("save_state", {"name": "a", "run_id": RUN}), {"path": f"bt://loops:{RUN}/weights/a"})
    # Two readers, one further than the other.
    second.read()
    assert first.flush()
    first.read()
    script.step(1.0)
    second.read()
    assert second.flush()
    assert losses(store) == [(1, 3.0, 16), (2, 2.0, 32), (3, 1.0, 48)]
    (row,) = store.experiments()
    assert [mark.text for mark in store.marks(row.id)] == ["a"]
    assert {key.count for key in store.keys(row.id)} == {1, 3}


def test_lines_and_their_offset_are_written_atomically(
    script: Script, store: ExperimentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    script.made()
    for loss in (3.0, 2.0):
        script.step(loss)
    lost = RequestLog(script.path)
    writer = lost._writer
    given: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(writer, "add", given.append)
        lost.read()
    # The lines of one read are one entry, so a kill at any moment leaves all or none.
    assert [type(entry) for entry in given] == [RequestLogChunk]
    again = RequestLog(script.path)
    again.read()
    writer.add(given[0])
    again.flush()
    assert losses(store) == [(1, 3.0, 16), (2, 2.0, 32)]


def test_two_killed_followers_record_each_step_once(script: Script, store: ExperimentStore) -> None:
    script.made()
    script.step(0.0)
    steps = 1
    with ExitStack() as stack:
        both = [stack.enter_context(running("following_process", str(script.path))) for _ in range(2)]
        for process in both:
            while not read_number(process):
                pass
        for number in range(12):
            for _ in range(10):
                script.step(float(steps))
                steps += 1
            if number % 5 == 3:
                killed = both.pop(0)
                os.kill(killed.pid, signal.SIGKILL)
                both.append(stack.enter_context(running("following_process", str(script.path))))
            until = script.path.stat().st_size
            # The older follower, so that the new one starts while the log grows.
            while read_number(both[0]) < until:
                pass
        for process in both:
            while read_number(process) < until:
                pass
    assert [(step, value) for step, value, _ in losses(store)] == [(step + 1, float(step)) for step in range(steps)]
    (row,) = store.experiments()
    assert {key.key: key.count for key in store.keys(row.id)}["grad_norm"] == steps
    assert set(store.series(row.id, "loss").attempt.tolist()) == {1}


def test_operation_that_ends_between_two_reads_is_recorded(script: Script, store: ExperimentStore) -> None:
    script.made()
    operation = script.submit("forward_backward", {"data": [], "run_id": RUN})
    save = script.submit("save_state", {"name": "a", "run_id": RUN})
    first = RequestLog(script.path)
    first.read()
    first.flush()
    del first
    script.result(operation, {"loss": 4.0})
    script.result(save, {"path": f"bt://loops:{RUN}/weights/a"})
    second = RequestLog(script.path)
    second.read()
    second.flush()
    assert losses(store) == [(1, 4.0, 0)]
    assert [mark.text for mark in store.marks(store.experiments()[0].id)] == ["a"]


def test_odd_lines_are_counted_and_skipped(script: Script, store: ExperimentStore) -> None:
    script.made()
    script.write("not json")
    script.write('{"seq": 1}')
    script.write(
        {"seq": 99, "kind": "request", "ts": "yesterday", "method": "POST", "path": "/x", "headers": {}, "body": None}
    )
    script.write(
        '{"kind": "response", "ts": "2026-11-21T10:00:00Z", "seq": 5000, "status": 200, "headers": {}, "body": 3}'
    )
    script.result("unknown", {"loss": 1.0})
    script.response(
        script.request("POST", f"/trainers/{RUN}/forward_backward", {"data": "no list"}), 202, {"operation_id": "x"}
    )
    script.response(
        script.request("POST", f"/trainers/{RUN}/optim_step", {"adam_params": {"learning_rate": 1.0}}),
        422,
        {"error": "no"},
    )
    script.step(2.0)
    script.write('{"seq": 100, "kind": "requ', end="")
    log = RequestLog(script.path)
    log.read()
    log.flush()
    assert log.odd_lines == 4
    assert losses(store) == [(1, 2.0, 16)]


def test_neither_training_data_nor_key_is_in_the_file(script: Script, store: ExperimentStore) -> None:
    script.made()
    script.step(2.0)
    log = RequestLog(script.path)
    log.read()
    log.flush()
    store.close()
    for file in store.path.parent.iterdir():
        assert KEY.encode() not in file.read_bytes()
        assert b"encoded_text" not in file.read_bytes()


def test_follower_reads_a_log_created_later(script: Script, store: ExperimentStore) -> None:
    follower = follow(RequestLog(script.path))
    try:
        assert followed() == [follower]
        script.made()
        script.step(3.0)
        until = time.monotonic() + 30
        while not store.experiments() or len(losses(store)) < 1:
            assert time.monotonic() < until
            time.sleep(0.05)
        assert follower.is_alive
    finally:
        assert unfollow(script.path)
    assert not unfollow(script.path)
    assert followed() == []
