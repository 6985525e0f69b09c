"""JupyterLab, Chromium and the local service, each in a process of its own, for the benchmarks of the panels."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from playwright.sync_api import Page, sync_playwright

from benchmarks.listing import environment
from benchmarks.peers import ROOT
from tests.browser.jupyter import JupyterServer
from tests.browser.notebook import Notebook, written
from tests.browser.prepare import chromium, install_chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

KEY = "benchmark"
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
]
_PROBE = (Path(__file__).parent / "probe.js").read_text("utf-8")
#: Put before the first cell of a kernel that measures itself.
MEASURED = (
    f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n"
    "from benchmarks.panels import kernel_probe\nkernel_probe.record_polls()\n"
)


class Service:
    """The measured service, from outside.

    Parameters
    ----------
    url
        Its address.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60, trust_env=False
        )

    def advance(self, seconds: float) -> None:
        """Let its time pass."""
        self._client.post("/bench/advance", params={"seconds": seconds}).raise_for_status()

    def pretend(self, **how: int | str) -> None:
        """Have it answer made-up listings."""
        self._client.post("/bench/pretend", params=how).raise_for_status()

    def noted(self) -> dict[str, Any]:
        """Return what it noted."""
        found: dict[str, Any] = self._client.get("/bench/noted").raise_for_status().json()
        return found

    def size(self) -> int:
        """Return the bytes of the made-up listing of runs."""
        return int(self._client.get("/bench/size").raise_for_status().json())

    def runs(self, count: int) -> list[str]:
        """Create runs, let them come up, and return their ids, oldest first."""
        session = self._post("/v1/loops/sessions", {})["session"]["id"]
        body = {"session_id": session, "base_model": "Qwen/Qwen3-8B"}
        made = [self._post("/v1/loops/runs", {**body, "name": f"run {number}"})["run"]["id"] for number in range(count)]
        self.advance(60)
        return made

    def end(self, run_id: str) -> None:
        """Deactivate a run."""
        self._post(f"/v1/loops/runs/{run_id}/deactivate", {})

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self._client.post(path, json=body).raise_for_status().json()
        return found


class JupyterLab:
    """A JupyterLab and a browser.

    Parameters
    ----------
    server, browser
        Both running.
    """

    def __init__(self, server: JupyterServer, browser: Browser) -> None:
        self.server = server
        self.browser = browser
        # Pages share their cache: JupyterLab is a few megabytes of JavaScript.
        self._context = browser.new_context(viewport={"width": 1280, "height": 900})
        self._made = 0

    @contextmanager
    def notebook(self, service: Service, *cells: str) -> Iterator[tuple[Notebook, list[bytes]]]:
        """Open a notebook with a kernel of its own; give it, and the list that every frame from it is put into."""
        self._made += 1
        path = self.server.root / f"measured-{self._made}.ipynb"
        path.write_text(written(cells, "python3"), encoding="utf-8")
        page, frames = self._context.new_page(), []  # type: ignore[var-annotated]
        _keep_frames(page, frames)
        page.add_init_script(_PROBE)
        try:
            notebook = Notebook(page, path, "never sent")
            notebook.open(self.server.address(path.name))
            notebook.execute(f"import os; os.environ.update(LOOPS_BASE_URL={service.url!r}, BASETEN_API_KEY={KEY!r})")
            yield notebook, frames
        finally:
            page.close()
            self.server.end_kernels()


def _keep_frames(page: Page, frames: list[bytes]) -> None:
    def keep(payload: str | bytes) -> None:
        if isinstance(payload, bytes):
            frames.append(payload)

    # There are others, for the events of the server.
    page.on("websocket", lambda socket: socket.on("framereceived", keep) if "/channels" in socket.url else None)


@contextmanager
def jupyterlab() -> Iterator[JupyterLab]:
    """Start JupyterLab and Chromium, which is installed if this machine has none."""
    if chromium() is None:
        print("Installing Debian's Chromium for the measurements in a real browser.", file=sys.stderr, flush=True)
        install_chromium()
    with tempfile.TemporaryDirectory(prefix="loops-nb-bench-") as folder:
        server = JupyterServer(Path(folder), "lab").start()
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=chromium(), args=_FLAGS)
                try:
                    yield JupyterLab(server, browser)
                finally:
                    browser.close()
        finally:
            server.stop()


@contextmanager
def service(*, sample: bool = False) -> Iterator[Service]:
    """Run `benchmarks.panels.service` over an empty folder, or over one with the sample workspace."""
    with tempfile.TemporaryDirectory(prefix="loops-nb-bench-") as folder:
        command = [sys.executable, "-m", "benchmarks.panels.service", folder, *(["--sample"] if sample else [])]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment(), cwd=ROOT)
        try:
            assert process.stdout is not None
            yield Service(process.stdout.readline().strip())
        finally:
            process.terminate()
            process.communicate()


def asked(notebook: Notebook, code: str) -> Any:
    """Run an expression in the kernel and return its value."""
    return json.loads(notebook.execute(f"import json; print(json.dumps({code}))"))
