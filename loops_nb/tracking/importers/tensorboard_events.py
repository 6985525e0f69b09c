"""Event files of TensorBoard, read without TensorFlow: a folder of runs, as ``SummaryWriter`` writes it.

A file is a sequence of records: length, checksum of the length, data, checksum of the data; all little endian.  The
data of a record is an ``Event``, a message of Protocol Buffers.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from loops_nb.errors import TrackingError, one_line
from loops_nb.tracking.importers.imported_run import ImportedRun, RunBuilder
from loops_nb.tracking.importers.protobuf import (
    Field,
    WireFormatError,
    as_bytes,
    as_double,
    as_float,
    as_int,
    as_text,
    fields,
    integers,
)

_MARK = "tfevents"
_HEADER = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")
_CRC_BITS, _CRC_SHIFT, _CRC_DELTA = 32, 15, 0xA282EAD8
_IDENTIFYING_RECORDS = 3
# `add_hparams` of PyTorch writes into a folder of its own, whose name is the time.
_TIME_NAME = re.compile(r"\d{9,11}(\.\d+)?")
_SUCCESS = 1
#: Numbers of the types of tensors, with the layout of their bytes.
_LAYOUTS = {
    1: "f",
    2: "d",
    3: "i",
    4: "B",
    5: "h",
    6: "b",
    9: "q",
    10: "?",
    17: "H",
    19: "e",
    22: "I",
    23: "Q",
}
_STRING, _BFLOAT16 = 7, 14
_FLOATS, _DOUBLES, _HALVES = 5, 6, 13
_INTEGERS = {7, 10, 11, 16, 17}
#: Fields of a value that are no scalars, and what they are.
_KINDS = {3: "histogram", 4: "image", 5: "histogram", 6: "audio clip"}
_PLUGIN_KINDS = {
    "histograms": "histogram",
    "images": "image",
    "audio": "audio clip",
    "pr_curves": "precision-recall curve",
    "mesh": "mesh",
    "graphs": "graph",
    "graph_keras_model": "graph",
    "graph_run_metadata": "graph",
    "custom_scalars": "layout of charts",
}


class _Value(NamedTuple):
    """A value of a summary: what is known of it before its kind is."""

    tag: str
    scalar: float | None
    tensor: bytes | None
    kind: str
    plugin: str
    content: bytes


def find_event_files(path: Path) -> dict[Path, list[Path]]:
    """Return the event files of a folder and the folders below it, or the one that is named, by their folder."""
    if path.is_file():
        return {path.parent: [path]} if _MARK in path.name else {}
    found: dict[Path, list[Path]] = {}
    for folder, below, files in os.walk(path):
        below.sort()
        names = sorted(name for name in files if _MARK in name and not name.endswith(".profile-empty"))
        if names:
            found[Path(folder)] = [Path(folder, name) for name in names]
    return found


def read_event_files(path: Path, found: dict[Path, list[Path]]) -> list[ImportedRun]:
    """Read runs: each folder with event files is one.

    Parameters
    ----------
    path : Path
        The folder of runs, or an event file.
    found : dict of Path to list of Path
        What `find_event_files` found there.

    Raises
    ------
    TrackingError
        If a file cannot be read, or none has any data.
    """
    runs = {folder: _EventReader(_run_name(path, folder)) for folder in found}
    for folder, files in found.items():
        for file in files:
            runs[folder].read(file)
    for folder in list(runs):
        parent = runs.get(folder.parent)
        if parent is not None and _TIME_NAME.fullmatch(folder.name) and runs[folder].run.params:
            parent.run.take(runs.pop(folder).run)
    imported: list[ImportedRun] = []
    known: set[str] = set()
    for reader in runs.values():
        if not reader.is_empty:
            # A copy of a run's folder in another one is a run of its own.
            imported.append(reader.build(is_copy=reader.identity in known))
            known.add(reader.identity)
    if not imported:
        raise TrackingError(f"The event files in {path} have no data yet. Nothing was changed.")
    return imported


def _run_name(path: Path, folder: Path) -> str:
    relative = folder.relative_to(path).as_posix() if path.is_dir() else "."
    return folder.resolve().name if relative == "." else relative


class _EventReader:
    """Reads the event files of one run."""

    def __init__(self, name: str) -> None:
        self.run = RunBuilder(name)
        self._plugins: dict[str, str] = {}
        self._identity = hashlib.sha256()
        self._identified = 0
        self._latest = 0

    @property
    def is_empty(self) -> bool:
        return self.run.is_empty and not self.run.left_out

    @property
    def identity(self) -> str:
        return self._identity.hexdigest()

    def build(self, *, is_copy: bool) -> ImportedRun:
        name = [self.run.name] if is_copy else []
        return self.run.build("tensorboard", self.identity, *name, now=self._latest)

    def read(self, path: Path) -> None:
        try:
            if not self._identified:
                self._identity.update(path.name.encode("utf-8", "replace"))
            with path.open("rb") as file:
                self._latest = max(self._latest, int(os.fstat(file.fileno()).st_mtime * 1000))
                for record in _records(file):
                    if self._identified < _IDENTIFYING_RECORDS:
                        self._identity.update(record)
                        self._identified += 1
                    self._read_event(record)
        except OSError as error:
            why = one_line(error.strerror or str(error))
            raise TrackingError(f"{path} cannot be read ({why}). Nothing was changed.") from None
        except RecursionError:
            self.run.remark(f"{path.name} is damaged (values within values without end); the rest was not read.")
        except WireFormatError as error:
            self.run.remark(f"{path.name} is damaged ({error}); what follows there could not be read.")

    def _read_event(self, record: bytes) -> None:
        seconds, step = 0.0, 0
        summaries: list[bytes] = []
        for number, value in fields(record):
            if number == 1:
                seconds = as_double(value)
            elif number == 2:  # noqa: PLR2004 - numbers of fields
                step = as_int(value)
            elif number == 5:  # noqa: PLR2004
                summaries.append(as_bytes(value))
            elif number in {4, 9}:
                self.run.left_out.add("graph")
        at = int(seconds * 1000) if 0 <= seconds < 1 << 43 else self._latest
        self.run.seen(at)
        for summary in summaries:
            for number, value in fields(summary):
                if number == 1:
                    self._read_value(_value_of(as_bytes(value)), step, at)

    def _read_value(self, value: _Value, step: int, at: int) -> None:
        # The plugin stands with the first value of a tag alone.
        plugin = self._plugins.setdefault(value.tag, value.plugin) or value.plugin
        if plugin == "hparams":
            self._read_hparams(value.content)
        elif value.scalar is not None:
            self.run.add(value.tag, step, value.scalar, at)
        elif value.tensor is not None and plugin in {"scalars", "text", ""}:
            self._read_tensor(value.tag, plugin, value.tensor, step, at)
        else:
            kind = _PLUGIN_KINDS.get(plugin) or value.kind or (f"value of {plugin}" if plugin else "value")
            self.run.left_out.add(kind, value.tag)

    def _read_tensor(self, tag: str, plugin: str, tensor: bytes, step: int, at: int) -> None:
        numbers, texts = _elements(tensor)
        if texts and plugin != "scalars":
            # The suffix is that of the writer, not of the user.
            self.run.note(f"{tag.removesuffix('/text_summary')}: {' | '.join(texts)}", step=step, at=at)
        elif len(numbers) == 1 and plugin != "text":
            self.run.add(tag, step, numbers[0], at)
        else:
            self.run.left_out.add("tensor", tag)

    def _read_hparams(self, content: bytes) -> None:
        for number, value in fields(content):
            if number == 3:  # noqa: PLR2004
                for inner, pair in fields(as_bytes(value)):
                    if inner == 1:
                        name, found = _map_entry(as_bytes(pair))
                        self.run.params[name] = found
            elif number == 4:  # noqa: PLR2004
                status = dict(fields(as_bytes(value))).get(1, 0)
                self.run.outcome = "finished" if status == _SUCCESS else "crashed" if status else None


def _records(file: Any) -> Iterator[bytes]:
    try:
        import anycrc  # type: ignore[import-untyped]
    except ImportError:
        raise TrackingError(
            "Records of TensorBoard have checksums that need the package anycrc, which is not installed. Nothing was "
            "imported.",
            hint='%pip install "loops_nb[checksums]", then import again.',
        ) from None

    crc = anycrc.Model("CRC32C")

    def masked(data: bytes) -> int:
        found = int(crc.calc(data))
        return ((found >> _CRC_SHIFT | found << (_CRC_BITS - _CRC_SHIFT)) + _CRC_DELTA) & ((1 << _CRC_BITS) - 1)

    left = os.fstat(file.fileno()).st_size
    while len(header := file.read(_HEADER.size)) == _HEADER.size:
        length, checksum = _HEADER.unpack(header)
        left -= _HEADER.size + length + _CHECKSUM.size
        if masked(header[:8]) != checksum:
            raise WireFormatError("a length with a wrong checksum")
        if left < 0:
            # Still being written, or written by a process that was killed.
            return
        data = file.read(length)
        end = file.read(_CHECKSUM.size)
        if len(end) < _CHECKSUM.size or masked(data) != _CHECKSUM.unpack(end)[0]:
            raise WireFormatError("a record with a wrong checksum")
        yield data


def _value_of(message: bytes) -> _Value:
    tag, kind, plugin = "", "", ""
    scalar: float | None = None
    tensor: bytes | None = None
    content = b""
    for number, value in fields(message):
        if number == 1:
            tag = as_text(value)
        elif number == 2:  # noqa: PLR2004
            scalar = as_float(value)
        elif number == 8:  # noqa: PLR2004
            tensor = as_bytes(value)
        elif number == 9:  # noqa: PLR2004
            plugin, content = _plugin_of(as_bytes(value))
        elif number in _KINDS:
            kind = _KINDS[number]
    return _Value(tag, scalar, tensor, kind, plugin, content)


def _plugin_of(metadata: bytes) -> tuple[str, bytes]:
    name, content = "", b""
    for number, value in fields(metadata):
        if number == 1:
            for inner, found in fields(as_bytes(value)):
                if inner == 1:
                    name = as_text(found)
                elif inner == 2:  # noqa: PLR2004
                    content = as_bytes(found)
    return name, content


def _elements(tensor: bytes) -> tuple[list[float], list[str]]:
    """Return the numbers of a tensor, or its texts."""
    numbers: list[float] = []
    texts: list[str] = []
    kind = 0
    for number, value in fields(tensor):
        if number == 1:
            kind = as_int(value)
        elif number == 4:  # noqa: PLR2004
            numbers.extend(_content(kind, as_bytes(value)))
        elif number in {_FLOATS, _DOUBLES}:
            numbers.extend(_unpacked("f" if number == _FLOATS else "d", as_bytes(value)))
        elif number == _HALVES:
            halves = b"".join(struct.pack("<H", half & 0xFFFF) for half in integers(value))
            numbers.extend(_content(kind, halves))
        elif number in _INTEGERS:
            numbers.extend(integers(value))
        elif number == 8:  # noqa: PLR2004
            texts.append(as_text(value))
    return ([], texts) if kind == _STRING else (numbers, [])


def _content(kind: int, data: bytes) -> list[float]:
    if kind == _BFLOAT16:
        # The upper half of a number of 32 bits.
        return _unpacked("f", b"".join(b"\0\0" + data[at : at + 2] for at in range(0, len(data), 2)))
    return _unpacked(_LAYOUTS[kind], data) if kind in _LAYOUTS else []


def _unpacked(layout: str, data: bytes) -> list[float]:
    size = struct.calcsize(f"<{layout}")
    if len(data) % size:
        raise WireFormatError("numbers of another size")
    return [float(number) for number in struct.unpack(f"<{len(data) // size}{layout}", data)]


def _map_entry(pair: bytes) -> tuple[str, Any]:
    name, found = "", None
    for number, value in fields(pair):
        if number == 1:
            name = as_text(value)
        elif number == 2:  # noqa: PLR2004
            found = _json_value(as_bytes(value))
    return name, found


def _json_value(message: bytes) -> Any:
    """Return a value of ``google.protobuf.Value``."""
    for number, value in fields(message):
        if number in _JSON_KINDS:
            return _JSON_KINDS[number](value)
    return None


def _number(value: Field) -> float | int:
    number = as_double(value)
    # Every number is stored with 64 bits; 16.0 was a 16 in nearly all cases, and equal to it in all.
    return int(number) if number.is_integer() and abs(number) < 1 << 53 else number


def _struct(value: Field) -> dict[str, Any]:
    return dict(_map_entry(as_bytes(pair)) for number, pair in fields(as_bytes(value)) if number == 1)


def _list(value: Field) -> list[Any]:
    return [_json_value(as_bytes(found)) for number, found in fields(as_bytes(value)) if number == 1]


_JSON_KINDS: dict[int, Any] = {2: _number, 3: as_text, 4: bool, 5: _struct, 6: _list}
