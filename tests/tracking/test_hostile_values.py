"""Keys and values of every type, files of other versions, and secrets that must not be stored."""

from __future__ import annotations

import datetime as dt
import functools
import math
import sqlite3
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from loops_nb import experiment
from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.tracking import ExperimentStore, TrackingWarning
from loops_nb.tracking.schema import SCHEMA_VERSION, STEPS

SENTINEL = "sentinel-key-9f8e7d6c5b4a"


class Tensor:
    """A tensor with one element, on a device."""

    def __float__(self) -> float:
        raise RuntimeError("not on this device")

    def item(self) -> float:
        return 2.5


class Bad:
    """An object that raises on every access."""

    def __float__(self) -> float:
        raise MemoryError

    def __getattr__(self, name: str) -> Any:
        raise KeyError(name)

    def __str__(self) -> str:
        raise ValueError("no")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (1, 1.0),
        (True, 1.0),
        (-0.0, -0.0),
        (math.nan, math.nan),
        (math.inf, math.inf),
        (-math.inf, -math.inf),
        (2**53, 2.0**53),
        (5e-324, 5e-324),
        (np.float32(0.5), 0.5),
        (np.int64(-3), -3.0),
        (np.bool_(1), 1.0),
        (np.array(4.0), 4.0),
        (Decimal("0.25"), 0.25),
        (Fraction(1, 4), 0.25),
        (Decimal("-Infinity"), -math.inf),
        (np.float64(0.1), 0.1),
        (np.longdouble(0.25), 0.25),
        (np.uint8(7), 7.0),
        (np.array([3.5]), 3.5),
        (np.array([[True]]), 1.0),
        (np.array([np.inf]), math.inf),
        (np.array(Decimal("0.5"), dtype=object), 0.5),
        (np.ma.masked_array([2.5], mask=[False]), 2.5),
        (pd.Series([4]), 4.0),
        (Tensor(), 2.5),
    ],
    ids=lambda value: type(value).__name__,
)
def test_numbers_of_every_type_are_kept(store: ExperimentStore, given: Any, kept: float) -> None:
    exp = experiment("values")
    exp.log(step=0, value=given)
    (value,) = store.series(exp.id, "value").value.tolist()
    assert repr(value) == repr(kept)


@pytest.mark.parametrize(
    "value",
    [
        "0.5",
        None,
        b"1",
        [1, 2],
        {"a": 1},
        object(),
        np.zeros(3),
        Bad(),
        1j,
        1 + 0j,
        np.complex64(1 + 2j),
        np.complex128(2),
        np.array([3 + 0j]),
        np.array(1j, dtype=object),
        dt.datetime(2026, 11, 29, tzinfo=dt.UTC),
        dt.timedelta(seconds=1),
        np.datetime64("2026-11-29T10:00:00", "ns"),
        np.timedelta64(5, "ns"),
        np.timedelta64(5, "s"),
        np.array(["2026-11-29"], dtype="datetime64[ns]"),
        pd.Timestamp("2026-11-29"),
        pd.Timedelta(seconds=3),
        pd.NaT,
        pd.NA,
        np.str_("0.5"),
        np.bytes_(b"1"),
        np.array("0.5"),
        np.array(["1"]),
        np.array([b"1"]),
        np.array(["7"], dtype=object),
        np.ma.masked,
        np.ma.masked_array([5.0], mask=[True]),
        Decimal("sNaN"),
    ],
    ids=lambda value: (
        f"{type(value).__name__}-{value!r}"[:40] if isinstance(value, np.generic) else type(value).__name__
    ),
)
def test_non_numbers_are_skipped_with_one_warning(store: ExperimentStore, value: Any) -> None:
    exp = experiment("no numbers")
    with pytest.warns(TrackingWarning, match="'value' is no number"):
        exp.log(step=0, value=value, loss=1)
    # Warnings are errors in tests, so a second one would fail.
    exp.log(step=1, value=value, loss=2)
    assert store.series(exp.id, "loss").value.tolist() == [1, 2]
    assert [key.key for key in store.keys(exp.id)] == ["loss"]


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), Fraction(10**400), Decimal("1e400")], ids=["high", "low", "fraction", "decimal"]
)
def test_too_large_numbers_are_skipped_with_one_warning(store: ExperimentStore, value: Any) -> None:
    exp = experiment("too large")
    exp.log(step=0, value=1, loss=1)
    with pytest.warns(
        TrackingWarning, match=r"'value' is too large \(a 64-bit float holds numbers to 1\.8e308\): such values are not"
    ):
        exp.log(step=1, value=value, loss=2.5)
    # Warnings are errors in tests, so a second one would fail.
    exp.log(step=2, value=value, loss=math.inf)
    assert store.series(exp.id, "value").value.tolist() == [1]
    assert store.series(exp.id, "loss").value.tolist() == [1, 2.5, math.inf]


@pytest.mark.parametrize(
    "value", [2**53 + 1, np.int64(2**53 + 1), np.array([2**53 + 1])], ids=["int", "scalar", "array"]
)
def test_unrepresentable_integers_are_rounded_with_one_warning(store: ExperimentStore, value: Any) -> None:
    exp = experiment("rounded")
    exp.log(step=0, value=2**53, exact=2**60)
    assert exp.flush()
    exp.log(step=1, value=value)
    with pytest.warns(
        TrackingWarning, match=r"^'value' has integers beyond 2\*\*53.*\(9007199254740993 as 9007199254740992\)"
    ):
        assert exp.flush()
    # Warnings are errors in tests, so a second one would fail.
    exp.log(step=2, value=value)
    assert store.series(exp.id, "value").value.tolist() == [2.0**53] * 3


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (np.int64(1234567890123456789), 1234567890123456789),
        (np.array(2**63 - 1), 2**63 - 1),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (10**30, 10**30),
        (np.bool_(1), True),
        (np.complex64(1 + 2j), "(1+2j)"),
        (np.datetime64("2026-11-29T10:00:00", "ns"), "2026-11-29T10:00:00.000000000"),
        (np.timedelta64(5, "ns"), "5 nanoseconds"),
        (np.str_("adam"), "adam"),
        (np.array("adam"), "adam"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_parameters_keep_digits_and_type(store: ExperimentStore, given: Any, kept: Any) -> None:
    found = store.experiment(experiment("exact", params={"value": given}).id).params["value"]
    assert (found, type(found)) == (kept, type(kept))


@pytest.mark.parametrize("given", [5, "loss", [0.5], object()], ids=lambda value: type(value).__name__)
def test_log_refuses_values_that_are_no_mapping(store: ExperimentStore, given: Any) -> None:
    exp = experiment("numbers alone")
    with pytest.raises(InvalidArgumentError, match=r"must be numbers by key, not .* Nothing was recorded") as caught:
        exp.log(given)
    assert "exp.log(loss=0.5)" in caught.value.hint
    assert not store.keys(exp.id)


@pytest.mark.parametrize("given", ["many", [1], object()], ids=lambda value: type(value).__name__)
def test_log_refuses_tokens_that_are_no_number(given: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="tokens_seen must be a number, not "):
        experiment("tokens").log(loss=1, tokens_seen=given)


KEYS = [
    "step",
    "self",
    "values",
    "eval/loss",
    "'; DROP TABLE chunks; --",
    "\N{ROCKET}\N{VARIATION SELECTOR-16}",
    "a\x00b",
    "line\nbreak",
    "\u202eright to left",
    " ",
    "%s{}$x",
    "x" * 1000,
    "NULL",
]


@pytest.mark.parametrize("key", KEYS, ids=ascii)
def test_any_string_can_be_a_key(store: ExperimentStore, key: str) -> None:
    exp = experiment(key if key.strip() and len(key) <= 500 else "keys", tags=[key], params={key: key}, run=key)
    exp.log({key: 1.5}, step=3)
    exp.note(key)
    assert [found.key for found in store.keys(exp.id)] == [key]
    assert store.series(exp.id, key).value.tolist() == [1.5]
    row = store.experiment(exp.id)
    assert (row.tags, row.params, row.notes, row.run_id) == ((key,), {key: key}, (key,), key)


def test_unusable_keys_are_skipped_with_a_warning(store: ExperimentStore) -> None:
    exp = experiment("bad keys")
    for key in ["", "x" * 1001, 3, None]:
        with pytest.warns(TrackingWarning, match="cannot be a key"):
            exp.log({key: 1.0}, step=0)  # type: ignore[dict-item]
    exp.log({"half a surrogate \ud83d": 1.0}, step=0)
    assert [key.key for key in store.keys(exp.id)] == ["half a surrogate \\ud83d"]


def test_log_takes_ten_thousand_keys_in_one_call(store: ExperimentStore) -> None:
    exp = experiment("wide")
    for step in range(3):
        exp.log({f"layer/{key}": float(key) for key in range(10_000)}, step=step)
    found = store.keys(exp.id)
    assert len(found) == 10_000
    assert {(key.count, key.first_step, key.last_step) for key in found} == {(3, 0, 2)}
    assert store.series(exp.id, "layer/9999").value.tolist() == [9999.0] * 3


def _cosine(step: float) -> float:
    return math.cos(step)


def test_parameters_of_every_type_become_json(store: ExperimentStore) -> None:
    def kept() -> None:
        """Be called by a short name."""

    params = {
        "lr": np.float32(0.5),
        "rank": np.int64(8),
        "path": Path("a/b"),
        "set": {3},
        "deep": {"x": (1, None, True)},
        "nan": math.nan,
        "bad": Bad(),
        "lambda": lambda step: step,
        "schedule": _cosine,
        "local": kept,
        "method": Decimal(1).sqrt,
        "builtin": math.cos,
        "class": Tensor,
        "partial": functools.partial(_cosine, 1),
        "object": object(),
        "said": "an address such as <x at 0x7f00aa> in a string",
    }
    row = store.experiment(experiment("params", params=params).id)
    assert math.isnan(row.params.pop("nan"))
    assert row.params == {
        "lr": 0.5,
        "rank": 8,
        "path": "a/b",
        "set": [3],
        "deep": {"x": [1, None, True]},
        "bad": "<Bad>",
        "lambda": "<lambda>",
        "schedule": "_cosine",
        "local": "kept",
        "method": "Decimal.sqrt",
        "builtin": "cos",
        "class": "<class 'tests.tracking.test_hostile_values.Tensor'>",
        "partial": "functools.partial(<function _cosine>, 1)",
        "object": "<object object>",
        "said": "an address such as <x at 0x7f00aa> in a string",
    }


def test_api_key_is_nowhere_in_the_file(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASETEN_API_KEY", SENTINEL)
    url = f"https://bucket.example/x?X-Amz-Signature={SENTINEL[::-1]}&X-Amz-Date=1"
    exp = experiment(
        f"name {SENTINEL}",
        tags=[SENTINEL],
        params={
            "api_key": "another-secret-1",
            "header": f"Api-Key {SENTINEL}",
            "deep": {"password": "p4ssw0rd-x", "url": url},
        },
    )
    exp.log({f"key {SENTINEL}": 1.0, "loss": 1.0}, step=0)
    exp.note(f"it is {SENTINEL}")
    exp.saved(SENTINEL, uri=url)
    store.tag(exp.id, f"later {SENTINEL}")
    store.note(exp.id, SENTINEL)
    store.set_params(exp.id, {"token": SENTINEL})
    store.close()
    exp.close()
    for file in store.path.parent.iterdir():
        for secret in (SENTINEL, SENTINEL[::-1], "another-secret-1", "p4ssw0rd-x"):
            assert secret.encode() not in file.read_bytes()
    assert ExperimentStore().experiment(exp.id).params["header"] == "Api-Key <api key>"


def test_file_of_a_newer_version_is_refused(store: ExperimentStore) -> None:
    experiment("now").close()
    connection = sqlite3.connect(store.path)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(
        TrackingError, match=f"newer version of loops_nb .schema {SCHEMA_VERSION + 1}, this one knows {SCHEMA_VERSION}"
    ):
        ExperimentStore().experiments()
    with pytest.raises(TrackingError, match="newer version"):
        experiment("then")


def test_file_of_an_older_version_is_upgraded_without_loss(store: ExperimentStore) -> None:
    store.path.parent.mkdir(parents=True)
    connection = sqlite3.connect(store.path)
    for statement in STEPS[0]:
        connection.execute(statement)
    connection.execute(
        "INSERT INTO experiments (id, name, created_at, last_at, params) VALUES ('old', 'from then', 1, 2, '{}')"
    )
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()
    with pytest.raises(TrackingError, match=r"older format \(schema 1"):
        ExperimentStore(read_only=True).experiments()
    assert [row.name for row in store.experiments()] == ["from then"]
    assert store.followed("x") == 0
    with experiment("from then", resume=True) as exp:
        exp.log(loss=1)
    assert exp.id == "old"
    assert [row.name for row in ExperimentStore(read_only=True).experiments()] == ["from then"]


def test_read_only_store_changes_nothing(store: ExperimentStore) -> None:
    exp = experiment("read")
    exp.log(loss=1)
    exp.close()
    reader = ExperimentStore(read_only=True)
    assert reader.series(exp.id, "loss").value.tolist() == [1]
    with pytest.raises(TrackingError, match="for reading only"):
        reader.tag(exp.id, "x")
    reader.close()


def test_foreign_file_is_refused_and_unchanged(store: ExperimentStore) -> None:
    store.path.parent.mkdir(parents=True)
    letter = b"a letter to a friend, long enough to be no database" * 50
    store.path.write_bytes(letter)
    with pytest.raises(TrackingError, match="is not a file of experiments"):
        experiment("x")
    with pytest.raises(TrackingError, match="is not a file of experiments"):
        store.experiments()
    assert store.path.read_bytes() == letter
