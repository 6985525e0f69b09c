"""A data folder of the test's own, and panels that are closed at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from loops_nb.panels import ExperimentsPanel
from loops_nb.panels.experiments.messages import ExperimentsSnapshot
from tests.panels.waiting import until


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("LOOPS_NB_HOME", str(folder))
    # A checkout whose page code was not built tests everything else all the same.
    for module in ("experiments", "curves"):
        monkeypatch.setattr(f"loops_nb.panels.{module}.panel.page_code", lambda _: "export default { render() {} }")
    return folder


class OpenedPanel:
    """A panel with a page: what it sends is kept, and put together as ``js/src/experiments/store.ts`` does."""

    def __init__(self, **given: Any) -> None:
        self.sent: list[dict[str, Any]] = []
        self.panel = ExperimentsPanel(**given)
        self.panel._send_now = self.sent.append  # type: ignore[method-assign,assignment]
        self.receive({"type": "view_opened", "view": "v", "have": None})
        until(lambda: self.of("snapshot"))

    def receive(self, message: dict[str, Any]) -> None:
        """Send a message of the page."""
        self.panel._controller.receive(message)

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the messages of a kind."""
        return [message for message in list(self.sent) if message["type"] == kind]

    @property
    def now(self) -> ExperimentsSnapshot:
        """What is shown now."""
        return self.panel.snapshot_now()

    def cells(self, column: str) -> dict[str, Any]:
        """Return the cells of a column by the names of the experiments."""
        found = self.now
        place, name = found.sent.index(column), found.sent.index("name")
        return {str(row[name]): row[place] for row in found.rows}

    def page(self) -> dict[str, list[Any]]:
        """Return the rows by id that a page has put together of the messages."""
        rows: dict[str, list[Any]] = {}
        seq = -1
        for message in list(self.sent):
            if message["type"] == "snapshot":
                rows, seq = {row[0]: row for row in message["rows"]}, message["seq"]
            elif message["type"] == "change":
                assert message["base"] == seq
                seq = message["seq"]
                rows |= {row[0]: row for row in message.get("rows", [])}
                for key in message.get("removed", []):
                    del rows[key]
        return rows


@pytest.fixture
def opened() -> Iterator[Callable[..., OpenedPanel]]:
    panels: list[OpenedPanel] = []

    def make(**given: Any) -> OpenedPanel:
        panels.append(OpenedPanel(**given))
        return panels[-1]

    yield make
    for one in panels:
        one.panel.close()
