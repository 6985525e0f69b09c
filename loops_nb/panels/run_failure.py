"""Why a run failed, was preempted or is stuck: asked once for each of its states, on another thread."""

from __future__ import annotations

import logging
import threading
from contextlib import closing
from typing import TYPE_CHECKING

from loops_nb import faults
from loops_nb.client.diagnosis import Diagnosis, diagnose, failed_half
from loops_nb.config.time_zone import display_zone
from loops_nb.errors import LoopsError, one_line
from loops_nb.panels.messages import Fact
from loops_nb.render.log_lines import text_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from loops_nb.api.models import Deployment, Run
    from loops_nb.client.config import ClientConfig

logger: logging.Logger = logging.getLogger(__name__)
#: Of the last lines, the newest first; the page tells facts by their labels.
_LABELS = ("last line", "line before", "second line before")
_LONGEST = 240


class RunFailure:
    """What is known of why a run is not running.

    Parameters
    ----------
    config : ClientConfig
        Address, key and request policy.
    time_zone : str
        Zone of the times of log lines.
    """

    def __init__(self, config: ClientConfig, time_zone: str) -> None:
        #: Called on another thread when `facts` has something new.
        self.on_found: Callable[[], None] = lambda: None
        self._config = config
        self._zone = time_zone
        self._state: tuple[str, str] | None = None
        self._facts: tuple[Fact, ...] = ()
        self._done = threading.Event()
        self._done.set()

    def facts(self, run: Run, deployment: Deployment | None, stuck: tuple[str, str] | None) -> tuple[Fact, ...]:
        """Return what is known; what is not is asked of the service, and `on_found` called.

        Parameters
        ----------
        run, deployment : Run, Deployment or None
            As they were listed.
        stuck : tuple of (str, str) or None
            The half that has been on its way up for too long, and its state.
        """
        state = failed_half(run, deployment) or stuck
        if state != self._state:
            self._state, self._facts = state, ()
            if state is not None:
                self._done.clear()
                threading.Thread(
                    target=self._ask, args=(state, run, deployment, stuck), name="loops-nb-why", daemon=True
                ).start()
        return self._facts

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is asked any more; return whether that is so."""
        return self._done.wait(seconds)

    def _ask(
        self, state: tuple[str, str], run: Run, deployment: Deployment | None, stuck: tuple[str, str] | None
    ) -> None:
        from loops_nb.client.transport import Transport  # httpx

        try:
            with closing(Transport(self._config)) as transport:
                found = transport.send_each(diagnose(run, deployment, stuck=stuck))
            facts = () if found is None else self._in_words(found)
        except LoopsError as error:
            facts = (Fact(label="why", value=f"not known: {error.message}", tone="bad"),)
        except Exception as error:  # noqa: BLE001 - it must not end the thread unseen
            facts = (
                Fact(label="why", value=faults.record(logger, "asking why a run ended", error).reason, tone="bad"),
            )
        if self._state == state:
            self._facts = facts
            self.on_found()
        self._done.set()

    def _in_words(self, found: Diagnosis) -> tuple[Fact, ...]:
        zone = display_zone(self._zone)
        facts = [Fact(label="why", value=found.reason, tone="bad")]
        shown = zip(_LABELS, reversed(found.lines), strict=False)
        facts += [Fact(label=label, value=one_line(text_line(line, zone), limit=_LONGEST)) for label, line in shown]
        if found.advice:
            facts.append(Fact(label="what to do", value=" ".join(found.advice)))
        if found.command:
            facts.append(Fact(label="resume", value=found.command, code=found.command))
        return tuple(facts)
