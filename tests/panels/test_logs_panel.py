"""Panel of log lines: its controller over the real local service."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from loops_nb import Loops
from loops_nb.client.logs import find_target, log_query
from loops_nb.client.transport import Transport
from loops_nb.local.store.process_logs import ProcessLine
from loops_nb.panels import LogsPanel
from loops_nb.panels.logs.controller import INITIAL_ROWS, LogsController
from loops_nb.panels.logs.report import report_of
from loops_nb.panels.visibility import Visibility
from tests.panels.waiting import until
from tests.service import running_service


def writer(service: Any, deployment_id: str | None) -> Callable[..., None]:
    def write(*texts: str, level: str = "INFO", ago: int = 0) -> None:
        at = service.app.state.service.statuses.now() - ago
        lines = [ProcessLine(at + n, text, level) for n, text in enumerate(texts)]
        service.app.state.service.store.logs.add(f"deployments/{deployment_id}", lines)

    return write


def test_panel_tails_a_log_pauses_reads_back_and_survives_the_service() -> None:
    with running_service(in_process=True) as service, Loops("key", service.url) as loops:
        run = loops.runs.create(session_id=loops.sessions.create().id, base_model="loops-local/tiny")
        write = writer(service, run.deployment_id)
        write(*(f"line {n}" for n in range(600)), ago=20_000)
        write("line 600 <script>", level="ERROR", ago=10_000)
        sent: list[dict[str, Any]] = []
        transport = Transport(loops.config)
        query = log_query(grep="line", limit=300)
        controller = LogsController(
            transport,
            transport.send_each(find_target(run.id, None)),
            query,
            sent.append,
            Visibility(time.monotonic, lambda: None),
            title="Log",
            line="%loops logs x -f",
        )
        assert [row.message for row in controller.rows[::299]] == ["line 301", "line 600 <script>"]
        first = controller.initial_state()
        assert (len(first["rows"]), first["left_out"], first["has_earlier"]) == (INITIAL_ROWS, 100, True)
        controller.start()
        controller.receive({"type": "view_opened", "view": "a", "have": first["seq"]})
        until(lambda: any(message["type"] == "snapshot" and len(message["rows"]) == 300 for message in sent))
        write("line new")
        until(lambda: any(row["message"] == "line new" for one in sent for row in one.get("rows", ())))
        assert controller.rows[-1].number == controller.rows[-2].number + 1

        controller.receive({"type": "read_earlier"})
        until(lambda: len(controller.rows) == 602)
        numbers = [row.number for row in controller.rows]
        assert numbers == list(range(numbers[0], numbers[0] + 602))
        assert [row.message for row in controller.rows[:2]] == ["line 0", "line 1"]
        controller.receive({"type": "set_following", "paused": True})
        until(lambda: controller.snapshot(0).health.state == "paused")
        write("line while it is paused")
        controller.update()
        assert controller.rows[-1].message == "line new"

        report = report_of(controller, live=True, time_zone="UTC")
        assert "line 600 &lt;script&gt;" in report["text/html"]
        assert 'class="ERROR"' in report["text/html"]
        controller.receive({"type": "set_following", "paused": False})
        until(lambda: controller.rows[-1].message == "line while it is paused")

        panel = LogsPanel(loops, run.id, half="trainer", grep="line 60", min_level="ERROR")
        try:
            shown = panel.snapshot_now()
            assert shown.line == f"%loops logs {run.id} --half trainer --grep 'line 60' --level ERROR -f"
            assert [row.message for row in shown.rows] == ["line 600 <script>"]
        finally:
            panel.close()

        service.stop()
        controller.update()
        assert controller.read_error
        assert len(controller.rows) == 603
        controller.close("")
