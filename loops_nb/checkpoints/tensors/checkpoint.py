"""Base class of opened checkpoints: lists tensors and reads them in pieces or groups."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Self

import msgspec
import numpy as np
import numpy.typing as npt

from loops_nb.checkpoints.tensors.dtypes import READERS, Array, DtypeReader
from loops_nb.checkpoints.tensors.info import TensorInfo
from loops_nb.errors import InvalidArgumentError, UnreadableTensorsError
from loops_nb.render.formatting import first_few, many

CONFIG_FILE = "adapter_config.json"
#: A longer file is no configuration.
LONGEST_CONFIG = 1 << 20
#: Bytes of a tensor that are held besides the resulting array.
PIECE = 4 * 1024 * 1024
#: Tensors next to each other are read together up to this many bytes, with at most this gap between two of them.
TOGETHER = 4 * 1024 * 1024
GAP = 32 * 1024
#: Similar names are searched in so many names, with this cutoff: names are long, and comparing more takes too long.
_COMPARED, _CUTOFF = 2000, 0.8
_EXAMPLES = 4
#: Cached properties, which a copy computes again.
_COMPUTED = ("tensors", "adapter_config")


class OpenedCheckpoint(ABC):
    """A checkpoint whose headers were read: its tensors can be listed, and read one by one.

    It can be pickled, for workers of a cluster: the copy holds no secret, and reads with what its own process has.

    Parameters
    ----------
    infos : iterable of TensorInfo
        Its tensors.
    config : bytes or None
        Content of its ``adapter_config.json``, if it has one.
    """

    def __init__(self, infos: Iterable[TensorInfo], config: bytes | None) -> None:
        self._infos = tuple(infos)
        self._config = config

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _COMPUTED}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def without_tensors(self) -> Self:
        """Return a copy without the list of its tensors, which reads those that it is given: small enough to be sent.

        It shares the connections of this one; pickled, it has its own.
        """
        copied = type(self).__new__(type(self))
        copied.__setstate__({**self.__getstate__(), "_infos": (), "_config": None})
        return copied

    @property
    @abstractmethod
    def label(self) -> str:
        """Name in tables and messages."""

    @property
    @abstractmethod
    def step(self) -> int | None:
        """Training step in its name, if any."""

    @abstractmethod
    def _read_bytes(self, file: str, first: int, count: int) -> bytes:
        """Return exactly ``count`` bytes of a file."""

    def __repr__(self) -> str:
        files = {info.file for info in self._infos}
        return f"<{type(self).__name__} {self.label}: {many(len(self._infos), 'tensor')} in {many(len(files), 'file')}>"

    @property
    def infos(self) -> Sequence[TensorInfo]:
        """All tensors, also those of the optimizer, by file and offset."""
        return self._infos

    @cached_property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Tensors by name; if several files have a name, the first one."""
        found: dict[str, TensorInfo] = {}
        for info in self._infos:
            found.setdefault(info.name, info)
        return found

    @cached_property
    def adapter_config(self) -> dict[str, Any] | None:
        """Configuration of the adapter, from ``adapter_config.json``; None without such a file.

        Raises
        ------
        UnreadableTensorsError
            If the file is no JSON object.
        """
        if self._config is None:
            return None
        try:
            config = msgspec.json.decode(self._config)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
            config = None
        if not isinstance(config, dict):
            raise UnreadableTensorsError(
                f"The {CONFIG_FILE} of {self.label} is no JSON object, so the adapter's scale is not known."
            )
        return config

    def tensor(self, name: str, *, file: str | None = None) -> npt.NDArray[Any]:
        """Read one tensor.

        Parameters
        ----------
        name : str
            Full name, as in `tensors`.
        file : str, optional
            File with the tensor, if several have one with that name.

        Returns
        -------
        numpy.ndarray
            With the shape of the tensor; float32 for floating point (float64 for F64), without rounding; integers and
            booleans keep their dtype.

        Raises
        ------
        InvalidArgumentError
            If there is no such tensor, or it is in several files.
        UnreadableTensorsError
            If its number format cannot be read.
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
        near = near or difflib.get_close_matches(name, names[:_COMPARED], n=_EXAMPLES, cutoff=_CUTOFF) or names
        raise InvalidArgumentError(
            f"{self.label} has no tensor {name!r}{f' in {file}' if file else ''}.",
            argument="name",
            hint=_there_are(near),
        )

    def read(self, info: TensorInfo) -> npt.NDArray[Any]:
        """Read one of `infos`; result and errors as in `tensor`.

        Parameters
        ----------
        info : TensorInfo
            The tensor.
        """
        reader = self._reader(info)
        result = np.empty(info.parameters, reader.result)
        width = reader.stored.itemsize
        at = 0
        for piece in self._pieces(info):
            stored = np.frombuffer(piece, reader.stored)
            reader.fill(stored, result[at // width : at // width + len(stored)])
            at += len(piece)
        return result.reshape(info.shape)

    def _pieces(self, info: TensorInfo) -> Iterator[bytes]:
        """Return the bytes of a tensor in order, in pieces of `PIECE` bytes."""
        return (self._read_bytes(info.file, first, count) for first, count in piece_spans(info))

    def raw(self, info: TensorInfo) -> bytes:
        """Return the stored bytes of one of `infos`.

        Parameters
        ----------
        info : TensorInfo
            The tensor.

        Raises
        ------
        StorageError
            If they could not be fetched.
        """
        return self._read_bytes(info.file, info.first, info.nbytes) if info.nbytes else b""

    def read_many(self, infos: Iterable[TensorInfo]) -> Iterator[tuple[TensorInfo, npt.NDArray[Any]]]:
        """Read several of `infos` one after the other; small ones next to each other with one request.

        Parameters
        ----------
        infos : iterable of TensorInfo
            The tensors.

        Yields
        ------
        (TensorInfo, numpy.ndarray)
            By file and offset.  At most one group (4 MiB) is held besides.

        Raises
        ------
        UnreadableTensorsError, StorageError
            As in `tensor`.
        """
        for group in _groups(sorted(infos, key=lambda info: (info.file, info.first))):
            if len(group) == 1:
                yield group[0], self.read(group[0])
                continue
            start = group[0].first
            readers = [self._reader(info) for info in group]
            raw = self._read_bytes(group[0].file, start, group[-1].last - start)
            for info, reader in zip(group, readers, strict=True):
                yield info, _array(memoryview(raw)[info.first - start : info.last - start], info, reader)

    def _reader(self, info: TensorInfo) -> DtypeReader:
        reader = READERS.get(info.dtype)
        if reader is None:
            raise UnreadableTensorsError(
                f"{info.name} in {info.file} of {self.label} has the number format {info.dtype}, which cannot be read"
                " here.",
                hint=f"Readable are {', '.join(READERS)}; raw() returns the bytes.",
            )
        return reader


def _there_are(names: list[str]) -> str:
    if not names:
        return "It has none at all."
    return f"There are {first_few(names, _EXAMPLES)}"


def piece_spans(info: TensorInfo) -> list[tuple[int, int]]:
    """Return offset and length of each piece of a tensor in its file."""
    return [(first, min(PIECE, info.last - first)) for first in range(info.first, info.last, PIECE)]


def _array(raw: memoryview, info: TensorInfo, reader: DtypeReader) -> Array:
    result = np.empty(info.parameters, reader.result)
    reader.fill(np.frombuffer(raw, reader.stored), result)
    return result.reshape(info.shape)


def _groups(infos: Iterable[TensorInfo]) -> Iterator[list[TensorInfo]]:
    group: list[TensorInfo] = []
    for info in infos:
        if group and not _is_adjacent(group, info):
            yield group
            group = []
        group.append(info)
    if group:
        yield group


def _is_adjacent(group: list[TensorInfo], info: TensorInfo) -> bool:
    is_near = info.file == group[-1].file and 0 <= info.first - group[-1].last <= GAP
    return is_near and info.last - group[0].first <= TOGETHER
