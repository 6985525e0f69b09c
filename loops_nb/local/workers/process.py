"""Worker process as seen by the service: start, call, end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from loops_nb.local.environment import without_secrets
from loops_nb.local.workers.messages import HEADER, WorkerCall, pack, read_reply
from loops_nb.local.workers.output import OutputLine, read_output

WORKER: tuple[str, ...] = (sys.executable, "-m", "loops_nb.local.workers.main")
#: Environment of a worker: one BLAS thread, which is faster for small matrices, and freed memory is kept, because
#: asking the system for it again takes a third of a step.  Only glibc knows the last two.
WORKER_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "MALLOC_TRIM_THRESHOLD_": "134217728",
    "MALLOC_MMAP_THRESHOLD_": "134217728",
}
_READ_AHEAD = 1 << 20
#: Seconds that the last lines of a process which has ended are waited for.
_LAST_LINES = 1.0


class WorkerDiedError(Exception):
    """The process ended before it answered; the text says how."""


class OperationError(Exception):
    """The worker refused a call, or failed.

    Parameters
    ----------
    error_class : str
        Name of the class of the error, as clients see it.
    text : str
        What happened, in words.
    """

    def __init__(self, error_class: str, text: str) -> None:
        super().__init__(text)
        self.error_class = error_class


class WorkerProcess:
    """A running worker; made by `start`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        said: Callable[[list[OutputLine]], None],
        ended: Callable[[WorkerProcess], None],
    ) -> None:
        self._process = process
        self._lock = asyncio.Lock()
        assert process.stderr is not None  # noqa: S101 - `start` asks for it
        self._output = asyncio.create_task(read_output(process.stderr, said))
        self._watch = asyncio.create_task(self._wait(ended))

    @classmethod
    async def start(
        cls,
        command: Sequence[str],
        *,
        said: Callable[[list[OutputLine]], None],
        ended: Callable[[WorkerProcess], None],
    ) -> WorkerProcess:
        """Start a process.

        Parameters
        ----------
        command : sequence of str
            What to run.
        said : callable
            Gets the lines that it writes to standard error.
        ended : callable
            Called when the process has ended, however it did.
        """
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**without_secrets(os.environ), **WORKER_ENVIRONMENT},
            limit=_READ_AHEAD,
        )
        return cls(process, said, ended)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Return whether it has not ended."""
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
                raise WorkerDiedError(self.exit_description())
            try:
                stdin.write(pack(WorkerCall(name=name, body=body, options=options)))
                await stdin.drain()
                header = await stdout.readexactly(HEADER.size)
                reply = read_reply(await stdout.readexactly(HEADER.unpack(header)[0]))
            except (OSError, EOFError):
                await self._watch
                raise WorkerDiedError(self.exit_description()) from None
        if reply.error_class:
            raise OperationError(reply.error_class, reply.error)
        return reply.result

    def exit_description(self) -> str:
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
        # What it said last explains its end. A process that it started may hold the stream open.
        await asyncio.wait({self._output}, timeout=_LAST_LINES)
        self._output.cancel()
        ended(self)
