"""Ten thousand runs are a table like any other."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import expect

from tests.browser.cells import fleet
from tests.browser.conftest import NotebookOpener
from tests.browser.panel import Panel
from tests.browser.service_state import ServiceState

MANY = 10_000


def many_runs(pattern: dict[str, Any], *, ended: bool = False) -> bytes:
    runs = []
    for number in range(MANY):
        status = "INACTIVE" if ended and number == 7 else "ACTIVE"
        own = {"id": f"r{number:06}", "run_id": f"r{number:06}", "name": f"number {number}", "status": {"name": status}}
        runs.append({**pattern, **own, "sampler": None, "deployment_id": None})
    return json.dumps({"runs": runs}).encode()


def test_ten_thousand_runs(opener: NotebookOpener, state: ServiceState, connected: dict[str, str]) -> None:
    run = state.run("pattern")
    pattern = json.loads(bytes(run.raw_json))
    body, later = many_runs(pattern), many_runs(pattern, ended=True)
    state.proxy.edits["GET /v1/loops/runs"] = lambda _: body
    notebook = opener.notebook(fleet(), environment=connected)
    notebook.run(0)
    panel = Panel(notebook.page).shown()
    panel.says("10,000")
    assert panel.root.get_by_role("row").count() < 300

    # From one end to the other, by the scroll bar and by the filter.
    expect(panel.row("r000007")).to_have_count(1)
    panel.scroll_to_the_end()
    expect(panel.row("r009999")).to_have_count(1)
    panel.filter("r000007")
    expect(panel.row("r000007")).to_contain_text("Active")
    state.proxy.edits["GET /v1/loops/runs"] = lambda _: later
    panel.show_finished()
    expect(panel.row("r000007")).to_contain_text("Inactive")
    assert panel.root.get_by_role("searchbox").input_value() == "r000007"
