"""The protocol of tokenizers, and a wrapper for those of other packages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from loops_nb.errors import InvalidArgumentError


class Tokenizer(Protocol):
    """Encodes text to token ids and decodes them."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of ids."""

    def is_special(self, token: int) -> bool:
        """Tell whether a token is special, not text."""


class WrappedTokenizer:
    """A tokenizer of ``tokenizers``, ``transformers``, or the caller's own.

    Parameters
    ----------
    own : object
        Has ``encode`` and ``decode``.
    special : collection of int
        Ids of special tokens.
    """

    def __init__(self, own: Any, special: Collection[int]) -> None:
        self._own = own
        self._special = frozenset(special)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""
        found = self._own.encode(text)
        # `tokenizers` returns an object with the ids, others the ids themselves.
        return [int(token) for token in getattr(found, "ids", found)]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of ids, special ones by their names."""
        try:
            return str(self._own.decode(list(tokens), skip_special_tokens=False))
        except TypeError:
            return str(self._own.decode(list(tokens)))

    def is_special(self, token: int) -> bool:
        """Tell whether a token is special, not text."""
        return token in self._special


def wrap_tokenizer(own: Any) -> Tokenizer:
    """Wrap a tokenizer of the caller.

    Raises
    ------
    InvalidArgumentError
        If it has no ``encode`` and ``decode``.
    """
    if not callable(getattr(own, "encode", None)) or not callable(getattr(own, "decode", None)):
        raise InvalidArgumentError(
            f"tokenizer must have encode(text) and decode(ids), which {type(own).__name__} has not.",
            argument="tokenizer",
            hint="For example transformers.AutoTokenizer.from_pretrained(...) or tokenizers.Tokenizer.from_file(...)",
        )
    special = getattr(own, "all_special_ids", None)
    if special is None and callable(getattr(own, "get_added_tokens_decoder", None)):
        special = [key for key, token in own.get_added_tokens_decoder().items() if getattr(token, "special", False)]
    return WrappedTokenizer(own, special or ())
