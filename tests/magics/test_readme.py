"""What the README shows can be typed as it stands, and works on the sample workspace."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.magics.conftest import Notebook

README = Path(__file__).resolve().parents[2] / "README.md"
CELLS = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)


def test_every_cell_of_the_readme_runs_in_order(live: Notebook, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda _prompt: "y")
    monkeypatch.setattr("loops_nb.local.launcher.start", lambda **_: running(service))
    assert len(CELLS) > 5
    for cell in CELLS:
        ran = live.run(cell)
        frame_or_object = ran.value is not None
        assert frame_or_object or ran.out or "with Loops()" in cell
    assert "adapter_model.safetensors" in ran.out
    shown = {comment for cell in CELLS for comment in re.findall(r"# (bt://\S+)", cell)}
    assert shown <= set(live.shell.user_ns["df"]["uri"])
    assert shown


def running(service: str) -> object:
    """Give the service of these tests in place of a new one: it is as real, and it is there."""
    from datetime import UTC, datetime

    from loops_nb.local.launcher import ServiceInfo

    return ServiceInfo(url=service, pid=1, data_dir="", version="", started_at=datetime.now(UTC), instance="tests")
