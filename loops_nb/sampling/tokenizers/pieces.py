"""Splits token ids into pieces of text that are whole characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loops_nb.sampling.tokenizers.wrapper import Tokenizer

#: Decoded from the bytes of an incomplete character.
_UNFINISHED = "\ufffd"
#: No character has more tokens than this.
_LONGEST = 8


@dataclass(frozen=True, slots=True)
class Piece:
    """The text of one or several tokens.

    Parameters
    ----------
    text : str
        Its characters.
    start, stop : int
        Its tokens are ``tokens[start:stop]``.
    is_special : bool, default False
        Whether it is a special token.
    """

    text: str
    start: int
    stop: int
    is_special: bool = False


def pieces_of(tokens: Sequence[int], tokenizer: Tokenizer) -> list[Piece]:
    """Split tokens into the shortest pieces that are whole characters.

    The text of a token may depend on the tokens before it (a space before a word, a byte of a longer character), so
    each is decoded together with them.
    """
    found: list[Piece] = []
    before = start = 0
    pending = ""
    for stop in range(1, len(tokens) + 1):
        special = tokenizer.is_special(tokens[stop - 1])
        if special and start < stop - 1:
            found.append(Piece(_new(tokens, before, start, stop - 1, tokenizer), start, stop - 1))
            before = start = stop - 1
            pending = ""
        text = _new(tokens, before, start, stop, tokenizer)
        if pending and len(text) > len(pending) and text.startswith(pending):
            # The incomplete character was not continued.
            found.append(Piece(pending, start, stop - 1))
            before, start = start, stop - 1
            text = _new(tokens, before, start, stop, tokenizer)
        waits = (
            not special and (not text or text.endswith(_UNFINISHED)) and stop - start < _LONGEST and stop < len(tokens)
        )
        pending = text if waits else ""
        if not waits:
            found.append(Piece(text, start, stop, special))
            before, start = start, stop
    return found


def _new(tokens: Sequence[int], before: int, start: int, stop: int, tokenizer: Tokenizer) -> str:
    known = tokenizer.decode(tokens[before:start])
    return tokenizer.decode(tokens[before:stop])[len(known) :]
