"""The protocol of tokenizers, and a wrapper for those of other packages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from loops_nb.errors import InvalidArgumentError, LoopsError, one_line
from loops_nb.sampling.tokenizers.chat_template import ChatTemplate


class Tokenizer(Protocol):
    """Encodes text to token ids and decodes them."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""

    def encode_chat(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Return the ids of a chat by the model's template, up to where its answer begins."""

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
    load_template : callable, optional
        Loads the chat template; returns None if there is none.
    """

    def __init__(
        self, own: Any, special: Collection[int], load_template: Callable[[], ChatTemplate | None] | None = None
    ) -> None:
        self._own = own
        self._special = frozenset(special)
        self._load_template = load_template

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""
        found = self._own.encode(text)
        # `tokenizers` returns an object with the ids, others the ids themselves.
        return [int(token) for token in getattr(found, "ids", found)]

    def encode_chat(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Return the ids of a chat by the model's template.

        Raises
        ------
        LoopsError
            If there is no template, or it refuses the messages.
        """
        text = self._chat_text(messages)
        try:
            # The template has the special tokens already.
            found = self._own.encode(text, add_special_tokens=False)
        except TypeError:
            return self.encode(text)
        return [int(token) for token in getattr(found, "ids", found)]

    def _chat_text(self, messages: Sequence[Mapping[str, str]]) -> str:
        own = getattr(self._own, "apply_chat_template", None)
        if callable(own):
            try:
                return str(own([dict(message) for message in messages], tokenize=False, add_generation_prompt=True))
            except Exception as error:  # noqa: BLE001 - templates raise errors of Jinja and their own
                raise LoopsError(
                    f"The tokenizer's chat template refuses these messages: {one_line(str(error), limit=200)}"
                ) from None
        template = self._load_template() if self._load_template is not None else None
        if template is None:
            raise LoopsError(
                "This model's tokenizer has no chat template, so a chat cannot be written for it.",
                hint="Sample without --chat: write the whole prompt in the model's own form.",
            )
        return template.render(messages)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of ids, special ones by their names."""
        try:
            return str(self._own.decode(list(tokens), skip_special_tokens=False))
        except TypeError:
            return str(self._own.decode(list(tokens)))

    def is_special(self, token: int) -> bool:
        """Tell whether a token is special, not text."""
        return token in self._special


def wrap_tokenizer(own: Any, load_template: Callable[[], ChatTemplate | None] | None = None) -> Tokenizer:
    """Wrap a tokenizer of the caller.

    Parameters
    ----------
    own : object
        Has ``encode`` and ``decode``, and for chats ``apply_chat_template``.
    load_template : callable, optional
        Loads the chat template of one without that method.

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
    return WrappedTokenizer(own, special or (), load_template)
