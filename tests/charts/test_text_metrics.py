"""Texts are measured without warnings, cut to a width, and stand beside each other."""

from __future__ import annotations

import itertools
import re
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from loops_nb.charts.layout import fit_ticks, handle, legend_columns, legend_height
from loops_nb.charts.style import SMALL, WIDTH
from loops_nb.charts.text_metrics import FONT, cut_paths, cut_text, text_width
from loops_nb.charts.ticks import Tick
from tests.frames.strategies import ANY_MACHINE


@ANY_MACHINE
@given(
    st.lists(st.tuples(st.floats(0, 1), st.text("0123456789 Nov:", min_size=1, max_size=9)), min_size=1, max_size=9),
    st.floats(60, 600),
)
def test_labels_of_an_axis_never_stand_on_each_other(ticks: list[tuple[float, str]], width: float) -> None:
    places = [place for place, _ in sorted(ticks)]
    fitting = fit_ticks([Tick(place, label) for place, label in sorted(ticks)], places, width)
    spans = [
        (tick.at * width - text_width(tick.label, SMALL) / 2, tick.at * width + text_width(tick.label, SMALL) / 2)
        for tick in fitting
    ]
    assert all(before[1] < after[0] for before, after in itertools.pairwise(spans))
    assert all(end <= width + 12 for _, end in spans)


def test_the_day_of_a_label_without_room_goes_to_the_next() -> None:
    ticks = [Tick(0, "08:00", "7 Nov"), Tick(1, "09:00", "8 Nov"), Tick(2, "10:00")]
    assert [(tick.label, tick.below) for tick in fit_ticks(ticks, [0.0, 0.05, 0.9], 200)] == [
        ("08:00", "7 Nov"),
        ("10:00", "8 Nov"),
    ]


@pytest.mark.parametrize(("long", "columns"), [(5, 4), (40, 3), (2, 2)])
def test_a_legend_has_as_many_columns_as_fit(long: int, columns: int) -> None:
    handles = [handle(f"a rather long target {number}") for number in range(long)]
    assert legend_columns(handles, WIDTH - 100) == columns
    assert legend_height(handles, WIDTH - 100) >= 13 * long / columns
    assert legend_columns([handle("x" * 500)], WIDTH) == 1


@pytest.mark.parametrize("text", ["run0001", "Qwen/Qwen3-8B", "lr=1e-4, rank 16", "WWW iii"])
def test_widths_are_those_of_the_font(text: str) -> None:
    drawn = TextPath((0, 0), text, size=100, prop=FontProperties(family=FONT)).get_extents()
    assert text_width(text, 100) == pytest.approx(drawn.width, rel=0.06)


def test_characters_that_the_font_lacks_have_a_width_and_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert text_width("漢字", 10) == pytest.approx(20)
        assert text_width("e\u0301", 10) < text_width("ee", 10)
        assert text_width("\U0001f600", 10) > 0


@ANY_MACHINE
@given(st.text(max_size=60), st.floats(20, 300))
def test_a_cut_text_fits(text: str, most: float) -> None:
    assert text_width(cut_text(text, SMALL, most), SMALL) <= most + 0.01


def test_paths_lose_what_they_share_and_then_their_middle() -> None:
    paths = [f"model.layers.{number}.self_attn.{kind}" for number in (0, 11) for kind in ("q_proj", "o_proj")]
    assert cut_paths(paths, SMALL, 140) == [
        "0.self_attn.q_proj",
        "0.self_attn.o_proj",
        "11.self_attn.q_proj",
        "11.self_attn.o_proj",
    ]
    assert cut_paths(paths, SMALL, 60) == ["0…q_proj", "0…o_proj", "11…q_proj", "11…o_proj"]
    assert cut_paths(["model.norm"], SMALL, 200) == ["model.norm"]
    assert all(re.fullmatch("mo.*…", path) for path in cut_paths(["model_of_a_very_long_name"], SMALL, 45))
