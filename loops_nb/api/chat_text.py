"""The text of a chat for the ``loops-local`` models, whose tokens are bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def chat_text(messages: Sequence[Mapping[str, str]]) -> str:
    """Return the text of a chat, up to where the answer begins: each turn is a line that begins with its role.

    The tokenizer files of these models have the same as a template.

    Parameters
    ----------
    messages : sequence of mapping
        With ``role`` and ``content``.
    """
    lines = [f"[{message['role']}] {message['content']}\n" for message in messages]
    return "".join([*lines, "[assistant] "])
