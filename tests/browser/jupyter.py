"""A Jupyter server of the tests' own: nothing of the person's settings, kernels or notebooks is read or written."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import httpx

from tests.browser.prepare import KERNELS, kernel_folder

Application = Literal["lab", "notebook"]
#: Module to run, and the name of its class in options.
_APPLICATIONS: dict[Application, tuple[str, str]] = {
    "lab": ("jupyterlab", "LabApp"),
    "notebook": ("notebook", "JupyterNotebookApp"),
}
_WAIT_SECONDS = 60.0
_QUIET = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    }
}
_FOREIGN = ("JUPYTER", "IPYTHON", "LOOPS_", "BASETEN_")


class JupyterServer:
    """JupyterLab or Notebook 7 on a free loopback port.

    Parameters
    ----------
    folder
        Everything that it reads and writes is in here; notebooks are in ``folder / "notebooks"``.
    application
        Which of the two.
    options
        More of its command line.
    python
        The interpreter that it runs on; this one when left out. Its kernels run on this one.
    """

    #: A tenth of the usual: a cell that prints without end makes the server drop messages before it makes the page
    #: slow.
    PRINT_LIMIT = 100_000

    def __init__(
        self, folder: Path, application: Application, options: Sequence[str] = (), python: Path | None = None
    ) -> None:
        self.application = application
        self._python = str(python or sys.executable)
        self._options = tuple(options)
        self.root = folder / "notebooks"
        self.home = folder / "home"
        self._folder = folder
        self._token = secrets.token_hex(16)
        self._write_kernels()
        for name, settings in _QUIET.items():
            self.write_settings(name, settings)
        self.root.mkdir(parents=True)

    def start(self) -> Self:
        """Start it and wait until it answers."""
        module, options = _APPLICATIONS[self.application]
        command = [
            self._python,
            "-m",
            module,
            "--no-browser",
            "--allow-root",
            "--ServerApp.ip=127.0.0.1",
            "--ServerApp.port=0",
        ]
        command += [
            f"--IdentityProvider.token={self._token}",
            f"--ServerApp.root_dir={self.root}",
            f"--{options}.expose_app_in_browser=True",
        ]
        command += ["--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
        command += ["--ServerApp.terminals_enabled=False", "--LanguageServerManager.autodetect=False"]
        command += [f"--ZMQChannelsWebsocketConnection.iopub_data_rate_limit={self.PRINT_LIMIT}"]
        command += self._options
        self._said = (self._folder / "server.log").open("wb")
        self._process = subprocess.Popen(
            command,
            env=self._environment(),
            cwd=self.root,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self.url = self._wait_for_url()
            self._client = httpx.Client(
                base_url=self.url, headers={"Authorization": f"token {self._token}"}, timeout=30, trust_env=False
            )
            self._wait_until_answering()
        except BaseException:
            self._end()
            raise
        return self

    def _wait_until_answering(self) -> None:
        """Wait for the first answer: the file with the port may be there before anything listens."""
        until = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                self._client.get("/api/status").raise_for_status()
            except httpx.TransportError:
                assert time.monotonic() < until, f"the server does not answer: {self.log}"
                assert self._process.poll() is None, f"the server ended: {self.log}"
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        """End the kernels and the server."""
        try:
            self.end_kernels()
        finally:
            self._client.close()
            self._end()

    def address(self, name: str) -> str:
        """Return the address of a notebook's page."""
        # A workspace of its own: nothing of what another test had open comes back.
        place = f"/lab/workspaces/{secrets.token_hex(4)}/tree/" if self.application == "lab" else "/notebooks/"
        return f"{self.url}{place}{name}?token={self._token}"

    def end_kernels(self) -> None:
        """End every kernel, and the session that holds it."""
        for session in self._client.get("/api/sessions").raise_for_status().json():
            self._client.delete(f"/api/sessions/{session['id']}")
        for kernel in self._client.get("/api/kernels").raise_for_status().json():
            self._client.delete(f"/api/kernels/{kernel['id']}")

    def kernels(self) -> list[dict[str, Any]]:
        """List the running kernels."""
        found: list[dict[str, Any]] = self._client.get("/api/kernels").raise_for_status().json()
        return found

    def start_kernel(self, name: str) -> str:
        """Start a kernel without a page, and return its id."""
        found: str = self._client.post("/api/kernels", json={"name": name}).raise_for_status().json()["id"]
        return found

    def write_settings(self, plugin: str, settings: dict[str, Any]) -> None:
        """Set the user's settings of a plugin (``package:name``), for the pages that are opened from now on."""
        package, name = plugin.split(":")
        path = self._folder / "settings" / package / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(settings), encoding="utf-8")

    def remove_settings(self, plugin: str) -> None:
        """Go back to what a plugin does by itself."""
        package, name = plugin.split(":")
        (self._folder / "settings" / package / f"{name}.jupyterlab-settings").unlink(missing_ok=True)

    def _write_kernels(self) -> None:
        for name in KERNELS:
            folder = self._folder / "data" / "kernels" / name
            folder.mkdir(parents=True)
            kernel = {
                "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                "display_name": name,
                "language": "python",
                "env": {"PYTHONPATH": str(kernel_folder(name))},
                "metadata": {"debugger": False},
            }
            (folder / "kernel.json").write_text(json.dumps(kernel), encoding="utf-8")

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        folders = {"CONFIG_DIR": "config", "DATA_DIR": "data", "RUNTIME_DIR": "runtime"}
        kept |= {f"JUPYTER_{name}": str(self._folder / folder) for name, folder in folders.items()}
        kept |= {f"JUPYTERLAB_{name.upper()}_DIR": str(self._folder / name) for name in ("settings", "workspaces")}
        return kept | {
            "JUPYTER_PREFER_ENV_PATH": "1",
            "IPYTHONDIR": str(self._folder / "ipython"),
            "LOOPS_NB_HOME": str(self.home),
            "PATH": f"{Path(self._python).parent}{os.pathsep}{kept['PATH']}",
        }

    def _wait_for_url(self) -> str:
        note = self._folder / "runtime" / f"jpserver-{self._process.pid}.json"
        until = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < until:
            assert self._process.poll() is None, f"the server ended: {self.log}"
            try:
                said = json.loads(note.read_bytes())
                return f"http://127.0.0.1:{said['port']}{said['base_url'].rstrip('/')}"
            except (OSError, ValueError):
                time.sleep(0.05)
        raise AssertionError(f"the server does not answer: {self.log}")

    @property
    def log(self) -> str:
        """What it said, the end of it."""
        return (self._folder / "server.log").read_text("utf-8", "replace")[-4000:]

    def _end(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._said.close()
