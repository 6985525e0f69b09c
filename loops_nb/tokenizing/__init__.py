"""Tokenizers: from a text to the ids that a model knows, and back, piece by piece."""

from __future__ import annotations

from loops_nb.tokenizing.byte_level import ByteLevel
from loops_nb.tokenizing.finding import find_tokenizer, need_tokenizer
from loops_nb.tokenizing.given import Tokenizer, given_tokenizer
from loops_nb.tokenizing.pieces import Piece, pieces_of

__all__ = ["ByteLevel", "Piece", "Tokenizer", "find_tokenizer", "given_tokenizer", "need_tokenizer", "pieces_of"]
