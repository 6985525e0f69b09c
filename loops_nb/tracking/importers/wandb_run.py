"""Offline runs of W&B: the ``.wandb`` file in each folder ``wandb/offline-run-*``, read without ``wandb``.

The file is a log of records in blocks of 32 KiB, as LevelDB has them, after a header of its own.  A record is a message
of Protocol Buffers, ``wandb_internal.Record``.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from loops_nb.errors import TrackingError, one_line
from loops_nb.render.formatting import first_and_more
from loops_nb.tracking.importers.imported_run import ImportedRun, RunBuilder
from loops_nb.tracking.importers.protobuf import WireFormatError, as_bytes, as_int, as_text, fields
from loops_nb.tracking.importers.tracker_rows import NOT_METRICS, STEP, TIME, add_row, is_number, is_time
from loops_nb.tracking.params import free_name
from loops_nb.tracking.values import read_json

_MARK = b":W&B"
_FILE_HEADER = struct.Struct("<4sHB")
_MAGIC, _VERSION = 0xBEE1, 0
_BLOCK = 32 * 1024
_HEADER = struct.Struct("<IHB")
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
#: Numbers of the fields of a record.
_HISTORY, _SUMMARY, _OUTPUT, _CONFIG, _STATS, _ARTIFACT, _ALERT, _METRIC, _RAW_OUTPUT, _RUN, _EXIT = (
    2,
    3,
    4,
    5,
    7,
    8,
    10,
    12,
    13,
    17,
    18,
)
_LEFT_OUT = {
    _OUTPUT: "console line",
    _RAW_OUTPUT: "console line",
    _STATS: "system reading",
    _ARTIFACT: "artifact",
}
_OWN = "_wandb"
_MOST_NAMES = 3


class _Item(NamedTuple):
    """One value with its path."""

    path: tuple[str, ...]
    value: Any


def find_wandb_files(path: Path) -> list[Path]:
    """Return the ``.wandb`` files of a run's folder, of a folder of runs, or the one that is named; oldest first."""
    if path.is_file():
        return [path] if path.suffix == ".wandb" else []
    for pattern in ("*.wandb", "*run-*/*.wandb", "wandb/*run-*/*.wandb"):
        # `latest-run` is a link to one of the others.
        found = sorted(file for file in path.glob(pattern) if not file.parent.name.startswith("latest"))
        if found:
            return found
    return []


def read_wandb_files(files: list[Path]) -> list[ImportedRun]:
    """Read offline runs; the files of a run that was resumed are one.

    Parameters
    ----------
    files : list of Path
        What `find_wandb_files` found.

    Raises
    ------
    TrackingError
        If a file cannot be read or is of another format.
    """
    runs: dict[str, _WandbReader] = {}
    for file in files:
        reader = _WandbReader(file)
        known = runs.setdefault(reader.run_id or str(file), reader)
        if known is not reader:
            known.run.take(reader.run)
    return [reader.build() for reader in runs.values()]


class _WandbReader:
    """Reads the file of one run."""

    def __init__(self, path: Path) -> None:
        self.run = RunBuilder(path.stem.removeprefix("run-"))
        self.run_id = ""
        self._path = path
        self._project = ""
        self._began = 0
        self._step = 0
        # Metrics that are drawn over another one, by their name or pattern.
        self._axes: dict[str, str] = {}
        self._used_axes: dict[str, dict[str, None]] = {}
        self._logged: set[str] = set()
        self._latest: dict[str, float] = {}
        self._summary: dict[str, Any] = {}
        self._at = int(path.stat().st_mtime * 1000)
        self._read()

    def build(self) -> ImportedRun:
        for axis, keys in self._used_axes.items():
            self.run.remark(f"Steps of {first_and_more(list(keys), _MOST_NAMES)} are values of {axis} (define_metric).")
        # Of each logged metric, W&B puts the last value into the summary.
        for name, value in self._summary.items():
            if name not in self._logged and name not in NOT_METRICS and "_type" not in str(value):
                self.run.summary[name] = value
        return self.run.build("wandb", self._project, self.run_id, self._began, now=self._at)

    def _read(self) -> None:
        try:
            with self._path.open("rb") as file:
                for record in _records(file):
                    self._read_record(record)
        except OSError as error:
            why = one_line(error.strerror or str(error))
            raise TrackingError(f"{self._path} cannot be read ({why}). Nothing was changed.") from None
        except WireFormatError as error:
            if not self.run_id:
                raise TrackingError(f"{self._path} is not a run of W&B ({error}). Nothing was changed.") from None
            self.run.remark(f"{self._path.name} is damaged ({error}); what follows there could not be read.")

    def _read_record(self, record: bytes) -> None:  # noqa: C901 - a branch for each kind
        for number, value in fields(record):
            if isinstance(value, int):
                continue
            if number == _HISTORY:
                self._read_history(value)
            elif number == _RUN:
                self._read_run(value)
            elif number == _CONFIG:
                self._read_config(value)
            elif number == _SUMMARY:
                self._read_summary(value)
            elif number == _METRIC:
                self._read_metric(value)
            elif number == _ALERT:
                texts = {inner: as_text(found) for inner, found in fields(value) if isinstance(found, bytes)}
                self.run.note(": ".join(filter(None, (texts.get(1, ""), texts.get(2, "")))), step=self._step)
            elif number == _EXIT:
                code = dict(fields(value)).get(1, 0)
                self.run.outcome = "crashed" if code else "finished"
            elif number in _LEFT_OUT:
                self.run.left_out.add(_LEFT_OUT[number])

    def _read_run(self, message: bytes) -> None:  # noqa: C901 - a branch for each field
        found: dict[int, str] = {}
        for number, value in fields(message):
            if number == 10:  # noqa: PLR2004
                self.run.tags[as_text(value)] = None
            elif number == 4:  # noqa: PLR2004
                self._read_config(as_bytes(value))
            elif number == 5:  # noqa: PLR2004
                self._read_summary(as_bytes(value))
            elif number == 17:  # noqa: PLR2004
                self._began = _millis(as_bytes(value))
            elif number in {1, 3, 6, 7, 8, 9}:
                found[number] = as_text(value)
        is_first = not self.run_id
        self.run_id = found.get(1) or self.run_id
        self._project = found.get(3) or self._project
        self.run.project = self._project or None
        self.run.name = found.get(8) or self.run_id or self.run.name
        if self._began:
            self.run.created_at = self._began
        for number, name in ((6, "group"), (7, "job_type")):
            if found.get(number) and is_first:
                self.run.params[free_name(name, self.run.params)] = found[number]
        if found.get(9) and is_first:
            self.run.note(found[9], at=self._began or None)

    def _read_config(self, message: bytes) -> None:
        for number, value in fields(message):
            if number not in {1, 2}:
                continue
            item = _item(as_bytes(value))
            if item.path[0] == _OWN:
                continue
            if number == 1:
                _put(self.run.params, item)
            else:
                _remove(self.run.params, item.path)

    def _read_summary(self, message: bytes) -> None:
        for number, value in fields(message):
            if number == 1:
                _put(self._summary, _item(as_bytes(value)))
            elif number == 2:  # noqa: PLR2004
                _remove(self._summary, _item(as_bytes(value)).path)

    def _read_metric(self, message: bytes) -> None:
        texts = {number: as_text(value) for number, value in fields(message) if isinstance(value, bytes)}
        name = texts.get(1) or texts.get(2)
        if name and texts.get(4):
            self._axes[name] = texts[4]

    def _read_history(self, message: bytes) -> None:
        values: dict[str, Any] = {}
        for number, value in fields(message):
            if number == 1:
                _put(values, _item(as_bytes(value)))
            elif number == 2:  # noqa: PLR2004
                self._step = next((as_int(found) for inner, found in fields(as_bytes(value)) if inner == 1), 0)
        self._logged.update(values)
        add_row(self.run, values, self)

    # What `add_row` needs to know

    def step_and_time(self, values: dict[str, Any]) -> tuple[int, int]:
        """Return the step and the time of a row."""
        step, seconds = values.get(STEP), values.get(TIME)
        if is_number(step) and math.isfinite(step):
            self._step = int(step)
        if is_time(seconds):
            self._at = round(seconds * 1000)
        return self._step, self._at

    def step_of(self, key: str, step: int, numbers: dict[str, float]) -> int:
        """Return the step of a value: that of the metric that it is drawn over, if there is one."""
        axis = self._axes.get(key)
        if axis is None:
            patterns = (name for name in self._axes if fnmatchcase(key, name))
            axis = next((self._axes[name] for name in patterns), None)
        if axis is None or axis in NOT_METRICS or axis == key:
            return step
        self._latest.update((name, found) for name, found in numbers.items() if name in self._axes.values())
        found = self._latest.get(axis, math.nan)
        if not (math.isfinite(found) and float(found).is_integer()):
            return step
        self._used_axes.setdefault(axis, {})[key] = None
        return int(found)


def _records(file: BinaryIO) -> Iterator[bytes]:  # noqa: C901 - the format has as many cases
    mark, magic, version = _FILE_HEADER.unpack(file.read(_FILE_HEADER.size).ljust(_FILE_HEADER.size, b"\0"))
    if mark != _MARK or magic != _MAGIC:
        raise WireFormatError("its first bytes are others")
    if version != _VERSION:
        raise WireFormatError(f"its format has the unknown version {version}")
    at = _FILE_HEADER.size
    parts: list[bytes] = []
    while True:
        left = _BLOCK - at % _BLOCK
        if left < _HEADER.size:
            # No header fits into the rest of the block.
            at += len(file.read(left))
            continue
        header = file.read(_HEADER.size)
        if len(header) < _HEADER.size:
            return
        checksum, length, kind = _HEADER.unpack(header)
        if not checksum and not length and not kind:
            # Space that was reserved and not written.
            return
        data = file.read(length)
        at += _HEADER.size + len(data)
        if len(data) < length:
            # Still being written, or written by a process that was killed.
            return
        if zlib.crc32(data, zlib.crc32(bytes([kind]))) != checksum:
            raise WireFormatError("a record with a wrong checksum")
        if kind in {_FULL, _FIRST}:
            parts = []
        elif kind not in {_MIDDLE, _LAST} or not parts:
            raise WireFormatError("a record without its beginning")
        parts.append(data)
        if kind in {_FULL, _LAST}:
            yield b"".join(parts)
            parts = []


def _put(values: dict[str, Any], item: _Item) -> None:
    *parents, name = item.path
    for parent in parents:
        below = values.get(parent)
        values[parent] = values = below if isinstance(below, dict) else {}
    values[name] = item.value


def _remove(values: dict[str, Any], path: tuple[str, ...]) -> None:
    *parents, name = path
    for parent in parents:
        below = values.get(parent)
        if not isinstance(below, dict):
            return
        values = below
    values.pop(name, None)


def _item(message: bytes) -> _Item:
    path: list[str] = []
    nested: list[str] = []
    text = "null"
    for number, value in fields(message):
        if number == 1:
            path = [as_text(value)]
        elif number == 2:  # noqa: PLR2004
            nested.append(as_text(value))
        elif number == 16:  # noqa: PLR2004
            text = as_text(value)
    try:
        found = read_json(text)
    except ValueError:
        found = text
    return _Item(tuple(nested or path or [""]), found)


def _millis(message: bytes) -> int:
    parts = {number: as_int(value) for number, value in fields(message) if isinstance(value, int)}
    return parts.get(1, 0) * 1000 + parts.get(2, 0) // 1_000_000
