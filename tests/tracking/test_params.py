"""Parameters of experiments as columns: exact, flat, without collisions."""

from __future__ import annotations

import math
from typing import Any

import pytest

from loops_nb import experiment
from loops_nb.charts.param_diff import compare_params
from loops_nb.frames.params import param_array
from loops_nb.tracking.metrics import Metrics
from loops_nb.tracking.params import flat_params

SEED = 1234567890123456789
HUGE = 2**64 + 3


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([SEED, SEED + 1, None], "Int64"),
        ([-(2**63), 2**63 - 1, None], "Int64"),
        ([2**63, None, 1], "object"),
        ([HUGE, -HUGE, None], "object"),
        ([True, None, False], "boolean"),
        ([0.1, None, 2], "float64"),
        ([2**53 + 1, 0.5], "object"),
        ([True, 1, 0.5, "a"], "object"),
        (["a", None], "str"),
        ([None, None], "object"),
        ([math.inf, None], "float64"),
    ],
)
def test_parameter_column_keeps_each_value_exactly(values: list[Any], dtype: str) -> None:
    array = param_array(values)
    assert str(array.dtype) in {dtype, "string" if dtype == "str" else dtype}
    for found, value in zip(array, values, strict=True):
        if value is None:
            assert found is None or (found == found) is not True  # noqa: PLR0124 - NA and NaN are not themselves
        else:
            assert found == value
            assert isinstance(value, bool) == (str(found) in {"True", "False"})


@pytest.mark.parametrize(
    ("params", "flat"),
    [
        ({"optim": {"lr": 1, "betas": [0.9, 0.99]}, "a": {}}, {"optim.lr": 1, "optim.betas": [0.9, 0.99], "a": {}}),
        ({"a": {"b": 2}, "a.b": 1}, {"a.b (2)": 2, "a.b": 1}),
        (
            {"a": {"b.c": 1, "b": {"c": 2}}, "a.b": {"c": 3}, "a.b.c": 4},
            {"a.b.c (2)": 1, "a.b.c (4)": 2, "a.b.c (3)": 3, "a.b.c": 4},
        ),
        ({"a.b (2)": 0, "a.b": 1, "a": {"b": 2}}, {"a.b (2)": 0, "a.b": 1, "a.b (3)": 2}),
        ({"": 1, "x": {"": 2}, "x.": 3}, {"": 1, "x. (2)": 2, "x.": 3}),
    ],
)
def test_flat_parameter_names_overwrite_nothing(params: dict[str, Any], flat: dict[str, Any]) -> None:
    assert flat_params(params) == flat
    assert list(flat_params(params)) == list(flat)


def test_listings_and_panel_show_the_same_parameters() -> None:
    everything: dict[str, dict[str, Any]] = {
        "one": {"seed": SEED, "model": {"rank": 8, "": "empty"}, "id": "mine", "name": "called", "": 5, "huge": HUGE},
        "two": {"seed": SEED + 1, "model": {"rank": 16}, "flag": True, "archived": 3},
        "differs": {"lr": 1e-4},
    }
    for name, params in everything.items():
        experiment(name, params=params).close()
    metrics = Metrics()
    listed = metrics.experiments().set_index("name")
    assert listed["params.seed"].dtype == "Int64"
    seeds = listed["params.seed"]
    assert seeds[seeds == SEED].index.tolist() == ["one"]
    assert listed["params.model.rank"].dtype == "Int64"
    assert listed["params.flag"].dtype == "boolean"
    assert (listed.loc["one", "params.id"], listed.loc["one", "params.name"], listed.loc["one", "params."]) == (
        "mine",
        "called",
        5,
    )
    assert listed["archived"].tolist() == [False] * 3
    assert listed.loc["one", "params.huge"] == HUGE
    beside = metrics.params()
    names = set(beside["parameter"])
    assert names == {column.removeprefix("params.") for column in listed.columns if column.startswith("params.")}
    assert names == {row.name for row in compare_params(list(everything.values())).differing}
    (third,) = set(beside.columns) - {"parameter", "differs", "one", "two"}
    assert third.startswith("differs (")
    place = beside["parameter"].tolist().index("seed")
    assert [beside[name].tolist()[place] for name in ("one", "two")] == [SEED, SEED + 1]


def test_panel_distinguishes_values_that_are_shown_alike() -> None:
    found = compare_params([{"lr": 1.0000001e-4, "same": 1}, {"lr": 1.0000002e-4, "same": 1}])
    assert [row.name for row in found.differing] == ["lr"]
    assert found.same == 1


def test_parameter_names_that_become_equal_keep_their_values() -> None:
    row = Metrics().store.experiment(experiment("names", params={1: "a", "1": "b", "deep": {None: 1, "None": 2}}).id)  # type: ignore[dict-item]
    assert row.params == {"1": "a", "1 (2)": "b", "deep": {"None": 1, "None (2)": 2}}


def test_too_long_integer_parameter_is_described() -> None:
    row = Metrics().store.experiment(experiment("long", params={"huge": 10**5000, "seed": 2**200}).id)
    assert row.params == {"huge": "an integer of 16,610 bits", "seed": 2**200}
