"""Lossless export and import of experiments as JSON lines, CSV or Parquet.

All three have the same table: one row per experiment, point or mark, as its column ``record`` says; JSON lines also
have the samples.  Times are milliseconds since 1970.  Non-finite values are the strings ``NaN``, ``Infinity`` and
``-Infinity`` where the format has no numbers for them; within parameters they are objects,
``{"__number__": "Infinity"}``.  Texts in CSV that a spreadsheet would evaluate as a formula have an apostrophe before
them.
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
from typing import Any, NamedTuple

from loops_nb.errors import InvalidArgumentError, TrackingError, one_line
from loops_nb.tracking.chunks import Points
from loops_nb.tracking.importers.formats import KNOWN, read_runs
from loops_nb.tracking.importers.imported_run import LeftOut
from loops_nb.tracking.recipe_log import find_metrics, read_recipe_log
from loops_nb.tracking.rows import MARK_KINDS, EnvironmentRow, ExperimentMark, ExperimentRow
from loops_nb.tracking.samples import SampleRow
from loops_nb.tracking.store import ExperimentStore
from loops_nb.tracking.values import read_json
from loops_nb.tracking.warn import warn_again
from loops_nb.tracking.write_batch import restore_experiment

Row = dict[str, Any]

_EXPERIMENT_COLUMNS = ("name", "run_id", "session_id", "created_at", "last_at", "archived", "tags", "params")
_POINT_COLUMNS = ("key", "step", "value", "tokens", "attempt", "at")
#: Columns of samples, which are rows in JSON lines only.
_SAMPLE_COLUMNS = ("step", "prompt", "completion", "reward", "fields", "cut", "attempt", "at")
_MARK_COLUMNS = ("kind", "step", "text", "uri", "target", "attempt", "at")
#: When a checkpoint vanishes; exports of earlier versions have no such column.
_EXPIRES_AT = "expires_at"
#: Columns that exports of earlier versions have, and those that were added at the end since.
_FIRST_COLUMNS = ("record", "experiment", *dict.fromkeys((*_EXPERIMENT_COLUMNS, *_POINT_COLUMNS, *_MARK_COLUMNS)))
_LATER_COLUMNS = ("project", "summary", "environments", "expires_at", "author")
COLUMNS = (*_FIRST_COLUMNS, *_LATER_COLUMNS)
_INT_COLUMNS = {"created_at", "last_at", "step", "attempt", "at", _EXPIRES_AT}
_FLOAT_COLUMNS = {"value", "tokens", "reward"}
_JSON_COLUMNS = {"tags", "params", "fields", "summary", "environments"}
# Spreadsheets evaluate texts that begin with one of these; a leading apostrophe itself is escaped, too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
_NUMBER, _OBJECT = "__number__", "__object__"
_NON_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def export(store: ExperimentStore, experiments: Sequence[str], path: Path) -> int:
    """Write experiments to a file.

    Parameters
    ----------
    store : ExperimentStore
        Where they are.
    experiments : sequence of str
        Their ids.
    path : Path
        The file; an existing one is replaced once the new one is complete.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    InvalidArgumentError
        If the name has no known ending, or ends in ``.parquet`` and pyarrow is not installed.
    TrackingError
        If there are no experiments, one does not exist, or the file cannot be written.
    """
    write = _format(path)[1]
    has_samples = write is _write_lines
    if not experiments:
        raise TrackingError(
            f"Nothing is recorded on this machine yet, so there is nothing to export: {path} was not written.",
            hint=(
                'loops_nb.experiment("name").log(loss=0.5) begins an experiment, loops_nb.track(client) follows a run.'
            ),
        )
    count = 0

    def counted() -> Iterator[Row]:
        nonlocal count
        for key in experiments:
            for row in _rows_parts_of(store, key, with_samples=has_samples):
                count += 1
                yield row

    partial = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix, delete=False
        ) as made:
            partial = Path(made.name)
        write(partial, counted())
        partial.replace(path)
        _warn_of_samples(store, experiments, path, has_samples=has_samples)
    except OSError as error:
        # Without the name of the hidden file that is written before this one is replaced.
        why = one_line(error.strerror or str(error))
        raise TrackingError(f"{path} cannot be written ({why}). The experiments are as they were.") from None
    finally:
        if partial is not None:
            with suppress(OSError):
                partial.unlink()
    return count


def _warn_of_samples(store: ExperimentStore, experiments: Sequence[str], path: Path, *, has_samples: bool) -> None:
    if not has_samples and not set(experiments).isdisjoint(store.sampled()):
        warn_again(f"The samples of these experiments are not in {path}: only files that end in .jsonl have them.")


class ImportedFile(NamedTuple):
    """Result of `import_file`.

    Parameters
    ----------
    new, known : list of str
        Ids of the experiments that were added, and of those that existed before and stay unchanged.
    left_out : LeftOut
        What the new ones lack; each says its own part in its last note.
    """

    new: list[str]
    known: list[str]
    left_out: LeftOut


def import_file(store: ExperimentStore, path: Path) -> ImportedFile:
    """Add the experiments of a file that `export` wrote, or of what a recipe or another tracker wrote.

    Parameters
    ----------
    store : ExperimentStore
        Where to add them.
    path : Path
        The file or folder.

    Raises
    ------
    InvalidArgumentError
        If there is no such file, its name has no known ending, or ends in ``.parquet`` and pyarrow is not installed.
    TrackingError
        If the file cannot be read or is none of these; then no experiment of it was added.
    """
    if not path.exists():
        raise InvalidArgumentError(
            f"There is no file or folder {path}. Nothing was imported.",
            argument="path",
            hint=f"What can be imported: {KNOWN}.",
        )
    metrics = find_metrics(path)
    if metrics is not None:
        recipe = read_recipe_log(metrics)
        return _added(store, [_ExperimentParts(recipe.row, recipe.series, recipe.marks)])
    read_by = read_runs(path)
    if read_by is not None:
        runs, left_out = read_by
        parts = [_ExperimentParts(run.row, run.series, run.marks, run.left_out, run.outcome) for run in runs]
        done = _added(store, parts)
        done.left_out.update(left_out)
        return done
    if path.is_dir():
        raise InvalidArgumentError(
            f"{path} is a folder, not a file, and has no metrics.jsonl nor runs of another tracker.",
            argument="path",
            hint=f"What can be imported: {KNOWN}.",
        )
    if path.suffix.lower() not in _FORMATS:
        raise InvalidArgumentError(
            f"{path} was not written by a tracker that is known. Nothing was imported.",
            argument="path",
            hint=f"What can be imported: {KNOWN}.",
        )
    read = _format(path)[0]
    found: dict[str, _ExperimentParts] = {}
    number = 0
    try:
        for row in read(path):
            _add_row(found, _Columns(row))
            number += 1
    except OSError as error:
        raise TrackingError(
            f"{path} cannot be read ({one_line(error.strerror or str(error))}). Nothing was changed."
        ) from None
    except (ValueError, TypeError, OverflowError, csv.Error) as error:
        why = _read_error(error)
        raise TrackingError(
            f"{path} is not a file of experiments: row {number + 1} cannot be read ({why}). Nothing was changed.",
            hint=f"What can be imported: {KNOWN}.",
        ) from None
    return _added(store, list(found.values()))


def _added(store: ExperimentStore, found: Sequence[_ExperimentParts]) -> ImportedFile:
    """Add experiments, and return the ids of new and of known ones."""
    done = ImportedFile([], [], LeftOut())
    for one in found:
        try:
            added = restore_experiment(
                store.location, one.row, one.series, one.marks, one.environments, one.samples, one.outcome
            )
        except (sqlite3.Error, OSError) as error:
            count = f"{len(done.new)} of {len(found)} experiments were added"
            raise TrackingError(
                f"The experiments in {store.location} cannot be written ({one_line(str(error))}); {count}."
            ) from None
        (done.new if added else done.known).append(one.row.id)
        if added:
            done.left_out.update(one.left_out)
    return done


def _read_error(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return "it is not JSON"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text: save it as UTF-8"
    return one_line(str(error))


class _Columns(dict[str, Any]):
    """A row that names a missing column in its error."""

    def __missing__(self, name: str) -> Any:
        raise ValueError(f"it has no {name!r}")


class _ExperimentParts:
    def __init__(
        self,
        row: ExperimentRow,
        series: dict[str, Points] | None = None,
        marks: list[ExperimentMark] | None = None,
        left_out: LeftOut | None = None,
        outcome: str | None = None,
    ) -> None:
        self.row = row
        self.series: dict[str, Points] = {} if series is None else series
        self.marks: list[ExperimentMark] = [] if marks is None else marks
        self.left_out = LeftOut() if left_out is None else left_out
        self.outcome = outcome
        self.environments: list[EnvironmentRow] = []
        self.samples: list[SampleRow] = []


def _rows_parts_of(store: ExperimentStore, experiment_id: str, *, with_samples: bool) -> Iterator[Row]:
    row = store.experiment(experiment_id)
    yield {
        "record": "experiment",
        "experiment": row.id,
        **{name: getattr(row, name) for name in _EXPERIMENT_COLUMNS},
        "tags": list(row.tags),
        "project": row.project,
        "author": row.author,
        "summary": row.summary,
        "environments": [of._asdict() for of in store.environments(row.id)],
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
        yield {
            "record": "mark",
            "experiment": row.id,
            **{name: getattr(mark, name) for name in (*_MARK_COLUMNS, _EXPIRES_AT)},
        }
    for one in store.samples(row.id) if with_samples else ():
        yield {"record": "sample", "experiment": row.id, **{name: getattr(one, name) for name in _SAMPLE_COLUMNS}}


def _add_row(found: dict[str, _ExperimentParts], row: Row) -> None:
    record, key = row["record"], _text(row["experiment"])
    if record == "experiment":
        found[key] = _ExperimentParts(
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
                project=None if row.get("project") is None else _text(row["project"]),
                author=None if row.get("author") is None else _text(row["author"]),
                summary=dict(row.get("summary") or {}),
            )
        )
        found[key].environments = [
            EnvironmentRow(_int64(of["at"]), dict(of["content"])) for of in row.get("environments") or ()
        ]
    elif record == "point":
        points = _parts_of(found, key).series.setdefault(_text(row["key"]), Points([], [], [], [], []))
        points.step.append(_int64(row["step"]))
        points.at.append(_int64(row["at"]))
        points.tokens.append(math.nan if row["tokens"] is None else float(row["tokens"]))
        points.value.append(float(row["value"]))
        points.attempt.append(_int64(row["attempt"]))
    elif record == "mark":
        if row["kind"] not in MARK_KINDS:
            raise ValueError(f"a mark of kind {row['kind']!r:.40}")
        step = None if row["step"] is None else _int64(row["step"])
        mark = ExperimentMark(
            row["kind"],
            step,
            _int64(row["at"]),
            _text(row["text"]),
            row["uri"],
            row["target"],
            _int64(row["attempt"]),
            None if row.get(_EXPIRES_AT) is None else _int64(row[_EXPIRES_AT]),
        )
        _parts_of(found, key).marks.append(mark)
    elif record == "sample":
        reward = None if row["reward"] is None else float(row["reward"])
        parts = _parts_of(found, key)
        sample = SampleRow(
            len(parts.samples),
            _int64(row["step"]),
            _int64(row["at"]),
            _int64(row["attempt"]),
            _text(row["prompt"]),
            _text(row["completion"]),
            reward,
            dict(row["fields"]),
            _int64(row["cut"]),
        )
        parts.samples.append(sample)
    else:
        raise ValueError(f"a record of kind {record!r:.40}")


def _parts_of(found: dict[str, _ExperimentParts], key: str) -> _ExperimentParts:
    if key not in found:
        raise ValueError(f"no row before it is the experiment {key!r:.40}")
    return found[key]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no string")
    return value


def _int64(value: Any) -> int:
    number = int(value)
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError(f"{number} does not fit in 64 bits")
    return number


def as_json(value: Any) -> Any:
    """Return a value with its non-finite floats, which JSON does not have, as objects."""
    if isinstance(value, float) and not math.isfinite(value):
        return {_NUMBER: _as_word(value)}
    if isinstance(value, dict):
        inner = {name: as_json(found) for name, found in value.items()}
        # An object that looks like such a number is wrapped, so that it is read as it was.
        return {_OBJECT: inner} if value.keys() in ({_NUMBER}, {_OBJECT}) else inner
    return [as_json(found) for found in value] if isinstance(value, (list, tuple)) else value


def from_json(value: Any) -> Any:
    """Return the value that `as_json` was called with."""
    if isinstance(value, list):
        return [from_json(found) for found in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {_NUMBER} and value[_NUMBER] in _NON_FINITE:
        return _NON_FINITE[value[_NUMBER]]
    if value.keys() == {_OBJECT} and isinstance(value[_OBJECT], dict):
        value = value[_OBJECT]
    return {name: from_json(found) for name, found in value.items()}


# Formats


def _format(path: Path) -> tuple[Callable[[Path], Iterable[Row]], Callable[[Path, Iterable[Row]], None]]:
    if path.is_dir():
        raise InvalidArgumentError(
            f"{path} is a folder, not a file.", argument="path", hint=f"Name a file: {path / 'experiments.jsonl'}"
        )
    if path.suffix.lower() not in _FORMATS:
        raise InvalidArgumentError(
            f"The name {path.name!r:.60} has no known ending.",
            argument="path",
            hint=f"It can end in {', '.join(_FORMATS)}: experiments.jsonl",
        )
    return _FORMATS[path.suffix.lower()]


def _write_lines(path: Path, rows: Iterable[Row]) -> None:
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            worded = {
                name: _as_word(value) if name in _FLOAT_COLUMNS else as_json(value) for name, value in row.items()
            }
            file.write(json.dumps(worded, ensure_ascii=False, allow_nan=False) + "\n")


def _read_lines(path: Path) -> Iterator[Row]:
    # Editors and other programs add byte order marks and empty lines.
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        for line in file:
            text = line.strip().removeprefix("\ufeff")
            if not text:
                continue
            row = read_json(text)
            if not isinstance(row, dict):
                raise TypeError("no object")
            yield {name: _read_value(name, value) for name, value in row.items()}


def _read_value(name: str, value: Any) -> Any:
    if name in _FLOAT_COLUMNS:
        return _NON_FINITE.get(value, value) if isinstance(value, str) else value
    return from_json(value) if name in _JSON_COLUMNS else value


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
        _check_columns(reader.fieldnames or ())
        for row in reader:
            if not any(row.values()):
                # A line of separators, which spreadsheets add at the end.
                continue
            yield {name: _from_cell(name, value) for name, value in row.items()}


def _check_columns(names: Sequence[str]) -> None:
    """Raise unless a table has the columns of this version, or of an earlier one."""
    if tuple(names) != COLUMNS[: len(names)] or len(names) < len(_FIRST_COLUMNS):
        raise ValueError("its columns are others")


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in _FLOAT_COLUMNS:
        return str(_as_word(value))
    if name in _JSON_COLUMNS:
        return json.dumps(as_json(value), ensure_ascii=False, allow_nan=False)
    return str(int(value)) if name == "archived" or name in _INT_COLUMNS else _escape_formula(str(value))


def _escape_formula(text: str) -> str:
    """Return a text that no spreadsheet evaluates as a formula; `_from_cell` removes the apostrophe."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _from_cell(name: str, cell: str) -> Any:
    if cell.startswith("'") and cell[1:].startswith(_FORMULA):
        cell = cell[1:]
    if name == "text":
        return cell
    if cell == "":
        return None
    if name in _FLOAT_COLUMNS:
        return _NON_FINITE[cell] if cell in _NON_FINITE else float(cell)
    if name in _JSON_COLUMNS:
        return from_json(read_json(cell))
    return int(cell) if name == "archived" or name in _INT_COLUMNS else cell


def _as_word(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _write_parquet(path: Path, rows: Iterable[Row]) -> None:
    pyarrow, parquet = _pyarrow()
    kinds = (
        dict.fromkeys(_INT_COLUMNS, pyarrow.int64())
        | dict.fromkeys(_FLOAT_COLUMNS, pyarrow.float64())
        | {"archived": pyarrow.bool_()}
    )
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for row in rows:
        for name, column in columns.items():
            value = row.get(name)
            is_json = name in _JSON_COLUMNS and value is not None
            column.append(json.dumps(as_json(value), ensure_ascii=False, allow_nan=False) if is_json else value)
    arrays = {
        name: pyarrow.array(column, kinds.get(name, pyarrow.string()), from_pandas=False)
        for name, column in columns.items()
    }
    parquet.write_table(pyarrow.table(arrays), path)


def _read_parquet(path: Path) -> Iterator[Row]:
    pyarrow, parquet = _pyarrow()
    try:
        table = parquet.read_table(path)
    except pyarrow.ArrowException as error:
        raise ValueError(str(error)) from None
    _check_columns(table.column_names)
    for batch in table.to_batches():
        for row in batch.to_pylist():
            yield {
                name: from_json(read_json(value)) if name in _JSON_COLUMNS and value is not None else value
                for name, value in row.items()
            }


def _pyarrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise InvalidArgumentError(
            "Parquet needs pyarrow, which is not installed.",
            argument="path",
            hint="pip install pyarrow, or use a name that ends in .jsonl",
        ) from None


_FORMATS: dict[str, tuple[Callable[[Path], Iterable[Row]], Callable[[Path, Iterable[Row]], None]]] = {
    ".jsonl": (_read_lines, _write_lines),
    ".csv": (_read_csv, _write_csv),
    ".parquet": (_read_parquet, _write_parquet),
}
#: Known endings of file names.
ENDINGS = tuple(_FORMATS)
