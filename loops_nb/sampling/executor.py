"""Performs the actions of sampling: requests, waits and tokenizers."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

from loops_nb.client.transport import Transport
from loops_nb.sampling.action_iterator import ActionIterator
from loops_nb.sampling.actions import Action, Encode, Send, SendOnce, ShowStatus, Sleep
from loops_nb.sampling.blocking import load_tokenizer, sleep
from loops_nb.sampling.chat import encode_prompt
from loops_nb.sampling.tokenizers import Tokenizer

T = TypeVar("T")


def execute(actions: Generator[Action, Any, T], transport: Transport, *, tokenizer: Tokenizer | None, quiet: bool) -> T:
    """Perform one action after the other, and return the result of the generator.

    Parameters
    ----------
    actions : generator
        Yields actions, and is sent the result of each.
    transport : Transport
        The connection.
    tokenizer : Tokenizer or None
        The caller's own; None to load the model's.
    quiet : bool
        Write nothing while waiting for a sampler.
    """
    pending = ActionIterator(actions, quiet=quiet)
    while (action := pending.action) is not None:
        try:
            pending.show_status()
            result = _perform(action, transport, tokenizer)
        except BaseException as error:  # noqa: BLE001 - the generator decides, also on Ctrl-C and a cancelled task
            pending.throw(error)
        else:
            pending.resume(result)
    return pending.result


def _perform(action: Action, transport: Transport, tokenizer: Tokenizer | None) -> Any:
    match action:
        case Send(request):
            return transport.send(request)
        case SendOnce(request, address):
            return transport.for_host(address).send_once(request)
        case Sleep(seconds):
            sleep(seconds)
        case Encode(prompt, base_model, base_checkpoint):
            if tokenizer is None:
                tokenizer = load_tokenizer(base_model, base_checkpoint)
            return encode_prompt(tokenizer, prompt)
        case ShowStatus():
            pass
    return None
