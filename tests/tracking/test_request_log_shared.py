"""Request logs of several scripts, and logs that are replaced, rotated and truncated."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from loops_nb.tracking import ExperimentStore
from loops_nb.tracking.request_log import RequestLog

pytestmark = pytest.mark.once
BEGIN = datetime(2026, 5, 4, 10, tzinfo=UTC)


class Script:
    """The lines of one script that trains one run."""

    def __init__(self, run: str, *, at_ms: int = 0, ops: str = "") -> None:
        self.run, self.at, self.seq = run, at_ms, 0
        self.ops = ops or run
        self.lines: list[tuple[int, str]] = []

    def put(self, ms: int, **line: Any) -> None:
        self.at += ms
        ts = (BEGIN + timedelta(milliseconds=self.at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.lines.append((self.at, json.dumps(line | {"ts": ts}) + "\n"))

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> int:
        self.seq += 1
        headers = {"x-run-id": self.run, **headers}
        self.put(
            7, seq=self.seq, kind="request", method=method, path=path, url=f"http://x{path}", headers=headers, body=body
        )
        return self.seq

    def response(self, seq: int, status: int, body: Any, ms: int = 20) -> None:
        self.put(ms, seq=seq, kind="response", status=status, elapsed_ms=ms, headers={}, body=body)

    def submit(self, call: str, body: Any, **headers: str) -> str:
        operation = f"op-{self.ops}-{self.seq}"
        seq = self.request("POST", f"/trainers/{self.run}/{call}", body, **headers)
        self.response(seq, 202, {"operation_id": operation})
        return operation

    def result(self, operation: str, result: Any, ms: int = 20) -> None:
        seq = self.request("GET", f"/trainers/{self.run}/operations/{operation}")
        self.response(seq, 200, {"status": "done", "result": result}, ms)

    def begin(self) -> Script:
        seq = self.request("POST", "/v1/loops/trainers", {"base_model": "m", "lora_rank": 16, "max_seq_len": 4096})
        self.response(seq, 200, {"run": {"id": self.run, "session_id": "s", "name": self.run, "base_model": "m"}}, 30)
        self.result(
            self.submit("init_trainer_server", {"lora_rank": 16, "run_id": self.run}), {"step": 0, "lora_rank": 16}
        )
        return self

    def train(self, *losses: float) -> Script:
        batch = {"model_input": {"chunks": [{"type": "encoded_text", "tokens": [1, 2]}]}, "loss_fn_inputs": {}}
        for loss in losses:
            forward = self.submit("forward_backward", {"data": [batch], "run_id": self.run})
            step = self.submit("optim_step", {"adam_params": {"learning_rate": 0.1}, "run_id": self.run})
            self.result(forward, {"loss": loss, "metrics": {}}, 20 + self.seq % 5)
            self.result(step, {"metrics": {}})
        return self

    def text(self, start: int = 0, end: int | None = None) -> str:
        return "".join(line for _, line in self.lines[start:end])


def recorded(run: str) -> list[tuple[int, float]]:
    """Return the losses of a run with their steps, over its experiments, oldest first."""
    store = ExperimentStore()
    found = []
    for row in reversed(store.experiments()):
        if row.run_id == run:
            series = store.series(row.id, "loss")
            found += list(zip(series.step.tolist(), series.value.tolist(), strict=True))
    store.close()
    return found


def numbered(*losses: float) -> list[tuple[int, float]]:
    return list(enumerate(losses, 1))


def read(log: RequestLog) -> None:
    log.read()
    assert log.flush()
    assert log.odd_lines == 0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "loops.jsonl"


def test_parameters_of_the_run_are_kept(path: Path, store: ExperimentStore) -> None:
    path.write_text(Script("runa").begin().train(1.0).text())
    read(RequestLog(path))
    assert store.experiments()[0].params == {"base_model": "m", "lora_rank": 16, "max_seq_len": 4096}
    # The parameters of a run created elsewhere are in the first call to its trainer.
    other = Script("runb")
    other.result(
        other.submit("init_trainer_server", {"lora_rank": 4, "max_seq_len": 512, "run_id": "runb"}), {"step": 0}
    )
    path.with_name("b.jsonl").write_text(other.train(1.0).text())
    read(RequestLog(path.with_name("b.jsonl")))
    params = {row.run_id: row.params for row in store.experiments()}
    assert params["runb"] == {"lora_rank": 4, "max_seq_len": 512}


@pytest.mark.parametrize("apart_ms", [4, 5, 9, 25, 61, 3_600_000])
@pytest.mark.parametrize("ops", ["", "same"])
def test_two_scripts_in_one_log_keep_all_losses(apart_ms: int, ops: str, path: Path) -> None:
    first, second = [float(n) for n in range(12)], [100.0 + n for n in range(12)]
    scripts = (
        Script("runa", ops=ops).begin().train(*first),
        Script("runb", at_ms=apart_ms, ops=ops).begin().train(*second),
    )
    together = sorted(line for script in scripts for line in script.lines)
    path.write_text("".join(text for _, text in together))
    log = RequestLog(path)
    read(log)
    assert (recorded("runa"), recorded("runb"), log.unclear) == (numbered(*first), numbered(*second), 0)


def test_alternating_lines_are_matched_by_time(path: Path) -> None:
    scripts = Script("runa").begin().train(3.0, 2.0), Script("runb", at_ms=3_600_000).begin().train(30.0, 20.0)
    path.write_text(
        "".join(f"{a[1] if a else ''}{b[1] if b else ''}" for a, b in zip_longest(scripts[0].lines, scripts[1].lines))
    )
    log = RequestLog(path)
    read(log)
    assert (recorded("runa"), recorded("runb"), log.unclear) == (numbered(3.0, 2.0), numbered(30.0, 20.0), 0)


def test_ambiguous_responses_are_skipped_and_counted(path: Path) -> None:
    scripts = Script("runa").begin().train(3.0, 2.0), Script("runb").begin().train(30.0, 20.0)
    path.write_text("".join(a[1] + b[1] for a, b in zip(scripts[0].lines, scripts[1].lines, strict=True)))
    log = RequestLog(path)
    read(log)
    assert log.unclear
    assert set(recorded("runa")) <= set(numbered(3.0, 2.0))
    assert set(recorded("runb")) <= set(numbered(30.0, 20.0))


def test_successive_scripts_in_one_log_are_separate(path: Path) -> None:
    crashed = Script("runa").begin().train(3.0)
    crashed.request("POST", "/trainers/runa/optim_step", {"adam_params": {}, "run_id": "runa"})
    path.write_text(crashed.text() + Script("runb", at_ms=60_000).begin().train(*range(5)).text())
    log = RequestLog(path)
    read(log)
    assert (recorded("runa"), recorded("runb"), log.unclear) == (numbered(3.0), numbered(*range(5)), 0)


def test_retried_request_counts_once(path: Path) -> None:
    script = Script("runa").begin()
    body = {"adam_params": {"learning_rate": 0.1}, "run_id": "runa"}
    script.request("POST", "/trainers/runa/optim_step", body, **{"idempotency-key": "k1"})
    script.result(script.submit("optim_step", body, **{"idempotency-key": "k1"}), {"metrics": {}})
    path.write_text(script.train(5.0).text())
    read(RequestLog(path))
    assert recorded("runa") == [(2, 5.0)]


def replaced(path: Path, text: str) -> None:
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


def recreated(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


def overwritten(path: Path, text: str) -> None:
    path.write_text(text)


def rotated(path: Path, text: str) -> None:
    path.rename(path.with_suffix(".1"))
    path.write_text(text)


@pytest.mark.parametrize("change", [replaced, recreated, overwritten, rotated])
@pytest.mark.parametrize("losses", [1, 2, 6])
@pytest.mark.parametrize("begins_alike", [False, True])
def test_replaced_log_loses_nothing(
    change: Callable[[Path, str], None],
    losses: int,
    begins_alike: bool,
    path: Path,
) -> None:
    before = Script("runa").begin().train(3.0, 2.0)
    after = Script("runb").begin().train(*range(100, 100 + losses))
    text = before.text(end=1) + after.text(start=1) if begins_alike else after.text()
    path.write_text(before.text())
    log = RequestLog(path)
    read(log)
    change(path, text)
    read(log)
    assert (recorded("runa"), recorded("runb")) == (numbered(3.0, 2.0), numbered(*range(100, 100 + losses)))
    # Another read, by this reader or a new one, records nothing twice.
    read(log)
    read(RequestLog(path))
    assert (recorded("runa"), recorded("runb")) == (numbered(3.0, 2.0), numbered(*range(100, 100 + losses)))


@pytest.mark.parametrize("losses", [1, 2, 6])
@pytest.mark.parametrize("begins_alike", [False, True])
def test_log_replaced_while_not_followed_loses_nothing(
    losses: int,
    begins_alike: bool,
    path: Path,
) -> None:
    before = Script("runa").begin().train(3.0, 2.0)
    after = Script("runb").begin().train(*range(100, 100 + losses))
    path.write_text(before.text())
    read(RequestLog(path))
    path.write_text(before.text(end=1) + after.text(start=1) if begins_alike else after.text())
    read(RequestLog(path))
    assert (recorded("runa"), recorded("runb")) == (numbered(3.0, 2.0), numbered(*range(100, 100 + losses)))


def test_rotated_log_is_read_to_its_end(path: Path) -> None:
    before = Script("runa").begin().train(3.0, 2.0, 1.0)
    half = len(before.lines) - 9
    path.write_text(before.text(end=half))
    log = RequestLog(path)
    read(log)
    with path.open("a") as script:
        script.write(before.text(half, half + 4))
        path.rename(path.with_suffix(".1"))
        path.write_text(Script("runb").begin().train(9.0).text())
        script.flush()
        read(log)
        # The script still writes to the renamed file.
        script.write(before.text(half + 4))
    read(log)
    assert (recorded("runa"), recorded("runb")) == (numbered(3.0, 2.0, 1.0), numbered(9.0))


def test_copied_and_truncated_log_continues_its_steps(path: Path) -> None:
    script = Script("runa").begin().train(3.0, 2.0)
    path.write_text(script.text())
    log = RequestLog(path)
    read(log)
    shutil.copy(path, path.with_suffix(".1"))
    os.truncate(path, 0)
    read(log)
    written = len(script.lines)
    with path.open("a") as file:
        file.write(script.train(1.0, 0.5, 0.25, 0.125).text(written))
    read(log)
    assert recorded("runa") == numbered(3.0, 2.0, 1.0, 0.5, 0.25, 0.125)
    assert len(ExperimentStore().experiments()) == 1


def test_removed_log_is_followed_when_it_returns(path: Path) -> None:
    log = RequestLog(path)
    read(log)
    path.write_text(Script("runa").begin().train(3.0).text())
    read(log)
    path.unlink()
    read(log)
    path.write_text("")
    read(log)
    path.write_text(Script("runb").begin().train(*range(9)).text())
    read(log)
    assert (recorded("runa"), recorded("runb")) == (numbered(3.0), numbered(*range(9)))
