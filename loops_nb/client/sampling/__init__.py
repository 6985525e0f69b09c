"""Asking a sampler for completions: what is sent, in which order, and how the answer is read.  No I/O here."""

from __future__ import annotations

from loops_nb.client.sampling.flow import Chosen, sampling
from loops_nb.client.sampling.reading import Answer, Choice
from loops_nb.client.sampling.steps import Ask, Encode, Pause, Send, Step, Tell
from loops_nb.client.sampling.wish import Wish

__all__ = ["Answer", "Ask", "Choice", "Chosen", "Encode", "Pause", "Send", "Step", "Tell", "Wish", "sampling"]
