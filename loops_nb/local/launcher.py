"""Start, find and stop the local service: one process, shared by all notebooks of a user.

Light to import: the server's modules are loaded in the server's process only.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from loops_nb.config.local_services import is_alive
from loops_nb.errors import LocalServiceError
from loops_nb.local.environment import without_secrets
from loops_nb.local.files import lock_file, private_folder, write_private
from loops_nb.local.requirements import check_server_installed
from loops_nb.local.service_registry import (
    ServiceInfo,
    default_data_dir,
    local_folder,
    read_registry,
    registry_file,
    service_log,
)
from loops_nb.local.settings import DEFAULT_SPEED

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["DEFAULT_SPEED", "ServiceInfo", "start", "status", "stop"]

logger: logging.Logger = logging.getLogger(__name__)

_HEALTH_TIMEOUT = 5.0
_STOP_TIMEOUT = 15.0
_PAUSE = 0.02
#: In the data folder: the port that it was last served on.
_PORT_NOTE = "port"
#: Services that this process started; kept so that they are reaped after they end.
_children: dict[int, subprocess.Popen[bytes]] = {}


def start(
    *,
    sample: bool = True,
    data_dir: Path | None = None,
    speed: float = DEFAULT_SPEED,
    port: int = 0,
    any_key: bool = False,
    timeout: float = 30.0,
) -> ServiceInfo:
    """Start the service, or return the one that already runs.

    Parameters
    ----------
    sample : bool, default True
        Fill an unused data folder with the sample workspace.
    data_dir : Path, optional
        Folder of its records and files; by default one in the user's data folder.
    speed : float, default `DEFAULT_SPEED`
        How many times faster than on the hosted service things change state.
    port : int, default 0
        TCP port on loopback; 0 takes the port that this folder was served on last, so that open panels find it, or a
        free one.
    any_key : bool, default False
        Let any key open it, in place of the token that only this user can read.
    timeout : float, default 30.0
        Seconds to wait until it answers.

    Raises
    ------
    LocalServiceError
        If it does not start (the text is the service's own), if one runs that does not answer, or if the packages of
        ``loops_nb[local]`` are not installed.
    """
    deadline = time.monotonic() + timeout
    try:
        private_folder(local_folder())
    except OSError as error:
        raise LocalServiceError(
            f"The folder {local_folder()} cannot be made ({error.strerror or error}).",
            hint="Set LOOPS_NB_HOME to a folder of yours",
        ) from None
    lock = _wait_for_lock(deadline)
    try:
        running = status()
        if running is not None:
            return running
        check_server_installed(pip="%pip")
        folder = data_dir or default_data_dir(sample=sample)
        silent = _unresponsive()
        if silent is not None and Path(silent.data_dir) == folder.absolute():
            raise _unresponsive_error(silent)
        options = ["--data-dir", str(folder), "--speed", str(speed), "--port", str(port or _port_of_before(folder))]
        if sample:
            options.append("--sample")
        if any_key:
            options.append("--any-key")
        service = _launch(options, deadline=deadline)
        with contextlib.suppress(OSError):
            write_private(folder / _PORT_NOTE, str(urlsplit(service.url).port).encode())
        return service
    finally:
        lock.release()


def status() -> ServiceInfo | None:
    """Return the service that runs, or None; a note left by one that died counts for nothing."""
    _reap()
    found = read_registry(registry_file())
    if found is None or not _answers(found):
        return None
    return found


def stop() -> ServiceInfo | None:
    """Stop the service that runs and return what it was; None when there was none.

    Raises
    ------
    LocalServiceError
        If it does not end, or does not answer: then nothing proves that the process is the service, and it is not ended
        from here.
    """
    if status() is None:
        silent = _unresponsive()
        if silent is not None:
            raise _unresponsive_error(silent)
        return None
    deadline = time.monotonic() + _STOP_TIMEOUT
    lock = _wait_for_lock(deadline)
    try:
        # Looked up again: another notebook may have stopped it while this one waited.
        running = status()
        if running is None:
            return None
        return _end(running, deadline)
    finally:
        lock.release()


def _unresponsive() -> ServiceInfo | None:
    """Return the service whose note stands and whose folder is held, after it did not answer."""
    found = read_registry(registry_file())
    if found is None or not is_alive(found.pid) or _is_free(Path(found.data_dir)):
        return None
    return found


def _unresponsive_error(service: ServiceInfo) -> LocalServiceError:
    return LocalServiceError(
        f"The local service (process {service.pid}) holds its data folder {service.data_dir} but does not answer; its "
        f"records are kept.",
        hint=f"Try again in a moment, or end it with: kill {service.pid}",
    )


def _end(running: ServiceInfo, deadline: float) -> ServiceInfo:
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGTERM)
    # The lock is free when the process is gone, also if another process started it.
    while not _is_free(Path(running.data_dir)):
        if time.monotonic() > deadline:
            raise LocalServiceError(
                f"The local service (process {running.pid}) was told to stop and has not ended.",
                hint=f"End it with: kill {running.pid}",
            )
        time.sleep(_PAUSE)
    child = _children.pop(running.pid, None)
    if child is not None:
        child.wait(timeout=_STOP_TIMEOUT)
    return running


def _is_free(data_dir: Path) -> bool:
    lock = data_dir / "lock"
    if not lock.exists():
        # Looking must not make one, in a folder that a spoilt note names.
        return True
    try:
        lock_file(lock).release()
    except BlockingIOError:
        return False
    except OSError:
        return True  # there is no such folder
    return True


def _port_of_before(data_dir: Path) -> int:
    """Return the port that the folder was last served on, if it is free now; else 0."""
    try:
        port = int((data_dir / _PORT_NOTE).read_text(encoding="ascii"))
        with socket.socket() as probe:
            if sys.platform != "win32":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    except (OSError, ValueError, OverflowError):
        return 0
    return port


def _reap() -> None:
    for pid in [pid for pid, child in _children.items() if child.poll() is not None]:
        del _children[pid]


def _launch(options: list[str], *, deadline: float) -> ServiceInfo:
    log = service_log(registry_file())
    command = [sys.executable, "-m", "loops_nb", "serve", "--registry", str(registry_file()), *options]
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        child = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=local_folder(),
            # A copy: another thread of a notebook (an import, say) may change the process's own environment while it is
            # handed over, and the start then fails with "Bad address".
            env=without_secrets(dict(os.environ)),
        )
    _children[child.pid] = child
    while True:
        found = read_registry(registry_file())
        if found is not None and found.pid == child.pid and _answers(found):
            return found
        if child.poll() is not None:
            del _children[child.pid]
            raise LocalServiceError(f"The local service did not start: {_last_line(log)}", hint=f"Its log is {log}")
        if time.monotonic() > deadline:
            child.kill()
            child.wait()
            del _children[child.pid]
            raise LocalServiceError(
                "The local service did not answer in time and was ended; nothing was lost.", hint=f"Its log is {log}"
            )
        time.sleep(_PAUSE)


def _wait_for_lock(deadline: float) -> BaseFileLock:
    while True:
        try:
            return lock_file(local_folder() / "start.lock")
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise LocalServiceError(
                    "Another notebook has been starting the local service for too long.",
                    hint="Try again, or look at its log: loops-nb where",
                ) from None
            time.sleep(_PAUSE)


def _answers(info: ServiceInfo) -> bool:
    """Return whether this very service answers at its URL; another program on the same port does not count."""
    try:
        address = urlsplit(info.url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=_HEALTH_TIMEOUT)
    except ValueError:
        return False
    try:
        connection.request("GET", "/health", headers={"Connection": "close"})
        answer = connection.getresponse()
        health = msgspec.json.decode(answer.read(65_536), type=dict[str, object])
    except (OSError, http.client.HTTPException, msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        logger.debug("no local service answers on %s: %s", info.url, error)
        return False
    finally:
        connection.close()
    return health.get("service") == "loops_nb.local" and secrets.compare_digest(
        str(health.get("instance")), info.instance
    )


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    if not lines:
        return "its log is empty"
    return lines[-1]
