"""Lines that worker processes write: told apart, kept within bounds, read back."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import httpx
import pytest

from loops_nb.local.store.process_logs import MOST_BYTES, ProcessLine, ProcessLogs
from loops_nb.local.workers.output import OutputLine, read_output
from tests.local.training_client import TrainingClient
from tests.service import running_service


def read(data: bytes) -> list[OutputLine]:
    async def fed() -> list[OutputLine]:
        stream = asyncio.StreamReader()
        found: list[OutputLine] = []
        stream.feed_data(data)
        stream.feed_eof()
        await read_output(stream, found.extend)
        return found

    return asyncio.run(fed())


def test_records_and_printed_lines_are_told_apart() -> None:
    record = b'\x1e{"message":"a\\nb","level":"INFO"}\n'
    assert read(record + b"printed\n\n\x1ebroken\nlast") == [
        OutputLine("a\nb", "INFO"),
        OutputLine("printed"),
        OutputLine("\x1ebroken"),
        OutputLine("last"),
    ]
    assert read(b'\x1e{"message":"x","level":"CRITICAL"}\n') == [OutputLine("x", "ERROR")]
    endless = read(b"x" * 300_000)
    assert endless
    assert max(len(line.message) for line in endless) <= 8_000


def test_files_are_bounded_and_a_cut_line_is_left_out(tmp_path: Path) -> None:
    logs = ProcessLogs(tmp_path / "logs")
    text = "y" * 7_000
    for n in range(400):
        logs.add("deployments/a", [ProcessLine(n, f"{n} {text}", "INFO")])
    kept = logs.lines("deployments/a")
    assert [line.at for line in kept] == list(range(kept[0].at, 400))
    assert 150 < len(kept) < 400
    assert all(file.stat().st_size <= MOST_BYTES for file in (tmp_path / "logs").iterdir())
    with (tmp_path / "logs" / "deployments-a.log").open("ab") as file:
        file.write(b'{"at":400,"mess')
    assert logs.lines("deployments/a")[-1].at == 399
    assert logs.lines("samplers/none") == []


def test_disk_that_takes_no_lines_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "logs").write_text("no folder")
    with caplog.at_level(logging.WARNING):
        ProcessLogs(tmp_path / "logs").add("deployments/a", [ProcessLine(1, "x")])
    assert "were not kept" in caplog.text


def test_refused_requests_and_steps_are_in_the_log_after_a_restart(tmp_path: Path) -> None:
    with (
        running_service(in_process=True, data_dir=tmp_path) as service,
        httpx.Client(base_url=service.url, headers=service.headers, timeout=30) as api,
    ):
        trainer = TrainingClient(api, api.post("/v1/loops/sessions").json()["session"]["id"]).init()
        trainer.step()
        trainer.fail("optim_step", adam_params={"learning_rate": 0.1})
    with (
        running_service(in_process=True, data_dir=tmp_path) as service,
        httpx.Client(base_url=service.url, headers=service.headers, timeout=30) as api,
    ):
        path = f"/v1/loops/deployments/{trainer.run['deployment_id']}/logs"
        lines = api.get(path, params={"min_level": "INFO"}).json()["logs"]
    told = [(line["level"], line["message"]) for line in lines]
    assert any(level == "INFO" and text.startswith("step 1, ") for level, text in told), told
    assert any(level == "WARNING" and text.startswith("optim_step refused: ") for level, text in told), told
    assert str(tmp_path) not in str(told)
