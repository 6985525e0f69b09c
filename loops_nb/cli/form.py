"""The form in which a result is printed."""

from __future__ import annotations

from enum import Enum


class Form(Enum):
    """How a result is printed."""

    TEXT = "text"
    JSON = "json"
    JSON_LINES = "jsonl"
    IDS = "ids"
