"""What the model says no to."""

from __future__ import annotations


class BadRequest(ValueError):  # noqa: N818 - it is an answer to the caller, and not a fault of the model
    """What the caller sent is wrong, or is more than this model can do; the text says what, and what to send instead."""
