"""What an opened checkpoint can do, wherever its files lie."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from loops_nb.drawing.wording import many
from loops_nb.errors import InvalidArgumentError, UnreadableTensorsError
from loops_nb.tensors.dtypes import READINGS, Array, Reading
from loops_nb.tensors.info import TensorInfo

CONFIG_FILE = "adapter_config.json"
#: A configuration is a page of text; what is longer is something else.
LONGEST_CONFIG = 1 << 20
#: How many bytes of a tensor are held beside the array that they become.
PIECE = 4 * 1024 * 1024
#: Up to this many bytes, tensors that lie together are read together, with at most the gap between two of them.
TOGETHER = 4 * 1024 * 1024
GAP = 32 * 1024
#: Names are long and much the same; more of them would take a while to compare.
_COMPARED, _ALIKE = 2000, 0.8
_EXAMPLES = 4


class Opened(ABC):
    """A checkpoint whose headers were read: its tensors can be listed, and read one by one.

    Parameters
    ----------
    infos
        Its tensors.
    config
        The bytes of its ``adapter_config.json``; None where it has none.
    """

    def __init__(self, infos: Iterable[TensorInfo], config: bytes | None) -> None:
        self._infos = tuple(infos)
        self._config = config

    @property
    @abstractmethod
    def label(self) -> str:
        """How it is called in sentences and tables."""

    @property
    @abstractmethod
    def step(self) -> int | None:
        """Its training step, where its name tells one."""

    @abstractmethod
    def _read_bytes(self, file: str, first: int, count: int) -> bytes:
        """Return bytes of one of its files, exactly as many."""

    def __repr__(self) -> str:
        files = {info.file for info in self._infos}
        return f"<{type(self).__name__} {self.label}: {many(len(self._infos), 'tensor')} in {many(len(files), 'file')}>"

    @property
    def infos(self) -> Sequence[TensorInfo]:
        """Its tensors, those of the optimizer too, file by file in the order in which they lie there."""
        return self._infos

    @cached_property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Its tensors by name; of a name that several files have, the first."""
        found: dict[str, TensorInfo] = {}
        for info in self._infos:
            found.setdefault(info.name, info)
        return found

    @cached_property
    def adapter_config(self) -> dict[str, Any] | None:
        """The adapter's configuration, from ``adapter_config.json``; None where the checkpoint has no such file.

        Raises
        ------
        UnreadableTensorsError
            If the file is there, and no JSON object.
        """
        if self._config is None:
            return None
        try:
            config = msgspec.json.decode(self._config)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            config = None
        if not isinstance(config, dict):
            raise UnreadableTensorsError(f"The {CONFIG_FILE} of {self.label} is no JSON object, so the adapter's scale is not known.")
        return config

    def tensor(self, name: str, *, file: str | None = None) -> npt.NDArray[Any]:
        """Read one tensor.

        Parameters
        ----------
        name
            Its full name, as in `tensors`.
        file
            The file that holds it, where several have a tensor of that name.

        Returns
        -------
        numpy.ndarray
            float32 for floating point numbers (float64 for F64), exactly those that are stored; integers and truth values as they are.

        Raises
        ------
        InvalidArgumentError
            If there is no such tensor, or it is in several files.
        UnreadableTensorsError
            If its numbers are of a format that cannot be read.
        StorageError
            If its bytes could not be fetched.
        """
        found = [info for info in self._infos if info.name == name and file in {None, info.file}]
        if len(found) == 1:
            return self.read(found[0])
        if found:
            raise InvalidArgumentError(
                f"{self.label} has {name} in {many(len(found), 'file')}.",
                argument="name",
                hint=f"Say which: file={' or '.join(repr(info.file) for info in found[:_EXAMPLES])}",
            )
        names = list(self.tensors)
        near = [known for known in names if name and name in known]
        near = near or difflib.get_close_matches(name, names[:_COMPARED], n=_EXAMPLES, cutoff=_ALIKE) or names
        raise InvalidArgumentError(
            f"{self.label} has no tensor {name!r}{f' in {file}' if file else ''}.",
            argument="name",
            hint=f"There are {', '.join(near[:_EXAMPLES])}{', ...' if len(near) > _EXAMPLES else ''}" if near else "It has none at all.",
        )

    def read(self, info: TensorInfo) -> npt.NDArray[Any]:
        """Read one of `infos`; as `tensor`."""
        reading = self._reading(info)
        result = np.empty(info.parameters, reading.result)
        width = reading.stored.itemsize
        at = 0
        for piece in self._pieces(info):
            stored = np.frombuffer(piece, reading.stored)
            reading.fill(stored, result[at // width : at // width + len(stored)])
            at += len(piece)
        return result.reshape(info.shape)

    def _pieces(self, info: TensorInfo) -> Iterator[bytes]:
        """Return a tensor's bytes in order, in pieces of `PIECE` bytes."""
        return (self._read_bytes(info.file, first, count) for first, count in piece_spans(info))

    def raw(self, info: TensorInfo) -> bytes:
        """Return the bytes of one of `infos` as they are stored.

        Raises
        ------
        StorageError
            If they could not be fetched.
        """
        return self._read_bytes(info.file, info.first, info.nbytes) if info.nbytes else b""

    def read_many(self, infos: Iterable[TensorInfo]) -> Iterator[tuple[TensorInfo, npt.NDArray[Any]]]:
        """Read several of `infos` one after the other: small ones that lie together in one go.

        Parameters
        ----------
        infos
            What to read.

        Yields
        ------
        pair
            Each with its array, in the order in which they lie in the files.  At most one group (4 MiB) is held besides.

        Raises
        ------
        UnreadableTensorsError, StorageError
            As `tensor`.
        """
        for group in _groups(sorted(infos, key=lambda info: (info.file, info.first))):
            if len(group) == 1:
                yield group[0], self.read(group[0])
                continue
            start = group[0].first
            readings = [self._reading(info) for info in group]
            raw = self._read_bytes(group[0].file, start, group[-1].last - start)
            for info, reading in zip(group, readings, strict=True):
                yield info, _array(memoryview(raw)[info.first - start : info.last - start], info, reading)

    def _reading(self, info: TensorInfo) -> Reading:
        reading = READINGS.get(info.dtype)
        if reading is None:
            raise UnreadableTensorsError(
                f"{info.name} in {info.file} of {self.label} is of the number format {info.dtype}, which cannot be read here.",
                hint=f"It can be any of {', '.join(READINGS)}; raw() gives its bytes.",
            )
        return reading


def piece_spans(info: TensorInfo) -> list[tuple[int, int]]:
    """Return where each piece of a tensor begins in its file, and how long it is."""
    return [(first, min(PIECE, info.last - first)) for first in range(info.first, info.last, PIECE)]


def _array(raw: memoryview, info: TensorInfo, reading: Reading) -> Array:
    result = np.empty(info.parameters, reading.result)
    reading.fill(np.frombuffer(raw, reading.stored), result)
    return result.reshape(info.shape)


def _groups(infos: Iterable[TensorInfo]) -> Iterator[list[TensorInfo]]:
    group: list[TensorInfo] = []
    for info in infos:
        if group and not _lies_with(group, info):
            yield group
            group = []
        group.append(info)
    if group:
        yield group


def _lies_with(group: list[TensorInfo], info: TensorInfo) -> bool:
    is_near = info.file == group[-1].file and 0 <= info.first - group[-1].last <= GAP
    return is_near and info.last - group[0].first <= TOGETHER
