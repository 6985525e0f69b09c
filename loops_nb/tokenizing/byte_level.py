"""The tokenizer of the ``loops-local/*`` models: one token a byte.

The same as the folder that the local service ships for programs that load tokenizers from a folder; spelt out here, so that a notebook
needs no further package for it.
"""

from __future__ import annotations

from collections.abc import Sequence

#: Names of models that it belongs to begin so.
LOCAL_MODELS = "loops-local/"
_BYTES = 256
SPECIAL = {256: "<|endoftext|>", 257: "<|startoftext|>"}


class ByteLevel:
    """Ids 0 to 255 are the bytes of UTF-8; two more mark the end and the start of a text."""

    def encode(self, text: str) -> list[int]:
        """Return the bytes of a text.  Half a surrogate pair, which UTF-8 cannot hold, becomes the replacement character."""
        return list(text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode())

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens; what is no UTF-8 becomes the replacement character, a special token its name."""
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
        """Tell whether a token is a mark and no part of the text."""
        return token in SPECIAL
