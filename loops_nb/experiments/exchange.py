"""Experiments as files for other programs, and back, without loss: JSON lines, CSV, Parquet.

All three hold the same table: one row an experiment, a point or a mark, told apart by ``record``.  Times are milliseconds since 1970.
Values that are not finite are the words ``NaN``, ``Infinity`` and ``-Infinity`` where the format has no numbers for them; within
parameters they are objects, ``{"__number__": "Infinity"}``.  Texts in CSV that a spreadsheet would take for a formula have an apostrophe
before them.
"""

from __future__ import annotations

import csv
import importlib
import json
import math
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from loops_nb.errors import InvalidArgumentError, TrackingError, one_line
from loops_nb.tracking.chunks import Points
from loops_nb.tracking.restoring import restore
from loops_nb.tracking.rows import MARK_KINDS, ExperimentRow, Mark
from loops_nb.tracking.store import Store

Row = dict[str, Any]

_OF_EXPERIMENT = ("name", "run_id", "session_id", "created_at", "last_at", "archived", "tags", "params")
_OF_POINT = ("key", "step", "value", "tokens", "attempt", "at")
_OF_MARK = ("kind", "step", "text", "uri", "target", "attempt", "at")
COLUMNS = ("record", "experiment", *dict.fromkeys((*_OF_EXPERIMENT, *_OF_POINT, *_OF_MARK)))
_WHOLE = {"created_at", "last_at", "step", "attempt", "at"}
_REAL = {"value", "tokens"}
_JSON = {"tags", "params"}
# What begins so is a formula to spreadsheets; the apostrophe stands for itself.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
_NUMBER, _OBJECT = "__number__", "__object__"
_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def export(store: Store, experiments: Sequence[str], path: Path) -> int:
    """Write experiments to a file; tell how many rows it has.

    Raises
    ------
    InvalidArgumentError
        If the name of the file tells no format, or Parquet is asked for and pyarrow is not there.
    TrackingError
        If there is none, one is not there, or the file cannot be written; one that was there is then left as it is.
    """
    write = _format(path)[1]
    if not experiments:
        raise TrackingError(
            f"Nothing is recorded on this machine yet, so there is nothing to export: {path} was not written.",
            hint='loops_nb.experiment("name").log(loss=0.5) begins an experiment, loops_nb.track(client) follows a run.',
        )
    count = 0

    def counted() -> Iterator[Row]:
        nonlocal count
        for key in experiments:
            for row in _rows_of(store, key):
                count += 1
                yield row

    partial = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix, delete=False) as made:
            partial = Path(made.name)
        write(partial, counted())
        partial.replace(path)
    except OSError as error:
        # Not all of its words: they name the hidden file that is written before this one is replaced.
        why = one_line(error.strerror or str(error))
        raise TrackingError(f"{path} cannot be written ({why}). The experiments are as they were.") from None
    finally:
        if partial is not None:
            with suppress(OSError):
                partial.unlink()
    return count


def import_file(store: Store, path: Path) -> tuple[list[str], list[str]]:
    """Read experiments from a file that `export` wrote; return the ids of those that are new, and of those that were there already.

    Raises
    ------
    InvalidArgumentError
        If the name of the file tells no format, or Parquet is asked for and pyarrow is not there.
    TrackingError
        If the file is not there or is none of ours; then no experiment of it was added.
    """
    read = _format(path)[0]
    found: dict[str, _Gathered] = {}
    number = 0
    try:
        for row in read(path):
            _gather(found, _Columns(row))
            number += 1
    except OSError as error:
        raise TrackingError(f"{path} cannot be read ({one_line(error.strerror or str(error))}). Nothing was changed.") from None
    except (ValueError, TypeError, OverflowError, csv.Error) as error:
        why = _why_unreadable(error)
        raise TrackingError(
            f"{path} is not a file of experiments: row {number + 1} cannot be read ({why}). Nothing was changed.",
            hint="It must be one that %loops export wrote.",
        ) from None
    new: list[str] = []
    known: list[str] = []
    for one in found.values():
        try:
            added = restore(store.path, one.row, one.series, one.marks)
        except (sqlite3.Error, OSError) as error:
            done = f"{len(new)} of {len(found)} experiments were added"
            raise TrackingError(f"The experiments in {store.path} cannot be written ({one_line(str(error))}); {done}.") from None
        (new if added else known).append(one.row.id)
    return new, known


def _why_unreadable(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return "it is not JSON"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text: save it as UTF-8"
    return one_line(str(error))


class _Columns(dict[str, Any]):
    """A row that says which column it lacks."""

    def __missing__(self, name: str) -> Any:
        raise ValueError(f"it has no {name!r}")


class _Gathered:
    def __init__(self, row: ExperimentRow) -> None:
        self.row = row
        self.series: dict[str, Points] = {}
        self.marks: list[Mark] = []


def _rows_of(store: Store, experiment_id: str) -> Iterator[Row]:
    row = store.experiment(experiment_id)
    yield {
        "record": "experiment",
        "experiment": row.id,
        **{name: getattr(row, name) for name in _OF_EXPERIMENT},
        "tags": list(row.tags),
    }
    for key in store.keys(row.id):
        series = store.series(row.id, key.key)
        columns = (series.step, series.value, series.tokens, series.attempt, series.at)
        for step, value, tokens, attempt, at in zip(*(column.tolist() for column in columns), strict=True):
            known = None if math.isnan(tokens) else tokens
            yield {
                "record": "point",
                "experiment": row.id,
                "key": key.key,
                "step": step,
                "value": value,
                "tokens": known,
                "attempt": attempt,
                "at": at,
            }
    for mark in store.marks(row.id):
        yield {"record": "mark", "experiment": row.id, **{name: getattr(mark, name) for name in _OF_MARK}}


def _gather(found: dict[str, _Gathered], row: Row) -> None:
    record, key = row["record"], _text(row["experiment"])
    if record == "experiment":
        found[key] = _Gathered(
            ExperimentRow(
                id=key,
                name=_text(row["name"]),
                run_id=row["run_id"],
                session_id=row["session_id"],
                created_at=int(row["created_at"]),
                tags=tuple(_text(tag) for tag in row["tags"]),
                params=dict(row["params"]),
                notes=(),
                archived=bool(row["archived"]),
                last_at=int(row["last_at"]),
            )
        )
    elif record == "point":
        points = _of(found, key).series.setdefault(_text(row["key"]), Points([], [], [], [], []))
        points.step.append(_int64(row["step"]))
        points.at.append(_int64(row["at"]))
        points.tokens.append(math.nan if row["tokens"] is None else float(row["tokens"]))
        points.value.append(float(row["value"]))
        points.attempt.append(_int64(row["attempt"]))
    elif record == "mark":
        if row["kind"] not in MARK_KINDS:
            raise ValueError(f"a mark of kind {row['kind']!r:.40}")
        step = None if row["step"] is None else _int64(row["step"])
        mark = Mark(row["kind"], step, _int64(row["at"]), _text(row["text"]), row["uri"], row["target"], _int64(row["attempt"]))
        _of(found, key).marks.append(mark)
    else:
        raise ValueError(f"a record of kind {record!r:.40}")


def _of(found: dict[str, _Gathered], key: str) -> _Gathered:
    if key not in found:
        raise ValueError(f"no row before it is the experiment {key!r:.40}")
    return found[key]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _int64(value: Any) -> int:
    number = int(value)
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError(f"{number} does not fit in 64 bits")
    return number


def as_json(value: Any) -> Any:
    """Return a value with the floats that JSON has no numbers for as objects of one word."""
    if isinstance(value, float) and not math.isfinite(value):
        return {_NUMBER: _worded(value)}
    if isinstance(value, dict):
        inner = {name: as_json(found) for name, found in value.items()}
        # An object that only looks like such a number is wrapped, so that it is read as what it was.
        return {_OBJECT: inner} if value.keys() in ({_NUMBER}, {_OBJECT}) else inner
    return [as_json(found) for found in value] if isinstance(value, (list, tuple)) else value


def from_json(value: Any) -> Any:
    """Return what `as_json` was given."""
    if isinstance(value, list):
        return [from_json(found) for found in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_NUMBER} and value[_NUMBER] in _WORDS:
        return _WORDS[value[_NUMBER]]
    if value.keys() == {_OBJECT} and isinstance(value[_OBJECT], dict):
        value = value[_OBJECT]
    return {name: from_json(found) for name, found in value.items()}


# Formats


def _format(path: Path) -> tuple[Callable[[Path], Iterable[Row]], Callable[[Path, Iterable[Row]], None]]:
    if path.is_dir():
        raise InvalidArgumentError(f"{path} is a folder, not a file.", argument="path", hint=f"Name a file: {path / 'experiments.jsonl'}")
    if path.suffix.lower() not in _FORMATS:
        raise InvalidArgumentError(
            f"The name {path.name!r:.60} tells no format.", argument="path", hint=f"It can end in {', '.join(_FORMATS)}: experiments.jsonl"
        )
    return _FORMATS[path.suffix.lower()]


def _write_lines(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            worded = {name: _worded(value) if name in _REAL else as_json(value) for name, value in row.items()}
            file.write(json.dumps(worded, ensure_ascii=False, allow_nan=False) + "\n")


def _read_lines(path: Path) -> Iterator[Row]:
    # Editors and other programs put a byte order mark at the beginning, and empty lines anywhere: they say nothing.
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for line in file:
            text = line.strip().removeprefix("\ufeff")
            if not text:
                continue
            row = json.loads(text)
            if not isinstance(row, dict):
                raise TypeError("no object")
            yield {name: _read_value(name, value) for name, value in row.items()}


def _read_value(name: str, value: Any) -> Any:
    if name in _REAL:
        return _WORDS.get(value, value) if isinstance(value, str) else value
    return from_json(value) if name in _JSON else value


def _write_csv(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: _cell(name, value) for name, value in row.items()})


def _read_csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(1 << 30)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError("its columns are others")
        for row in reader:
            if not any(row.values()):
                # A line of separators alone, as spreadsheets leave it at the end.
                continue
            yield {name: _from_cell(name, value) for name, value in row.items()}


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in _REAL:
        return str(_worded(value))
    if name in _JSON:
        return json.dumps(as_json(value), ensure_ascii=False, allow_nan=False)
    return str(int(value)) if name == "archived" or name in _WHOLE else _neutral(str(value))


def _neutral(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula: an apostrophe before it says so, and reading takes it off again."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _from_cell(name: str, cell: str) -> Any:
    if cell.startswith("'") and cell[1:].startswith(_FORMULA):
        cell = cell[1:]
    if name == "text":
        return cell
    if cell == "":
        return None
    if name in _REAL:
        return _WORDS[cell] if cell in _WORDS else float(cell)
    if name in _JSON:
        return from_json(json.loads(cell))
    return int(cell) if name == "archived" or name in _WHOLE else cell


def _worded(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _write_parquet(path: Path, rows: Iterable[Row]) -> None:
    pyarrow, parquet = _pyarrow()
    kinds = dict.fromkeys(_WHOLE, pyarrow.int64()) | dict.fromkeys(_REAL, pyarrow.float64()) | {"archived": pyarrow.bool_()}
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for row in rows:
        for name, column in columns.items():
            value = row.get(name)
            is_json = name in _JSON and value is not None
            column.append(json.dumps(as_json(value), ensure_ascii=False, allow_nan=False) if is_json else value)
    arrays = {name: pyarrow.array(column, kinds.get(name, pyarrow.string()), from_pandas=False) for name, column in columns.items()}
    parquet.write_table(pyarrow.table(arrays), path)


def _read_parquet(path: Path) -> Iterator[Row]:
    pyarrow, parquet = _pyarrow()
    try:
        table = parquet.read_table(path)
    except pyarrow.ArrowException as error:
        raise ValueError(str(error)) from None
    if tuple(table.column_names) != COLUMNS:
        raise ValueError("its columns are others")
    for batch in table.to_batches():
        for row in batch.to_pylist():
            yield {name: from_json(json.loads(value)) if name in _JSON and value is not None else value for name, value in row.items()}


def _pyarrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise InvalidArgumentError(
            "Parquet needs pyarrow, which is not installed.", argument="path", hint="pip install pyarrow, or use a name that ends in .jsonl"
        ) from None


_FORMATS: dict[str, tuple[Callable[[Path], Iterable[Row]], Callable[[Path, Iterable[Row]], None]]] = {
    ".jsonl": (_read_lines, _write_lines),
    ".csv": (_read_csv, _write_csv),
    ".parquet": (_read_parquet, _write_parquet),
}
#: What the name of a file can end in.
ENDINGS = tuple(_FORMATS)
