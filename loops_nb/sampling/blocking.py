"""What blocks while sampling, in a sync and an async form."""

from __future__ import annotations

import asyncio
import time

from loops_nb.sampling.tokenizers import Tokenizer, need_tokenizer


def sleep(seconds: float) -> None:
    """Sleep."""
    time.sleep(seconds)


async def sleep_async(seconds: float) -> None:
    """Sleep without blocking the event loop."""
    await asyncio.sleep(seconds)


def load_tokenizer(base_model: str | None, base_checkpoint: str | None) -> Tokenizer:
    """Load the tokenizer of a model, from files or from the hub; errors as in `need_tokenizer`."""
    return need_tokenizer(base_model, base_checkpoint)


async def load_tokenizer_async(base_model: str | None, base_checkpoint: str | None) -> Tokenizer:
    """Load the tokenizer of a model in a thread."""
    return await asyncio.to_thread(need_tokenizer, base_model, base_checkpoint)
