"""Labels have room, also in a narrow column."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.plots.canvas import NARROW, SMALL, Canvas, Scale, Sign
from loops_nb.plots.letters import cut, cut_paths, width
from loops_nb.plots.markup import number
from loops_nb.plots.ticks import Tick
from tests.frames.documents import ANY_MACHINE
from tests.plots.reading import SVG, read


@ANY_MACHINE
@given(st.lists(st.tuples(st.floats(0, 100), st.text("0123456789 Nov:", min_size=1, max_size=9)), min_size=1, max_size=9))
def test_labels_of_an_axis_stand_inside_and_never_on_each_other(ticks: list[tuple[float, str]]) -> None:
    canvas = Canvas()
    canvas.below([Tick(at, label) for at, label in sorted(ticks)], Scale(0, 100, 0, 100), 0)
    root = read(f'<svg xmlns="{SVG[1:-1]}">{"".join(canvas.parts)}</svg>')
    spans = []
    for text in root.iter(f"{SVG}text"):
        centre = float(text.attrib["x"].rstrip("%")) / 100 * NARROW + float(text.attrib.get("dx", 0))
        half = width(text.text or "", SMALL) / 2
        spans.append((centre - half, centre + half))
    # Places are written with two decimals.
    assert spans[0][0] >= -0.1
    assert spans[-1][1] <= NARROW + 0.1
    assert all(before[1] < after[0] for before, after in itertools.pairwise(spans))


@pytest.mark.parametrize(("value", "text"), [(-0.79, "-0.79"), (-0.001, "0"), (0.0, "0"), (-1.5, "-1.5"), (10, "10"), (100.004, "100")])
def test_a_coordinate_keeps_its_sign(value: float, text: str) -> None:
    assert number(value) == text


def test_a_legend_is_wrapped_in_a_narrow_column() -> None:
    canvas = Canvas()
    canvas.legend([Sign("", 10, f"a rather long target {number}") for number in range(5)])
    root = read(f'<svg xmlns="{SVG[1:-1]}">{"".join(canvas.parts)}</svg>')
    texts = list(root.iter(f"{SVG}text"))
    assert len({text.attrib["y"] for text in texts}) == 3
    assert all(float(text.attrib["x"]) + width(text.text or "", SMALL) <= NARROW + 10 for text in texts)


@ANY_MACHINE
@given(st.text(max_size=60), st.floats(20, 300))
def test_a_cut_text_fits(text: str, most: float) -> None:
    assert width(cut(text, SMALL, most), SMALL) <= most + 0.01


def test_paths_lose_what_they_share_and_then_their_middle() -> None:
    paths = [f"model.layers.{number}.self_attn.{kind}" for number in (0, 11) for kind in ("q_proj", "o_proj")]
    assert cut_paths(paths, SMALL, 200) == ["0.self_attn.q_proj", "0.self_attn.o_proj", "11.self_attn.q_proj", "11.self_attn.o_proj"]
    assert cut_paths(paths, SMALL, 80) == ["0…q_proj", "0…o_proj", "11…q_proj", "11…o_proj"]
    assert cut_paths(["model.norm"], SMALL, 200) == ["model.norm"]
    assert all(re.fullmatch("mo.*…", path) for path in cut_paths(["model_of_a_very_long_name"], SMALL, 60))
