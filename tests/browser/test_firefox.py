"""Panels in Debian's Firefox, driven over WebDriver BiDi: fleet, run and curves are live at the first try.

The server stands below a path, as those of a JupyterHub do.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from loops_nb.local import launcher
from tests.browser.jupyter import JupyterServer
from tests.browser.notebook import written
from tests.browser.prepare import firefox

ROOT = Path(__file__).resolve().parents[2]
CELLS = [
    "%load_ext loops_nb\n%loops local start",
    "%loops watch",
    "%loops watch p2syas8",
    """%loops curves seen-in-firefox --wait
import time, loops_nb
with loops_nb.experiment("seen-in-firefox") as exp:
    for step in range(2000):
        exp.log(step=step, loss=1 / (step + 1))
        time.sleep(0.1)""",
]


@pytest.mark.skipif(not firefox(), reason="Debian's firefox-esr is not installed here, and could not be")
@pytest.mark.skipif(not shutil.which("node"), reason="there is no Node to drive Firefox with")
def test_panels_are_live_in_firefox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = JupyterServer(tmp_path, "lab", ["--ServerApp.base_url=/user/ann/"]).start()
    monkeypatch.setenv("LOOPS_NB_HOME", str(server.home))
    try:
        (server.root / "firefox.ipynb").write_text(written(CELLS, "python3"), "utf-8")
        script, driver = ROOT / "js" / "tests" / "firefox.mjs", ROOT / "tests" / "browser" / "driver.js"
        command = ["node", script, firefox(), server.address("firefox.ipynb"), driver, tmp_path / "seen.png"]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
        assert not done.returncode, done.stderr
    finally:
        server.stop()
        launcher.stop()
    seen = json.loads(done.stdout)
    assert seen["isRunning"], "the chart moved while the cell ran"
    assert seen["errors"] == []
    for expected in ("Runs and samplers", "support-tone-dpo", "Run p2syas8", "step-525", "Curves of seen-in-firefox"):
        assert any(expected in text for text in seen["texts"]), f"{expected} in {seen['texts']}"
