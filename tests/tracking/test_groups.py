"""Groups of experiments by parameter, tag, project, name, and name without seed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.errors import InvalidArgumentError
from loops_nb.tracking.groups import group_experiments, is_seed_parameter, parameter_values, without_seed


@dataclass
class Row:
    """An experiment as the rule sees it."""

    name: str
    params: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    id: str = ""
    project: str | None = None


def rows(*given_rows: Row) -> list[Row]:
    for place, row in enumerate(given_rows):
        row.id = row.id or f"id{place}"
    return list(given_rows)


def sizes(found: Any) -> dict[str, int]:
    return {group.label: len(group.ids) for group in found.groups}


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("sft-s1", "sft"),
        ("sft_s=12", "sft"),
        ("sft-seed3", "sft"),
        ("sft_seed2", "sft"),
        ("sft seed=3", "sft"),
        ("sft (seed 3)", "sft"),
        ("sft[seed=3]", "sft"),
        ("sft-SEED-3", "sft"),
        ("sft_random_seed_7", "sft"),
        ("seed3-lr1e-4", "lr1e-4"),
        ("lr=1e-4,seed=0,rank=8", "lr=1e-4,rank=8"),
        ("sft-lr3e-4-s1", "sft-lr3e-4"),
        ("seed0", "seed"),
    ],
)
def test_a_marked_seed_is_taken_from_a_name(name: str, stem: str) -> None:
    found = without_seed(name)
    assert (found.stem, found.is_marked) == (stem, True)


@pytest.mark.parametrize(
    "name", ["sft", "lr-1e-4", "lr3e-4", "v0.1", "sft-seedling", "seeds3", "sft-s1b", "cross5", "7", "seed=0.5", ""]
)
def test_what_is_no_seed_stays_in_a_name(name: str) -> None:
    assert without_seed(name) == (name, "", False)


def test_a_number_is_marked_by_the_parameter_seed() -> None:
    assert without_seed("sft-17") == ("sft", "-17", False)
    assert without_seed("sft-017", seeds=[17]) == ("sft", "-017", True)


@pytest.mark.parametrize("name", ["seed", "data.seed", "random_seed", "trainer.random_state", "SEED"])
def test_seed_parameters_are_recognized(name: str) -> None:
    assert is_seed_parameter(name)


@pytest.mark.parametrize("name", ["seeds", "seed_count", "seedling", "lr"])
def test_other_parameters_are_no_seeds(name: str) -> None:
    assert not is_seed_parameter(name)


def test_groups_by_a_parameter_are_in_order_of_its_values() -> None:
    found = group_experiments(
        rows(Row("a", {"lr": 1e-3}), Row("b", {"lr": 1e-4}), Row("c", {"lr": 1e-3}), Row("d", {"rank": 8})), "lr"
    )
    assert sizes(found) == {"lr=0.0001": 1, "lr=0.001": 2, "no lr": 1}
    assert list(sizes(found)) == ["lr=0.0001", "lr=0.001", "no lr"]
    assert [group.values for group in found.groups] == [{"lr": 1e-4}, {"lr": 1e-3}, {"lr": None}]
    assert found.notes == ("Grouped by lr: 3 groups of 1 to 2 experiments.",)


def test_names_are_in_order_of_the_numbers_in_them() -> None:
    names = ["run-10x", "lr1e-3", "run-2x", "lr3e-4", "lr0.00001"]
    assert list(sizes(group_experiments(rows(*map(Row, names)), "name"))) == [
        "lr0.00001", "lr3e-4", "lr1e-3", "run-2x", "run-10x",
    ]  # fmt: skip


def test_equal_numbers_are_one_group_but_flags_and_texts_are_not() -> None:
    found = group_experiments(
        rows(*(Row("x", {"n": value}) for value in (1, 1.0, True, "1", [1, 2], [1, 2], float("nan")))), "n"
    )
    assert sorted(sizes(found).values()) == [1, 1, 1, 2, 2]
    assert len(set(sizes(found))) == 5


def test_groups_by_several_parameters_combine() -> None:
    found = group_experiments(
        rows(*(Row("x", {"lr": lr, "lora": {"rank": rank}}) for lr in (0.1, 0.01) for rank in (16, 8))),
        "lr, params.lora.rank",
    )
    assert list(sizes(found)) == [
        "lr=0.01, lora.rank=8",
        "lr=0.01, lora.rank=16",
        "lr=0.1, lora.rank=8",
        "lr=0.1, lora.rank=16",
    ]


def test_an_unknown_parameter_is_refused_with_a_near_one() -> None:
    with pytest.raises(InvalidArgumentError, match="has a parameter 'lr_'") as refused:
        group_experiments(rows(Row("a", {"lr": 1})), "lr_")
    assert "Did you mean lr?" in refused.value.hint
    with pytest.raises(InvalidArgumentError) as refused:
        group_experiments(rows(Row("a", {"lora": {"rank": 1}})), "rank")
    assert "lora.rank" in refused.value.hint
    with pytest.raises(InvalidArgumentError, match="grouped by"):
        group_experiments(rows(Row("a")), " , ")


def test_a_tag_of_all_is_no_group_and_one_with_several_is_in_each() -> None:
    found = group_experiments(
        rows(Row("a", tags=("base", "sweep")), Row("b", tags=("base", "good", "sweep")), Row("c", tags=("sweep",))),
        "tag",
    )
    assert sizes(found) == {"base": 2, "good": 1, "no tag": 1}
    assert "All of them have the tag sweep, which is no group." in found.notes
    assert "1 experiment has several tags and is in the group of each." in found.notes
    assert sizes(group_experiments(rows(Row("a", tags=("x",)), Row("b", tags=("x",))), "tag")) == {"x": 2}


def test_groups_by_project_and_by_name() -> None:
    given_rows = rows(Row("a", project="p"), Row("a"), Row("b", project="p"))
    assert sizes(group_experiments(given_rows, "project")) == {"p": 2, "no project": 1}
    assert sizes(group_experiments(given_rows, "name")) == {"a": 2, "b": 1}


def test_seeds_in_names_are_grouped_and_said() -> None:
    found = group_experiments(
        rows(
            *(Row(f"{base}-s{seed}", {"lr": lr, "seed": seed}) for base, lr in (("a", 1), ("b", 2)) for seed in (0, 1))
        ),
        "seedless",
    )
    assert sizes(found) == {"a": 2, "b": 2}
    assert found.notes == ("Grouped by name without seed: 2 groups of 2 experiments each.", "Taken as seeds: -s0, -s1.")


def test_experiments_of_one_name_are_apart_where_other_parameters_differ() -> None:
    found = group_experiments(
        rows(*(Row("sft", {"lr": lr, "seed": seed}) for lr in (1e-4, 1e-3) for seed in (1, 2))), "seedless"
    )
    assert sizes(found) == {"sft, lr=0.0001": 2, "sft, lr=0.001": 2}
    assert found.notes[-1] == "Experiments named 'sft' are not all in one group: they differ in lr."


def test_folders_with_the_name_keep_no_experiments_apart() -> None:
    found = group_experiments(rows(*(Row(f"sft-s{seed}", {"out": f"runs/sft-s{seed}"}) for seed in (1, 2))), "seedless")
    assert sizes(found) == {"sft": 2}


def test_bare_numbers_are_repeats_only_with_equal_parameters() -> None:
    ranks = rows(*(Row(f"rank-{rank}", {"rank": rank}) for rank in (8, 16)))
    assert sizes(group_experiments(ranks, "seedless")) == {"rank-8": 1, "rank-16": 1}
    repeats = rows(*(Row(f"sft-{number}", {"rank": 8}) for number in (3, 7)))
    assert sizes(group_experiments(repeats, "seedless")) == {"sft": 2}


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (["run-0", "run-1", "run-2"], {"run": 3}),
        (["run-1", "run-2"], {"run": 2}),
        (["run", "run-2", "run-3"], {"run": 3}),
        (["rank-8", "rank-16"], {"rank-8": 1, "rank-16": 1}),
        (["sft-s1"], {"sft-s1": 1}),
        (["sft", "sft"], {"sft": 2}),
    ],
)
def test_without_parameters_only_counted_names_are_repeats(names: list[str], groups: dict[str, int]) -> None:
    assert sizes(group_experiments(rows(*map(Row, names)), "seedless")) == groups


def test_no_experiments_are_no_groups() -> None:
    assert group_experiments([], "lr").groups == ()
    assert group_experiments([], "seedless").notes == ("Grouped by name without seed: no experiments.",)


def test_values_of_a_parameter() -> None:
    given_rows = rows(Row("a", {"lora": {"rank": 8}}), Row("b"))
    assert parameter_values(given_rows, "lora.rank") == [8, None]
    assert parameter_values(given_rows, "params.lora.rank") == [8, None]


_VALUES = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["a", "b", "1"])
_ROWS = st.lists(
    st.builds(
        Row,
        name=st.sampled_from(["sft", "sft-s1", "sft-1", "sft-2", "a seed=3", "rank-8", ""]),
        params=st.dictionaries(st.sampled_from(["lr", "seed", "tag"]), _VALUES, max_size=3),
        tags=st.lists(st.sampled_from(["x", "y", "z"]), unique=True).map(tuple),
    ),
    max_size=8,
)


@given(_ROWS, st.sampled_from(["seedless", "name", "tag", "project", "seedless,tag"]))
def test_every_experiment_is_in_a_group_and_labels_are_unique(found_rows: list[Row], by: str) -> None:
    found = group_experiments(rows(*found_rows), by)
    assert {one for group in found.groups for one in group.ids} == {row.id for row in found_rows}
    assert len({group.label for group in found.groups}) == len(found.groups)
    assert all(group.ids and len(set(group.ids)) == len(group.ids) for group in found.groups)
    if "tag" not in by:
        assert sum(len(group.ids) for group in found.groups) == len(found_rows)


@given(_ROWS)
def test_parameters_of_a_seedless_group_are_the_same_but_for_the_seed(found_rows: list[Row]) -> None:
    by_id = {row.id: row for row in rows(*found_rows)}
    for group in group_experiments(found_rows, "seedless").groups:
        members = [
            sorted(
                (name, type(value) is bool, repr(value) if isinstance(value, float) and math.isnan(value) else value)
                for name, value in row.params.items()
                if name != "seed"
            )
            for row in map(by_id.__getitem__, group.ids)
        ]
        assert all(one == members[0] for one in members)
