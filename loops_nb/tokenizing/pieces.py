"""A completion as pieces of text, each with the tokens that it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from loops_nb.tokenizing.given import Tokenizer

#: What a tokenizer writes for bytes that are no character yet.
_UNFINISHED = "\ufffd"
#: No character takes more tokens than this.
_LONGEST = 8


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a completion that can be shown.

    Parameters
    ----------
    text
        Its characters.
    start, stop
        Its tokens are those from ``start`` up to, not including, ``stop``.
    is_special
        Whether it is a mark and no part of the text.
    """

    text: str
    start: int
    stop: int
    is_special: bool = False


def pieces_of(tokens: Sequence[int], tokenizer: Tokenizer) -> list[Piece]:
    """Cut tokens into the shortest pieces that are whole characters.

    A token alone does not always tell its text (a space before a word, a byte of a longer character), so each is decoded together with
    what stands before it.
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
            # What waited for the rest of a character has got something else.
            found.append(Piece(pending, start, stop - 1))
            before, start = start, stop - 1
            text = _new(tokens, before, start, stop, tokenizer)
        waits = not special and (not text or text.endswith(_UNFINISHED)) and stop - start < _LONGEST and stop < len(tokens)
        pending = text if waits else ""
        if not waits:
            found.append(Piece(text, start, stop, special))
            before, start = start, stop
    return found


def _new(tokens: Sequence[int], before: int, start: int, stop: int, tokenizer: Tokenizer) -> str:
    known = tokenizer.decode(tokens[before:start])
    return tokenizer.decode(tokens[before:stop])[len(known) :]
