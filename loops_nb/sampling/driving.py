"""Carries out the steps of sampling: here they meet the network, the clock and the tokenizer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TypeVar

from loops_nb.client.async_transport import AsyncTransport
from loops_nb.client.sampling import Ask, Encode, Pause, Send, Step, Tell
from loops_nb.client.transport import Transport
from loops_nb.tokenizing import Tokenizer, need_tokenizer

if TYPE_CHECKING:
    from loops_nb.live.waiting.line import Line

T = TypeVar("T")


def drive(steps: Generator[Step, Any, T], transport: Transport, *, tokenizer: Tokenizer | None, quiet: bool) -> T:
    """Do one step after the other, and return what came of them.

    Parameters
    ----------
    steps
        What is to be done.
    transport
        The connection.
    tokenizer
        The person's own; None to find the model's.
    quiet
        Write nothing while waiting for a sampler.
    """
    told = _Told(quiet=quiet)
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = steps.throw(error) if error is not None else steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result
        except BaseException:
            told.end()
            raise
        answer = error = None
        try:
            told.hear(step)
            answer = _do(step, transport, tokenizer)
        except BaseException as caught:  # noqa: BLE001 - the steps decide what becomes of it, Ctrl-C too
            error = caught


async def drive_async(steps: Generator[Step, Any, T], transport: AsyncTransport, *, tokenizer: Tokenizer | None, quiet: bool) -> T:
    """Do the same as `drive`, awaiting."""
    told = _Told(quiet=quiet)
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = steps.throw(error) if error is not None else steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result
        except BaseException:
            told.end()
            raise
        answer = error = None
        try:
            told.hear(step)
            answer = await _do_async(step, transport, tokenizer)
        except BaseException as caught:  # noqa: BLE001 - the steps decide what becomes of it, a cancelled task too
            error = caught


class _Told:
    """The one line that says how a sampler stands; there is none as long as nothing is waited for."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._line: Line | None = None

    def hear(self, step: Step) -> None:
        """Show what a step tells, if it tells something."""
        if not isinstance(step, Tell):
            return
        # Who need not wait needs no poller, which comes along with these.
        from loops_nb.live.waiting.line import Line  # noqa: PLC0415
        from loops_nb.live.waiting.vigil import News  # noqa: PLC0415

        if self._line is None:
            self._line = Line(f"sampler {step.sampler_id}", "ACTIVE", quiet=self._quiet)
        if step.is_up:
            self._line.end("is ACTIVE")
        else:
            self._line.show(News(step.status, None))

    def end(self) -> None:
        """Say that nothing came of it."""
        if self._line is not None:
            self._line.end()


def _do(step: Step, transport: Transport, tokenizer: Tokenizer | None) -> Any:
    match step:
        case Send(call):
            return transport.send(call)
        case Ask(call, address):
            return transport.beside(address).ask(call)
        case Pause(seconds):
            return time.sleep(seconds)
        case Tell():
            return None
        case Encode(text, base_model, base_checkpoint):
            return (tokenizer or need_tokenizer(base_model, base_checkpoint)).encode(text)


async def _do_async(step: Step, transport: AsyncTransport, tokenizer: Tokenizer | None) -> Any:
    match step:
        case Send(call):
            return await transport.send(call)
        case Ask(call, address):
            return await transport.beside(address).ask(call)
        case Pause(seconds):
            return await asyncio.sleep(seconds)
        case Tell():
            return None
        case Encode(text, base_model, base_checkpoint):
            if tokenizer is None:
                # To find one may mean to read files, or to ask the hub.
                tokenizer = await asyncio.to_thread(need_tokenizer, base_model, base_checkpoint)
            return tokenizer.encode(text)
