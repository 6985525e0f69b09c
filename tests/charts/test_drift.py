"""The heat map: each cell has its number and the colour of that."""

from __future__ import annotations

import math
import re
from typing import Any

import pandas as pd
import pytest

from loops_nb.charts import drift
from loops_nb.checkpoints.compare import summarize_drift
from loops_nb.checkpoints.compare.drift import DriftRow
from loops_nb.errors import InvalidArgumentError
from tests.charts.frames import TYPES, many_runs, moved
from tests.charts.svg_reader import SVG, bundle, hover, hovers, images, read, with_hover, words


def cells(svg: str) -> list[str]:
    """Return what the cells say when they are pointed at."""
    return [hover(one) for one in with_hover(read(svg), "path")]


def heat_map(svg: str, place: int = 0) -> Any:
    """Return the pixels of a heat map, a pixel a cell; the last image is the bar of colors."""
    found = images(read(svg))
    assert len(found) > 1, "there is a bar of colors"
    return found[place]


def test_each_cell_says_its_value_and_more_is_lighter() -> None:
    plot = drift(moved(layers=3, steps=2), value="norm")
    # Three modules of norm n stand at right angles to each other.
    norms = [f"{math.sqrt(3) * norm:.3g}" for norm in (1, 2, 2, 3, 3, 4)]
    assert cells(plot.svg) == [f"layer {at // 2}, step {50 + 50 * (at % 2)}: {norm}" for at, norm in enumerate(norms)]
    pixels = heat_map(plot.svg)
    assert pixels.shape == (3, 2, 4)
    assert (pixels[0, 1] == pixels[1, 0]).all()
    assert (pixels[1, 1] == pixels[2, 0]).all()
    lights = [int(pixels[row, column, :3].sum()) for row, column in ((0, 0), (0, 1), (1, 1), (2, 1))]
    assert lights == sorted(set(lights))
    assert {"0", "1", "2", "50", "100", norms[0], norms[-1]} <= set(words(read(plot.svg)))


def test_axes_and_colors_are_named() -> None:
    written = words(read(drift(moved(layers=3, steps=2), value="cosine", by="module_type").svg))
    assert {"step", "type", "cosine to the checkpoint before"} <= set(written)


def test_pointing_reaches_the_cells_where_they_are_drawn() -> None:
    root = read(drift(moved(layers=32, steps=20), value="norm").svg)
    image = next(root.iter(f"{SVG}image"))
    x, y, width, height = (float(image.attrib[name]) for name in ("x", "y", "width", "height"))
    scale = next(one.attrib["transform"] for one in root.iter(f"{SVG}g") if "scale" in one.attrib.get("transform", ""))
    left, top, across, down = (float(number) for number in re.findall(r"[\d.]+", scale))
    assert (left, top) == (x, y)
    assert across * 20 == pytest.approx(width, rel=1e-4)
    assert down * 32 == pytest.approx(height, rel=1e-4)


@pytest.mark.parametrize(
    "value", ["norm", "change", "relative_change", "cosine", "change_from_first", "cosine_to_first", "path_length"]
)
@pytest.mark.parametrize("by", ["layer", "module_type"])
def test_groups_are_those_of_the_sums(value: str, by: str) -> None:
    frame = moved(layers=3, steps=3, first=2)
    table = drift(frame, value=value, by=by).table  # type: ignore[arg-type]
    rows = [DriftRow(*row) for row in frame[list(DriftRow._fields)].astype(object).itertuples(index=False)]
    wanted = {
        (str(getattr(row, by)), row.checkpoint): getattr(row, value)
        for row in summarize_drift(rows, by)  # type: ignore[arg-type]
    }
    assert {(row[by], row["checkpoint"]): row[value] for row in table.to_dict("records")} == pytest.approx(
        wanted, nan_ok=True
    )


def test_a_module_is_shown_as_it_is() -> None:
    plot = drift(moved(layers=2, steps=2), by="module", value="rank")
    assert len(plot.table) == 2 * 2 * len(TYPES)
    assert set(plot.table["rank"]) == {16.0}
    assert {"0.self_attn.q_proj", "1.self_attn.q_proj"} <= set(words(read(plot.svg)))
    assert "layer 0" not in " ".join(hovers(read(plot.svg)))


def test_what_has_no_value_is_hatched_and_told() -> None:
    frame = moved(layers=1, steps=3)
    frame.loc[4, "relative_change"] = math.inf
    plot = drift(frame, by="module")
    root = read(plot.svg)
    pixels = heat_map(plot.svg)
    assert [cell for cell in cells(plot.svg) if cell.endswith((": -", ": infinite"))] == [
        "module model.layers.0.self_attn.q_proj, step 50: -",
        "module model.layers.0.self_attn.o_proj, step 50: -",
        "module model.layers.0.self_attn.o_proj, step 100: infinite",
        "module model.layers.0.self_attn.down_proj, step 50: -",
    ]
    assert (pixels[:, :, 3] == 0).tolist() == [[True, False, False], [True, True, False], [True, False, False]]
    assert "no value" in words(root)
    assert plot.notes[1:] == [
        "Hatched: 3 cells without a value. The first checkpoint of a run has none before it.",
        "Hatched too: 1 cell where nothing became something, so that the share of it is infinite.",
    ]
    pattern = next(root.iter(f"{SVG}pattern")).attrib["id"]
    assert any(one.attrib.get("fill") == f"url(#{pattern})" for one in root.iter(f"{SVG}path"))


def test_a_module_that_a_checkpoint_lacks_is_a_gap() -> None:
    frame = moved(layers=2, steps=2)
    plot = drift(frame[~((frame["layer"] == 1) & (frame["step"] == 100))], value="norm")
    assert plot.notes[1] == "Hatched: 1 cell without a value."
    assert len(plot.table) == 3


def test_no_value_at_all_is_still_a_picture() -> None:
    plot = drift(moved(steps=1), value="change")
    assert cells(plot.svg) == []
    assert {"no value", "0", "3", "50"} <= set(words(read(plot.svg)))


def test_several_runs_stand_below_each_other_in_the_same_colors() -> None:
    frame = pd.concat([moved(("abc1234", "def5678")), moved(("abc1234",), target="trainer")], ignore_index=True)
    plot = drift(frame, value="norm")
    written = words(read(plot.svg))
    labels = [text for text in written if text in {"abc1234", "def5678", "sampler", "trainer"}]
    assert labels == ["abc1234", "sampler", "def5678", "sampler", "abc1234", "trainer"]
    assert len(images(read(plot.svg))) == 4, "a heat map each, and one bar of colors"
    assert (heat_map(plot.svg, 0) == heat_map(plot.svg, 2)).all()
    assert plot.notes == [
        "9 checkpoints of 2 runs and 4 layers. From 1.73 to 10.4 (layer 3 of abc1234/sampler_weights/step-150)."
    ]
    assert "Target" in bundle(plot)["text/html"]


def test_all_runs_share_the_steps() -> None:
    frame = pd.concat([moved(("abc1234",), steps=4), moved(("def5678",), steps=3, first=3)], ignore_index=True)
    plot = drift(frame, value="norm")
    assert [word for word in words(read(plot.svg)) if word in {"50", "100", "150", "200", "250"}] == [
        "50",
        "100",
        "150",
        "200",
        "250",
    ]
    first, second = heat_map(plot.svg, 0), heat_map(plot.svg, 1)
    assert first.shape == second.shape == (4, 5, 4)
    assert (first[:, :, 3] > 0).tolist() == [[True] * 4 + [False]] * 4
    assert (second[:, :, 3] > 0).tolist() == [[False] * 2 + [True] * 3] * 4
    assert plot.notes[1:] == ["Empty columns: steps at which that run has no checkpoint."]
    assert len(cells(plot.svg)) == 4 * (4 + 3), "where there is no checkpoint nothing is said"


def test_large_maps_are_small_pictures() -> None:
    plot = drift(moved(layers=80, steps=60), value="norm")
    assert not cells(plot.svg)
    assert "too many cells" in plot.notes[-1]
    assert heat_map(plot.svg).shape == (80, 60, 4)
    assert len(plot.table) == 80 * 60
    assert len(bundle(plot)["text/html"]) < 60_000


def test_very_large_maps_are_thinned_and_say_so() -> None:
    frame = moved(tuple(f"run{number:04}" for number in range(14)), layers=2, steps=2)
    assert drift(frame, value="norm").notes[1] == "The first 12 of 14 runs and targets are drawn; plot.table has all."
    long = drift(moved(layers=2, steps=130), value="norm")
    assert long.notes[1] == "At most 100 checkpoints of a run are drawn, evenly spread; plot.table has all."
    assert {"50", "6,500"} & set(words(read(long.svg)))


def test_ratios_are_shown_where_differences_would_hide_them() -> None:
    frame = moved(layers=4, steps=3).assign(norm=lambda df: 10.0 ** -df["layer"].astype(float))
    plot = drift(frame, value="norm", by="module")
    assert "The colors are logarithmic: equal ratios look equally far apart." in plot.notes
    pixels = heat_map(plot.svg)
    assert len({tuple(row[0]) for row in pixels.tolist()}) == 4


def test_values_that_differ_by_rounding_have_one_color() -> None:
    plot = drift(moved(layers=3, steps=4), value="relative_change")
    pixels = heat_map(plot.svg)
    assert len({tuple(cell) for row in pixels.tolist() for cell in row if cell[3]}) == 1


def test_steps_come_from_names_where_the_frame_has_none() -> None:
    plot = drift(moved(steps=2).drop(columns="step")[["module", "checkpoint", "norm"]], value="norm", by="module")
    assert plot.table["step"].unique().tolist() == [50, 100]
    named = drift(moved(steps=2, name="best{}").assign(step=math.nan), value="norm")
    assert {"best50", "best100"} <= set(words(read(named.svg)))


def test_frames_that_are_summed_up_already_are_drawn_as_they_are() -> None:
    whole = drift(moved(), value="norm")
    summed = whole.table.astype({"layer": "Int64"})
    assert drift(summed, value="norm").table["norm"].tolist() == whole.table["norm"].tolist()


def test_layers_count_as_numbers_and_the_rest_comes_last() -> None:
    frame = moved(layers=11, steps=2)
    frame.loc[frame["layer"] == 4, "layer"] = pd.NA
    layers = list(drift(frame, value="norm").table["layer"].unique())
    assert layers == [str(number) for number in range(11) if number != 4] + ["rest"]


def test_an_empty_frame_is_a_sentence() -> None:
    plot = drift(moved(steps=0))
    assert plot.svg == ""
    assert plot.notes == ["There are no checkpoints to draw."]
    assert list(plot.table.columns) == [
        "run_id",
        "target",
        "quantity",
        "checkpoint",
        "step",
        "layer",
        "relative_change",
    ]


def test_what_cannot_be_drawn_is_refused_in_words() -> None:
    with pytest.raises(
        InvalidArgumentError,
        match=r"plot\.drift is for drift; this is a frame of checkpoints\. Start from df = %loops drift",
    ):
        drift(many_runs(1, 2))
    with pytest.raises(InvalidArgumentError, match=r"value cannot be 'cosin'\. Did you mean 'cosine'\?"):
        drift(moved(), value="cosin")
    with pytest.raises(InvalidArgumentError, match=r"value cannot be 'checkpoint'"):
        drift(moved(), value="checkpoint")
    with pytest.raises(InvalidArgumentError, match=r"value cannot be 'scale'\..*'norm'"):
        drift(moved(), value="scale", by="layer")
    with pytest.raises(InvalidArgumentError, match=r"by cannot be 'layers'\. Did you mean 'layer'\?"):
        drift(moved(), by="layers")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match="needs one of the columns layer, module_type, module"):
        drift(moved()[["checkpoint", "norm"]])
    with pytest.raises(InvalidArgumentError, match="needs the column 'module'"):
        drift(moved().drop(columns="module"), value="norm")
    twice = pd.concat([moved(), moved()])
    with pytest.raises(InvalidArgumentError, match="several rows of the same module"):
        drift(twice, by="module")
