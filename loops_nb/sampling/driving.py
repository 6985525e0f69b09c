"""Carries out the steps of sampling: here they meet the network, the clock and the tokenizer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from typing import Any, TypeVar

from loops_nb.client.async_transport import AsyncTransport
from loops_nb.client.sampling import Ask, Encode, Pause, Send, Step, WaitUntilActive
from loops_nb.client.transport import Transport
from loops_nb.tokenizing import Tokenizer, need_tokenizer

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
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = steps.throw(error) if error is not None else steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result
        answer = error = None
        try:
            answer = _do(step, transport, tokenizer, quiet=quiet)
        except BaseException as caught:  # noqa: BLE001 - the steps decide what becomes of it, Ctrl-C too
            error = caught


async def drive_async(steps: Generator[Step, Any, T], transport: AsyncTransport, *, tokenizer: Tokenizer | None, quiet: bool) -> T:
    """Do the same as `drive`, awaiting."""
    answer: Any = None
    error: BaseException | None = None
    while True:
        try:
            step = steps.throw(error) if error is not None else steps.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result
        answer = error = None
        try:
            answer = await _do_async(step, transport, tokenizer, quiet=quiet)
        except BaseException as caught:  # noqa: BLE001 - the steps decide what becomes of it, a cancelled task too
            error = caught


def _do(step: Step, transport: Transport, tokenizer: Tokenizer | None, *, quiet: bool) -> Any:
    match step:
        case Send(call):
            return transport.send(call)
        case Ask(call, address):
            return transport.beside(address).ask(call)
        case Pause(seconds):
            return time.sleep(seconds)
        case WaitUntilActive(sampler_id, seconds):
            from loops_nb.live import waiting  # noqa: PLC0415 - who need not wait needs no poller

            return waiting.wait(transport.exchange, waiting.SamplerAim(sampler_id, "ACTIVE"), timeout=seconds, quiet=quiet)
        case Encode(text, base_model, base_checkpoint):
            return (tokenizer or need_tokenizer(base_model, base_checkpoint)).encode(text)


async def _do_async(step: Step, transport: AsyncTransport, tokenizer: Tokenizer | None, *, quiet: bool) -> Any:
    match step:
        case Send(call):
            return await transport.send(call)
        case Ask(call, address):
            return await transport.beside(address).ask(call)
        case Pause(seconds):
            return await asyncio.sleep(seconds)
        case WaitUntilActive(sampler_id, seconds):
            from loops_nb.live import waiting  # noqa: PLC0415 - who need not wait needs no poller

            return await waiting.wait_async(transport.exchange, waiting.SamplerAim(sampler_id, "ACTIVE"), timeout=seconds, quiet=quiet)
        case Encode(text, base_model, base_checkpoint):
            if tokenizer is None:
                # To find one may mean to read files, or to ask the hub.
                tokenizer = await asyncio.to_thread(need_tokenizer, base_model, base_checkpoint)
            return tokenizer.encode(text)
