"""Chats: checked messages, and the text of a cell as the turns of a chat."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from loops_nb.errors import InvalidArgumentError

if TYPE_CHECKING:
    from loops_nb.sampling.tokenizers import Tokenizer

#: One turn of a chat: ``role`` and ``content``, a text.
ChatMessage: TypeAlias = dict[str, str]
ROLES = ("system", "user", "assistant", "tool")
_TURN = re.compile(rf"^(?:{'|'.join(ROLES)}):[ \t]*", re.MULTILINE | re.IGNORECASE)


def is_chat(prompt: Any) -> bool:
    """Return whether a prompt is a list of messages, and not of token ids."""
    return isinstance(prompt, Sequence) and not isinstance(prompt, str) and any(isinstance(m, Mapping) for m in prompt)


def checked_messages(messages: Iterable[Any], argument: str = "prompt") -> tuple[ChatMessage, ...]:
    """Return the messages of a chat that is answered next.

    Parameters
    ----------
    messages : iterable of mapping
        With ``role`` and ``content``; other keys are left out.
    argument : str, default "prompt"
        Name of the argument, for the error.

    Raises
    ------
    InvalidArgumentError
        If one is no message, or the last one is the assistant's own.
    """
    found: list[ChatMessage] = []
    for number, message in enumerate(messages):
        role = message.get("role") if isinstance(message, Mapping) else None
        content = message.get("content") if isinstance(message, Mapping) else None
        if role not in ROLES or not isinstance(content, str):
            raise InvalidArgumentError(
                f"{argument}[{number}] must be a message such as {{'role': 'user', 'content': 'Hello'}} with a role of"
                f" {', '.join(ROLES)}, not {message!r:.80}.",
                argument=argument,
            )
        found.append({"role": str(role), "content": content})
    if not found or found[-1]["role"] not in {"user", "tool"}:
        raise InvalidArgumentError(
            f"A chat ends with what the model answers: a message of the user, not of the "
            f"{found[-1]['role'] if found else 'system'}.",
            argument=argument,
        )
    if not found[-1]["content"].strip():
        raise InvalidArgumentError("The last turn of the chat is empty: there is nothing to answer.", argument=argument)
    return tuple(found)


def turns(text: str) -> list[ChatMessage]:
    """Return the turns of a text: ``user: ...`` begins one at the start of a line; without any, all is the user's.

    Parameters
    ----------
    text : str
        The text of a cell.

    Examples
    --------
    >>> turns("user: Hello" + chr(10) + "assistant: Hi")[1]
    {'role': 'assistant', 'content': 'Hi'}
    """
    marks = list(_TURN.finditer(text))
    if not marks or text[: marks[0].start()].strip():
        # A colon somewhere in a text is no turn.
        return [{"role": "user", "content": text}]
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return [
        {"role": mark[0].rstrip().removesuffix(":").lower(), "content": text[mark.end() : end].strip()}
        for mark, end in zip(marks, ends, strict=True)
    ]


def encode_prompt(tokenizer: Tokenizer, prompt: str | tuple[ChatMessage, ...]) -> list[int]:
    """Return the ids of a text, or of a chat by the model's template."""
    return tokenizer.encode(prompt) if isinstance(prompt, str) else tokenizer.encode_chat(prompt)
