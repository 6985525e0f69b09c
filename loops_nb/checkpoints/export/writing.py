"""Writes the files of an exported adapter."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from loops_nb.checkpoints.export.layout import ADAPTER_FILE, AdapterLayout, ExportedTensor
from loops_nb.checkpoints.tensors.checkpoint import CONFIG_FILE, OpenedCheckpoint
from loops_nb.checkpoints.tensors.dtypes import BITS, READERS
from loops_nb.checkpoints.tensors.header import PREFIX

if TYPE_CHECKING:
    import numpy.typing as npt

    from loops_nb.checkpoints.tensors import TensorInfo

#: Formats of numbers that were multiplied: not rounded to 16 bits.
_MULTIPLIED = {"F64": "F64"}
_ALIGNMENT = 8


def write_adapter(folder: Path, source: OpenedCheckpoint, layout: AdapterLayout, stored: Path | None) -> None:
    """Write tensors and configuration of an adapter.

    Parameters
    ----------
    folder : Path
        An empty folder.
    source : OpenedCheckpoint
        The downloaded checkpoint.
    layout : AdapterLayout
        What is written.
    stored : Path or None
        The file that has these tensors already, which is linked or copied.
    """
    target = folder / ADAPTER_FILE
    if stored is None:
        _write_tensors(target, source, layout)
    else:
        _link(stored, target)
    text = msgspec.json.format(msgspec.json.encode(layout.config, order="sorted"), indent=2) + b"\n"
    (folder / CONFIG_FILE).write_bytes(text)


def sha256(path: Path) -> str:
    """Return the checksum of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _link(stored: Path, target: Path) -> None:
    try:
        os.link(stored, target)
    except OSError:
        # Not on every disk.
        target.write_bytes(stored.read_bytes())


def _write_tensors(path: Path, source: OpenedCheckpoint, layout: AdapterLayout) -> None:
    # Formats with many bits first, so that each tensor is aligned.
    tensors = sorted(layout.tensors, key=lambda tensor: (-BITS.get(_dtype(tensor), 0), tensor.name))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for tensor in tensors:
        length = _nbytes(tensor)
        header[tensor.name] = {
            "dtype": _dtype(tensor),
            "shape": list(_shape(tensor)),
            "data_offsets": [at, at + length],
        }
        at += length
    text = msgspec.json.encode(header)
    text += b" " * (-len(text) % _ALIGNMENT)
    with path.open("xb") as file:
        file.write(len(text).to_bytes(PREFIX, "little") + text)
        for tensor in tensors:
            file.write(_content(source, tensor))


def _dtype(tensor: ExportedTensor) -> str:
    stored = tensor.info.dtype
    return _MULTIPLIED.get(stored, "F32") if tensor.factor != 1.0 else stored


def _shape(tensor: ExportedTensor) -> tuple[int, ...]:
    if tensor.rank is None:
        return tensor.info.shape
    shape = list(tensor.info.shape)
    shape[tensor.rank_axis] = tensor.rank
    return tuple(shape)


def _nbytes(tensor: ExportedTensor) -> int:
    if not tensor.is_changed:
        return tensor.info.nbytes
    count = 1
    for length in _shape(tensor):
        count *= length
    return count * BITS[_dtype(tensor)] // 8


def _content(source: OpenedCheckpoint, tensor: ExportedTensor) -> bytes:
    if not tensor.is_changed:
        return source.raw(tensor.info)
    values: npt.NDArray[Any]
    if tensor.factor == 1.0:
        values = _stored_values(source, tensor.info)
    else:
        values = source.read(tensor.info) * np.float64(tensor.factor)
        values = values.astype(READERS[_dtype(tensor)].stored)
    added = [(0, wanted - there) for wanted, there in zip(_shape(tensor), values.shape, strict=True)]
    return np.pad(values, added).tobytes()


def _stored_values(source: OpenedCheckpoint, info: TensorInfo) -> npt.NDArray[Any]:
    """Return the bits of a tensor; zeros are all bits off in every format."""
    return np.frombuffer(source.raw(info), READERS[info.dtype].stored).reshape(info.shape)
