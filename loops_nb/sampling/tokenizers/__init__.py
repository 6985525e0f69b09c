"""Tokenizers: built in, from the Hugging Face cache or hub, or the caller's own."""

from __future__ import annotations

from loops_nb.sampling.tokenizers.byte_level import ByteLevel
from loops_nb.sampling.tokenizers.loader import find_tokenizer, need_tokenizer
from loops_nb.sampling.tokenizers.pieces import Piece, pieces_of
from loops_nb.sampling.tokenizers.wrapper import Tokenizer, wrap_tokenizer

__all__ = ["ByteLevel", "Piece", "Tokenizer", "find_tokenizer", "need_tokenizer", "pieces_of", "wrap_tokenizer"]
