"""Waiting for a model deployment, which is in no listing of Loops: its states, its end and the pauses; no I/O."""

from __future__ import annotations

import time
from asyncio import CancelledError
from types import TracebackType
from typing import Any, Self

from loops_nb.api.models import ModelDeployment
from loops_nb.api.states import SAMPLER_TERMINAL
from loops_nb.client import checks
from loops_nb.errors import NeverReachedError, WaitTimeoutError
from loops_nb.live.wait.status_line import StatusLine
from loops_nb.live.wait.waiter import WaitProgress

ACTIVE = "ACTIVE"
#: States in which a call is answered; one that is scaled to zero wakes for it.
_READY = frozenset({ACTIVE, "SCALED_TO_ZERO", "UPDATING"})
_NEVER = SAMPLER_TERMINAL | {"DEACTIVATING", "UNHEALTHY"}
#: Seconds between two looks: one of the local service is up at once, others take minutes.
_PAUSES = (0.1, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 3.0, 5.0)
#: A service may show the state before a start for so long.
_START_SECONDS = 30.0


class ModelDeploymentWait:
    """One wait for a model deployment; as a context it ends the status line and explains an interruption.

    Parameters
    ----------
    model_id, deployment_id : str
        The deployment.
    timeout : float or None
        Seconds; None for no limit.
    quiet : bool
        Whether to print nothing.
    former_status : str, optional
        The state before it was started, which is no end at the beginning.
    """

    def __init__(
        self, model_id: str, deployment_id: str, *, timeout: Any, quiet: bool, former_status: str | None = None
    ) -> None:
        self._timeout = None if timeout is None else checks.seconds("timeout", timeout)
        self._name = f"model deployment {deployment_id}"
        self._call = f'loops.model_deployments.wait("{model_id}", "{deployment_id}")'
        self._end = f"%loops deploy deactivate {model_id}"
        self._logs = f'loops.model_deployments.logs("{model_id}", "{deployment_id}")'
        self._started = time.monotonic()
        self._former_status = former_status
        self._looks = 0
        self._status: str | None = None
        self._line = StatusLine(self._name, ACTIVE, quiet=quiet)

    def __enter__(self) -> Self:
        """Show the status line."""
        self._line.show()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the status line."""
        if isinstance(error, KeyboardInterrupt | CancelledError):
            self._line.end(f"stopped waiting, it goes on ({self._line.words})")
            error.add_note(
                f"Only the waiting was stopped: {self._name} goes on and is billed ({self._line.words}). To wait on: "
                f"{self._call}. To end it: {self._end}"
            )
        self._line.end("" if self._status is None else f"is {self._status}")

    def is_over(self, found: ModelDeployment) -> bool:
        """Return whether it can be called now.

        Raises
        ------
        NeverReachedError
            If it has failed or ended.
        """
        self._status = found.status
        self._line.show(WaitProgress(found.status, found.status))
        if found.status != self._former_status or time.monotonic() - self._started >= _START_SECONDS:
            self._former_status = None
        if found.status == self._former_status:
            return False
        if found.status in _NEVER:
            raise NeverReachedError(
                f"{self._name[0].upper()}{self._name[1:]} is {found.status} and does not become {ACTIVE} by itself.",
                status=found.status,
                hint=f"Its log lines may say why: {self._logs}. %loops deploy retry, activate and delete are for it.",
            )
        return found.status in _READY

    def pause(self) -> float:
        """Return the seconds until the next look.

        Raises
        ------
        WaitTimeoutError
            If the time is over.
        """
        if self._timeout is not None and time.monotonic() - self._started >= self._timeout:
            raise WaitTimeoutError(
                f"{self._name[0].upper()}{self._name[1:]} is not {ACTIVE} after {self._timeout:g} s: it was "
                f"{self._status} when last seen. It goes on, and is billed.",
                status=self._status,
                hint=f"Wait on: {self._call}",
            )
        seconds = _PAUSES[min(self._looks, len(_PAUSES) - 1)]
        self._looks += 1
        return seconds
