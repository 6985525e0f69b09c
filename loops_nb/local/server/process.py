"""Server process: bind, announce readiness, serve, shut down."""

from __future__ import annotations

import asyncio
import errno
import math
import os
import secrets
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvicorn
from starlette.types import ASGIApp

from loops_nb._version import __version__
from loops_nb.config.local_services import note_file, read_token
from loops_nb.errors import ConfigError
from loops_nb.local.errors import CannotServeError, StoreError
from loops_nb.local.server.app import make_app
from loops_nb.local.server.connections import HEAD_BYTES, LimitedProtocol, allowed_limits, protocol
from loops_nb.local.server.log_files import keep_small, write_to_standard_error
from loops_nb.local.server.middleware.host_check import is_local_name
from loops_nb.local.service_registry import ServiceInfo, now, remove_registry, service_log, write_registry
from loops_nb.local.settings import ConnectionLimits, Settings

_FOUND = "Your notebooks find it by themselves; for other programs: export BASETEN_API_KEY=$(loops-nb token)"
#: So many connections wait to be accepted at most.
QUEUE = 512


def serve(settings: Settings, *, port: int, registry: Path | None = None, say: Callable[[str], None] = print) -> None:
    """Serve until the process is told to stop.

    Parameters
    ----------
    settings : Settings
        What to serve.
    port : int
        TCP port; 0 takes a free one.
    registry : Path, optional
        File in which to leave a note of this service while it runs, for others to find it.
    say : callable, default `print`
        Gets the line that tells that the service is ready, then those that tell its token where there is no
        ``registry`` to find it by, and before them a warning line for each way in which others can use the service.

    Raises
    ------
    CannotServeError
        If the port is taken or the address is not one of this machine.
    StoreError
        If the data folder cannot be used.
    """
    listening = bind(settings.host, port)
    try:
        info = ServiceInfo(
            url=_url(listening, settings.host),
            pid=os.getpid(),
            data_dir=str(settings.data_dir),
            version=__version__,
            started_at=now(),
            instance=settings.instance or secrets.token_hex(8),
            any_key=settings.any_key,
        )
        app = make_app(msgspec.structs.replace(settings, instance=info.instance))
        info = msgspec.structs.replace(info, notice=app.state.notice)
        notes = [note for note in (registry, _note_file(info.url)) if note is not None]

        def ready() -> None:
            unwritten = _leave_notes(notes, info)
            for line in (*unwritten, *_warnings(settings, info.notice)):
                say(f"Warning: {line}")
            say(f"Loops local service on {info.url} (data in {info.data_dir})")
            if registry is None and not settings.any_key:
                say(f"Token: {read_token(settings.data_dir)}")
                found = notes and not unwritten
                say(_FOUND if found else "Set BASETEN_API_KEY to it for the programs that use this service.")

        def ending() -> None:
            app.state.service.workers.stop()
            for note in notes:
                remove_registry(note, info.instance)

        store = app.state.service.store

        def goes_on() -> bool:
            if registry is not None:
                keep_small(service_log(registry))
            return bool(store.is_there())

        server = LocalServer(config(app, settings.connections), ready, ending, goes_on=goes_on)
        # After the configuration, which sets uvicorn's own loggers up.
        write_to_standard_error()
        server.run(sockets=[listening])
        if server.ended_itself:
            raise StoreError(f"the data folder {info.data_dir} was removed while the service ran; it has ended")
    finally:
        listening.close()


def _note_file(url: str) -> Path | None:
    try:
        return note_file(url)
    except ConfigError:  # there is no home folder
        return None


def _leave_notes(notes: list[Path], info: ServiceInfo) -> list[str]:
    """Leave the notes by which this user's notebooks find the service; return what to warn of."""
    warnings = []
    for note in notes:
        try:
            write_registry(note, info)
        except OSError as error:
            why = error.strerror or error
            warnings.append(
                f"the note {note} cannot be written ({why}), so notebooks do not find the token; set BASETEN_API_KEY "
                f"there."
            )
    return warnings


def _warnings(settings: Settings, notice: str) -> list[str]:
    warnings = [notice] if notice else []
    if settings.any_key:
        warnings.append(
            "any key opens this service, so every user of this machine can read, change and delete what is in it."
        )
    if not is_local_name(settings.host):
        opens = "any key opens it" if settings.any_key else "its token crosses the network in the clear"
        warnings.append(f"other machines can reach this service on {settings.host}, and {opens}.")
    return warnings


def config(app: ASGIApp, limits: ConnectionLimits | None = None) -> uvicorn.Config:
    """Return uvicorn's configuration: h11, which keeps the host of an absolute target, and no access log."""
    limits = allowed_limits(limits or ConnectionLimits())
    return uvicorn.Config(
        app,
        http=protocol(limits),
        loop="asyncio",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=math.ceil(limits.idle_seconds),
        # So many are accepted at once. Each takes a file until it is refused, some turns of the event loop later.
        backlog=max(1, limits.connections // 8),
        h11_max_incomplete_event_size=HEAD_BYTES,
        timeout_graceful_shutdown=2,
    )


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises
    ------
    CannotServeError
        If the port is taken or the address is not one of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # With the protocol spelled out: asyncio switches Nagle's delay (40 ms an answer) off only where it reads TCP.
        listening = socket.socket(family, kind, protocol)
    except (OSError, OverflowError, UnicodeError) as error:
        raise CannotServeError(f"cannot listen on {host}:{port} ({error})") from None
    try:
        if sys.platform != "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(QUEUE)
    except OSError as error:
        listening.close()
        text = (
            f"port {port} on {host} is taken; try --port 0 for a free one"
            if error.errno == errno.EADDRINUSE
            else f"cannot listen on {host}:{port} ({error})"
        )
        raise CannotServeError(text) from None
    listening.settimeout(0)
    return listening


class LocalServer(uvicorn.Server):
    """A server that calls back when it accepts requests, and before it ends.

    It asks each second whether it ``goes_on``: a service in the background whose folder was removed would otherwise
    keep running unnoticed.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        ready: Callable[[], None],
        ending: Callable[[], None] = lambda: None,
        *,
        goes_on: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._ending = ending
        self._goes_on = goes_on
        self.ended_itself: bool = False

    async def on_tick(self, counter: int) -> bool:
        """Return whether to end, ten times a second."""
        if counter % 10 == 0:
            if not self._goes_on():
                self.ended_itself = True
                return True
            self._expire()
        return await super().on_tick(counter)

    def _expire(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in list(self.server_state.connections):
            if isinstance(connection, LimitedProtocol):
                connection.expire(now)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept requests."""
        await super().startup(sockets=sockets)
        for listening in sockets or []:
            # The system may let more connections wait than are accepted at a time.
            listening.listen(QUEUE)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let running requests end."""
        # Here, because after this the signal that ended it is raised again and ends the process.
        self._ending()
        await super().shutdown(sockets=sockets)


def _url(listening: socket.socket, host: str) -> str:
    port = listening.getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    if host == "0.0.0.0":  # noqa: S104 - not bound here
        name = "127.0.0.1"
    elif host == "::":
        name = "[::1]"
    return f"http://{name}:{port}"
