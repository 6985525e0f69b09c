"""Carries out the steps of sampling: here they meet the network, the clock and the tokenizer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

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
    course = _Course(steps, quiet=quiet)
    while (step := course.step) is not None:
        try:
            course.tell()
            answer = _do(step, transport, tokenizer)
        except BaseException as error:  # noqa: BLE001 - the steps decide what becomes of it, Ctrl-C too
            course.failed(error)
        else:
            course.answered(answer)
    return course.result


async def drive_async(steps: Generator[Step, Any, T], transport: AsyncTransport, *, tokenizer: Tokenizer | None, quiet: bool) -> T:
    """Do the same as `drive`, awaiting."""
    course = _Course(steps, quiet=quiet)
    while (step := course.step) is not None:
        try:
            course.tell()
            answer = await _do_async(step, transport, tokenizer)
        except BaseException as error:  # noqa: BLE001 - the steps decide what becomes of it, a cancelled task too
            course.failed(error)
        else:
            course.answered(answer)
    return course.result


class _Course(Generic[T]):
    """How far the steps are: the next one, or, when there is none, what came of them."""

    result: T

    def __init__(self, steps: Generator[Step, Any, T], *, quiet: bool) -> None:
        self._steps = steps
        self._told = _Told(quiet=quiet)
        self.step: Step | None = None
        self.answered(None)

    def tell(self) -> None:
        """Show what the step tells, if it tells something."""
        if self.step is not None:
            self._told.hear(self.step)

    def answered(self, answer: Any) -> None:
        """Go on with what the step brought."""
        self._go_on(lambda: self._steps.send(answer))

    def failed(self, error: BaseException) -> None:
        """Go on after a step that failed: the steps catch it, or it is raised."""
        self._go_on(lambda: self._steps.throw(error))

    def _go_on(self, move: Callable[[], Step]) -> None:
        try:
            self.step = move()
        except StopIteration as end:
            self.step, self.result = None, end.value
        except BaseException:
            self._told.end()
            raise


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
