"""The byte-level tokenizer of the ``loops-local/*`` models.

Equivalent to the tokenizer files of the local service, but without any other package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loops_nb.api.chat_text import chat_text

#: Prefix of the names of its models.
LOCAL_MODELS = "loops-local/"
_BYTES = 256
SPECIAL = {256: "<|endoftext|>", 257: "<|startoftext|>"}


class ByteLevel:
    """Ids 0 to 255 are the bytes of UTF-8; two more are the end and the start of a text."""

    def encode(self, text: str) -> list[int]:
        """Return the UTF-8 bytes of a text; lone surrogates become the replacement character."""
        return list(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode())

    def encode_chat(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Return the ids of a chat: each turn is a line that begins with its role in brackets."""
        return self.encode(chat_text(messages))

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens; invalid UTF-8 becomes the replacement character, a special token its name."""
        parts: list[str] = []
        run = bytearray()
        for token in tokens:
            if 0 <= token < _BYTES:
                run.append(token)
                continue
            parts += [run.decode("utf-8", "replace"), SPECIAL.get(token, "\ufffd")]
            run.clear()
        return "".join([*parts, run.decode("utf-8", "replace")])

    def is_special(self, token: int) -> bool:
        """Tell whether a token is special, not text."""
        return token in SPECIAL
