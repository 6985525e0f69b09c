"""Colors by the value of a parameter: seen in both themes, ordered, and apart with every kind of color blindness."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.charts.parameter_colors import CATEGORY_COLORS, MISSING_COLOR, SCALE_COLORS, parameter_colors, scale_color
from loops_nb.charts.style import LINE_COLORS

#: Machado, Oliveira and Fernandes (2009), complete loss of one kind of cone; for linear RGB.
_BLINDNESS = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def linear(color: str) -> Any:
    parts = np.array([int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def luminance(color: str) -> float:
    return float(linear(color) @ [0.2126, 0.7152, 0.0722])


def lab(rgb: Any) -> Any:
    to_lms = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(to_lab) @ np.cbrt(np.clip(np.array(to_lms) @ rgb, 0, None))


def contrast(one: str, other: str) -> float:
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("color", [*SCALE_COLORS, *LINE_COLORS, MISSING_COLOR])
def test_each_color_is_seen_in_both_themes(color: str) -> None:
    assert contrast(color, "#ffffff") >= 3
    assert contrast(color, "#111111") >= 3


def test_the_scale_gets_lighter_from_low_to_high() -> None:
    assert all(luminance(one) < luminance(other) for one, other in itertools.pairwise(SCALE_COLORS))


@pytest.mark.parametrize("kind", [*_BLINDNESS, "none"])
def test_the_scale_is_read_with_every_kind_of_color_blindness(kind: str) -> None:
    matrix = np.array(_BLINDNESS.get(kind, np.eye(3)))
    seen = np.array([lab(np.clip(matrix @ linear(color), 0, 1)) for color in SCALE_COLORS])
    low = np.linalg.norm(seen - seen[0], axis=1)
    assert (np.diff(low) > 0).all(), "farther along the scale looks farther away"
    assert low[-1] > 0.15


def test_numbers_over_decades_have_a_logarithmic_scale() -> None:
    found = parameter_colors([1e-4, 1e-3, 1e-2])
    assert found.kind == "log"
    assert (found.low, found.high) == (1e-4, 1e-2)
    assert [tick.at for tick in found.ticks] == pytest.approx([0, 0.5, 1])
    assert [tick.label for tick in found.ticks] == ["0.0001", "0.001", "0.01"]
    assert found.colors == (SCALE_COLORS[0], SCALE_COLORS[4], SCALE_COLORS[-1])
    assert found.gradient == SCALE_COLORS


def test_numbers_near_each_other_have_a_linear_scale() -> None:
    found = parameter_colors([8, 16, None, 12, 0])
    assert found.kind == "linear"
    assert found.has_missing
    assert found.colors[2] == MISSING_COLOR
    assert [tick.label for tick in found.ticks] == ["0", "8", "12", "16"]


def test_many_numbers_have_few_ticks_with_both_ends() -> None:
    ticks = parameter_colors([float(value) for value in range(1, 10)]).ticks
    assert len(ticks) <= 5
    assert (ticks[0].label, ticks[-1].label) == ("1", "9")


def test_words_and_flags_are_categories() -> None:
    found = parameter_colors(["adam", "sgd", None, "adam"])
    assert found.kind == "categories"
    assert found.colors == (CATEGORY_COLORS[0], CATEGORY_COLORS[1], MISSING_COLOR, CATEGORY_COLORS[0])
    assert [tick.label for tick in found.ticks] == ["adam", "sgd"]
    assert not found.gradient
    assert parameter_colors([True, False]).kind == "categories"
    assert parameter_colors([1, "1"]).kind == "categories"
    assert math.isnan(found.low)


def test_more_categories_than_colors_are_said() -> None:
    assert not parameter_colors([f"{place}x" for place in range(len(CATEGORY_COLORS))]).is_repeating
    assert parameter_colors([f"{place}x" for place in range(len(CATEGORY_COLORS) + 1)]).is_repeating


def test_one_value_and_none_at_all() -> None:
    assert parameter_colors([3]).colors == (SCALE_COLORS[4],)
    assert parameter_colors([]).colors == ()
    assert parameter_colors([None, float("nan")]).colors == (MISSING_COLOR, MISSING_COLOR)


@given(st.lists(st.none() | st.floats() | st.integers() | st.text(max_size=3) | st.booleans(), max_size=12))
def test_every_value_has_a_color_and_equal_ones_the_same(values: list[object]) -> None:
    found = parameter_colors(values)
    assert len(found.colors) == len(values)
    assert all(re.fullmatch("#[0-9a-f]{6}", color) for color in found.colors)
    by_value: dict[object, str] = {}
    for value, color in zip(values, found.colors, strict=True):
        assert by_value.setdefault((type(value) is bool, value), color) == color
    if found.kind != "categories":
        assert all(0 <= tick.at <= 1 for tick in found.ticks)


@given(st.floats(0, 1), st.floats(0, 1))
def test_higher_values_are_never_darker(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert luminance(scale_color(low)) <= luminance(scale_color(high)) + 0.004
