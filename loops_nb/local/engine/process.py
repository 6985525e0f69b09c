"""The service's side of a worker process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from loops_nb.local.engine.frames import HEADER, Call, pack, read_reply
from loops_nb.local.environment import without_secrets
from loops_nb.local.model.environment import ENVIRONMENT

WORKER: tuple[str, ...] = (sys.executable, "-m", "loops_nb.local.engine.worker")
_READ_AHEAD = 1 << 20


class WorkerDiedError(Exception):
    """The process ended before it answered; the text says how."""


class OperationError(Exception):
    """The worker refused a call, or failed.

    Parameters
    ----------
    error_class
        Name of the class of the error, as callers are told.
    text
        What happened, in words.
    """

    def __init__(self, error_class: str, text: str) -> None:
        super().__init__(text)
        self.error_class = error_class


class WorkerProcess:
    """A running worker; made by `start`."""

    def __init__(self, process: asyncio.subprocess.Process, ended: Callable[[WorkerProcess], None]) -> None:
        self._process = process
        self._lock = asyncio.Lock()
        self._watch = asyncio.create_task(self._wait(ended))

    @classmethod
    async def start(cls, command: Sequence[str], *, log: Path, ended: Callable[[WorkerProcess], None]) -> WorkerProcess:
        """Start a process.

        Parameters
        ----------
        command
            What to run.
        log
            Gets what it says on standard error.
        ended
            Called when the process has ended, however it did.
        """
        with os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env={**without_secrets(os.environ), **ENVIRONMENT},
                limit=_READ_AHEAD,
            )
        return cls(process, ended)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Tell whether it has not ended."""
        return self._process.returncode is None

    async def call(self, name: str, body: bytes = b"", **options: Any) -> bytes:
        """Ask for something and return the result as JSON; calls wait for each other.

        Raises
        ------
        OperationError
            If the worker says no.
        WorkerDiedError
            If it ends before it answers.
        """
        async with self._lock:
            stdin, stdout = self._process.stdin, self._process.stdout
            if stdin is None or stdout is None or not self.alive:
                raise WorkerDiedError(self.how())
            try:
                stdin.write(pack(Call(name=name, body=body, options=options)))
                await stdin.drain()
                header = await stdout.readexactly(HEADER.size)
                reply = read_reply(await stdout.readexactly(HEADER.unpack(header)[0]))
            except (OSError, EOFError):
                await self._watch
                raise WorkerDiedError(self.how()) from None
        if reply.error_class:
            raise OperationError(reply.error_class, reply.error)
        return reply.result

    def how(self) -> str:
        """Say how it ended."""
        code = self._process.returncode
        if code is None:
            return "is running"
        return f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"

    async def end(self) -> None:
        """End the process and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            if self.alive:
                self._process.kill()
        await self._watch
        if self._process.stdin is not None:
            self._process.stdin.close()
            with contextlib.suppress(OSError):
                await self._process.stdin.wait_closed()

    async def _wait(self, ended: Callable[[WorkerProcess], None]) -> None:
        await self._process.wait()
        ended(self)
