"""The local service for tests: a process, or the same application in a thread behind a middleware.

Both are real servers on a free loopback port with a data folder of their own.  The caller chooses::

    with running_service(sample=True) as service:            # a process
        httpx.get(service.url + "/v1/loops/runs", headers=service.headers)

    with running_service(in_process=True, wrap=Faults) as service:  # a thread; Faults(app) is an ASGI application
        ...
"""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from loops_nb.config.local_services import read_token
from loops_nb.local.server.app import make_app
from loops_nb.local.server.process import LocalServer, bind, config
from loops_nb.local.settings import Settings

READY = "Loops local service on "
WAIT_SECONDS = 30.0
ANY_KEY = "local-test"


class ProcessService:
    """The service as a process of its own (``python -m loops_nb serve``)."""

    def __init__(self, data_dir: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self._options = options
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self.url = ""
        self.lines: list[str] = []
        self.start()

    @property
    def key(self) -> str:
        """What opens it: its token, or any key."""
        return ANY_KEY if "--any-key" in self._options else read_token(self.data_dir)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    def start(self) -> None:
        """Start it (again, over the same data folder) and wait for its ready line."""
        command = [
            sys.executable,
            "-m",
            "loops_nb",
            "serve",
            "--port",
            "0",
            "--data-dir",
            str(self.data_dir),
            *self._options,
        ]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self._environment
        )
        said: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, args=(said,), daemon=True)
        self._reader.start()
        while True:
            line = said.get(timeout=WAIT_SECONDS)
            if line.startswith(READY):
                self.url = line.removeprefix(READY).split()[0]
                return
            if not line:
                raise AssertionError(f"the service ended with {self._process.wait()}: {self.lines}")

    def _read(self, said: queue.Queue[str]) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)
            said.put(line)
        said.put("")

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """End it as a power cut would: no handler runs."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it politely."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(how)
        self._process.wait(timeout=WAIT_SECONDS)
        self._reader.join(timeout=WAIT_SECONDS)
        if self._process.stdout is not None:
            self._process.stdout.close()


class ThreadService:
    """The same application, served by uvicorn from a thread of this process."""

    def __init__(self, settings: Settings, wrap: Callable[[ASGIApp], ASGIApp] | None = None) -> None:
        self.data_dir = settings.data_dir
        self.app = make_app(settings)
        self.key = ANY_KEY if settings.any_key else read_token(settings.data_dir)
        self.headers = {"Authorization": f"Bearer {self.key}"}
        self._socket = bind(settings.host, 0)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        ready = threading.Event()
        self._server = LocalServer(
            config(wrap(self.app) if wrap else self.app, settings.connections),
            ready.set,
            self.app.state.service.workers.stop,
        )
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)
        self._thread.start()
        assert ready.wait(WAIT_SECONDS), "the service did not start"

    @property
    def pid(self) -> int:
        return os.getpid()

    def stop(self) -> None:
        """Let running requests end, then stop."""
        self._server.should_exit = True
        self._thread.join(WAIT_SECONDS)
        self._socket.close()

    kill = stop


AnyService = ProcessService | ThreadService


@contextlib.contextmanager
def running_service(
    *,
    sample: bool = False,
    speed: float = 1000.0,
    rate_limit: int = 0,
    any_key: bool = True,
    data_dir: Path | None = None,
    in_process: bool = False,
    wrap: Callable[[ASGIApp], ASGIApp] | None = None,
    **settings: Any,
) -> Iterator[AnyService]:
    """Run the service and stop it at the end.

    Parameters
    ----------
    sample, speed, rate_limit, any_key, settings : bool or float or int
        As `loops_nb.local.settings.Settings` has them; without a rate limit, a thousand times faster than life and
        opened by any key unless said.
    data_dir : Path, optional
        Its folder; a temporary one, removed at the end, when left out.
    in_process : bool, default False
        A thread of this process in place of a process.
    wrap : callable, optional
        Puts an ASGI middleware of the test's around the application; implies ``in_process``.
    """
    folder = data_dir or Path(tempfile.mkdtemp(prefix="loops-nb-test-"))
    service: AnyService
    if in_process or wrap is not None:
        values = {"sample": sample, "speed": speed, "rate_limit": rate_limit, "any_key": any_key, **settings}
        service = ThreadService(Settings(data_dir=folder, **values), wrap)
    else:
        options = ["--speed", str(speed), "--rate-limit", str(rate_limit), *(["--sample"] if sample else [])]
        options += ["--any-key"] if any_key else []
        for name, value in settings.items():
            options += [f"--{name.replace('_', '-')}", str(value)]
        service = ProcessService(folder, *options)
    try:
        yield service
    finally:
        service.stop()
        if data_dir is None:
            shutil.rmtree(folder, ignore_errors=True)
