"""Strict parser of safetensors headers: a header that does not fit the whole file is refused."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from itertools import pairwise
from typing import Any, NoReturn

from loops_nb.checkpoints.tensors.dtypes import BITS
from loops_nb.checkpoints.tensors.info import TensorInfo, tensor_info
from loops_nb.errors import UnreadableTensorsError
from loops_nb.render.formatting import many, size

#: Bytes before the header with its length.
PREFIX = 8
#: Limit of the format.
LONGEST_HEADER = 100_000_000
_METADATA = "__metadata__"
_LARGEST = 2**63 - 1
_MOST_DIMENSIONS = 32
_ENDS = 2
_KILO = 1000
# Checkpoints of a run have the same header; a large one is not worth the memory.
_LONGEST_CACHED = 1 << 20


class _RefusedError(Exception):
    """What is wrong with a header; the caller adds the file."""


def header_length(prefix: bytes, *, place: str, file_size: int) -> int:
    """Return the length of the header of a file.

    Parameters
    ----------
    prefix : bytes
        First bytes of the file: at least `PREFIX`, or all.
    place : str
        Name of the file in error messages.
    file_size : int
        Bytes of the whole file.

    Raises
    ------
    UnreadableTensorsError
        If the file cannot have such a header.
    """
    if file_size < PREFIX:
        raise unreadable(place, f"it has {many(file_size, 'byte')}, which is less than any such file")
    if file_size > _LARGEST:
        raise unreadable(place, "its listed size is more than any disk can hold")
    length = int.from_bytes(prefix[:PREFIX], "little")
    if length > LONGEST_HEADER:
        raise unreadable(
            place, f"its header would be {_amount(length)} long, and {_amount(LONGEST_HEADER)} is the most"
        )
    if length > file_size - PREFIX:
        raise unreadable(place, f"its header would be {_amount(length)} long, and the file has {_amount(file_size)}")
    return length


def parse_header(header: bytes, *, file: str, file_size: int, place: str = "") -> tuple[TensorInfo, ...]:
    """Return the tensors of a file, ordered by offset.

    Parameters
    ----------
    header : bytes
        The JSON after the first eight bytes.
    file : str
        Name of the file relative to the checkpoint.
    file_size : int
        Bytes of the whole file.
    place : str, optional
        Name of the file in error messages; by default ``file``.

    Raises
    ------
    UnreadableTensorsError
        If the header violates the format, or does not fit a file of this size.
    """
    try:
        parse = _parse_cached if len(header) <= _LONGEST_CACHED else _parse
        return parse(header, file, file_size)
    except _RefusedError as error:
        raise unreadable(place or file, str(error)) from None


def unreadable(place: str, what: str) -> UnreadableTensorsError:
    """Return the error for a file.

    Parameters
    ----------
    place : str
        Name of the file.
    what : str
        What is wrong with it.
    """
    return UnreadableTensorsError(
        f"{place} is not a safetensors file that can be read: {what}. Nothing of it was used."
    )


def _parse(header: bytes, file: str, file_size: int) -> tuple[TensorInfo, ...]:
    data_size = file_size - PREFIX - len(header)
    document = _document(header)
    _check_metadata(document.pop(_METADATA, {}))
    infos = [_info(name, entry, file, PREFIX + len(header), data_size) for name, entry in document.items()]
    infos.sort(key=lambda info: (info.first, info.last))
    _check_order(infos, file_size - data_size, file_size)
    return tuple(infos)


_parse_cached = lru_cache(maxsize=16)(_parse)


def _document(header: bytes) -> dict[str, Any]:
    if not header.startswith(b"{"):
        raise _RefusedError("its header does not start as one")
    try:
        document = json.loads(header.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_number)
    except RecursionError:
        raise _RefusedError("its header is nested too deeply") from None
    except ValueError:
        # Text that is not UTF-8, cut or other JSON, and integers of thousands of digits.
        raise _RefusedError("its header is not complete JSON") from None
    if not isinstance(document, dict):
        raise _RefusedError("its header is no JSON object")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _RefusedError(f"its header has {_shown(name)} twice")
            seen.add(name)
    return found


def _no_number(word: str) -> NoReturn:
    raise _RefusedError(f"its header holds {word}, which is no number")


def _check_metadata(metadata: Any) -> None:
    is_text = isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    if not is_text or not _are_text(*metadata, *metadata.values()):
        raise _RefusedError("the metadata in its header are not texts")


def _info(name: str, entry: Any, file: str, start: int, data_size: int) -> TensorInfo:
    shown = _shown(name)
    if not isinstance(entry, dict):
        raise _RefusedError(f"its header does not describe {shown}")
    dtype, shape, offsets = entry.get("dtype"), _counts(entry.get("shape")), _counts(entry.get("data_offsets"))
    if not isinstance(dtype, str):
        raise _RefusedError(f"its header tells no dtype of {shown}")
    if not _are_text(name, dtype):
        raise _RefusedError(f"a name in its header is no text: {shown}")
    if shape is None:
        raise _RefusedError(f"its header tells no usable shape of {shown}")
    if offsets is None or len(offsets) != _ENDS or offsets[0] > offsets[1]:
        raise _RefusedError(f"its header does not tell where {shown} lies")
    first, last = offsets
    if last > data_size:
        raise _RefusedError(f"{shown} would end {_amount(last - data_size)} behind the end of the file")
    _check_extent(shown, dtype, shape, last - first)
    return tensor_info(name, dtype=dtype, shape=shape, file=file, first=start + first, last=start + last)


def _are_text(*texts: str) -> bool:
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return False
    return True


def _counts(values: Any) -> tuple[int, ...] | None:
    # True and False are integers in Python.
    is_usable = isinstance(values, list) and all(type(value) is int and 0 <= value <= _LARGEST for value in values)
    return tuple(values) if is_usable else None


def _check_extent(name: str, dtype: str, shape: tuple[int, ...], extent: int) -> None:
    # A dimension of 0 must not hide other impossible dimensions.
    if len(shape) > _MOST_DIMENSIONS or math.prod(max(1, length) for length in shape) > _LARGEST // 8:
        raise _RefusedError(f"no array can have the shape of {name}")
    bits = BITS.get(dtype)
    if bits is not None and math.prod(shape) * bits != extent * 8:
        dimensions = " x ".join(map(str, shape)) or "one"
        raise _RefusedError(f"{name} is {dimensions} of {dtype}, which does not fit its {_amount(extent)}")


def _check_order(infos: list[TensorInfo], start: int, file_size: int) -> None:
    if not infos:
        if start != file_size:
            raise _RefusedError(f"it holds {_amount(file_size - start)} that belong to no tensor")
        return
    if infos[0].first != start:
        raise _RefusedError(f"there is a hole of {_amount(infos[0].first - start)} before {_shown(infos[0].name)}")
    for one, next_ in pairwise(infos):
        if next_.first < one.last:
            raise _RefusedError(f"{_shown(one.name)} and {_shown(next_.name)} overlap")
        if next_.first > one.last:
            raise _RefusedError(f"there is a hole of {_amount(next_.first - one.last)} before {_shown(next_.name)}")
    if infos[-1].last != file_size:
        raise _RefusedError(f"its last {_amount(file_size - infos[-1].last)} belong to no tensor")


def _shown(name: str, most: int = 200) -> str:
    return repr(name if len(name) <= most else f"{name[:most]}…")


def _amount(count: int) -> str:
    if count >= _LARGEST:
        return "an absurd number of bytes"
    return many(count, "byte") if count < _KILO else size(count)
