"""The heat map: each cell has its number and the colour of that."""

from __future__ import annotations

import math
import re
from typing import Any

import pandas as pd
import pytest

from loops_nb.comparing import sum_drifted
from loops_nb.comparing.drifting import Drifted
from loops_nb.errors import InvalidArgumentError
from loops_nb.plots import drift
from tests.plots.frames import TYPES, many_runs, moved
from tests.plots.reading import SVG, bundle, hovers, read, with_hover, words


def cells(svg: str) -> list[Any]:
    return with_hover(read(svg), "path")


def test_each_cell_says_its_value_and_more_is_lighter() -> None:
    plot = drift(moved(layers=3, steps=2), value="norm")
    found = [(one.find(f"{SVG}title").text, one.attrib["stroke"]) for one in cells(plot.svg)]
    told, colours = [text for text, _ in found], [colour for _, colour in found]
    # Three modules of norm n stand at right angles to each other.
    norms = [f"{math.sqrt(3) * norm:.3g}" for norm in (1, 2, 2, 3, 3, 4)]
    assert told == [f"layer {at // 2}, step {50 + 50 * (at % 2)}: {norm}" for at, norm in enumerate(norms)]
    assert colours[1] == colours[2]
    assert colours[3] == colours[4]
    lights = [sum(int(colour[at : at + 2], 16) for at in (1, 3, 5)) for colour in (colours[0], colours[1], colours[3], colours[5])]
    assert lights == sorted(set(lights))
    assert {"0", "1", "2", "50", "100", norms[0], norms[-1]} <= set(words(read(plot.svg)))


@pytest.mark.parametrize("value", ["norm", "change", "relative_change", "cosine", "change_from_first", "cosine_to_first", "path_length"])
@pytest.mark.parametrize("by", ["layer", "module_type"])
def test_groups_are_those_of_the_sums(value: str, by: str) -> None:
    frame = moved(layers=3, steps=3, first=2)
    table = drift(frame, value=value, by=by).table  # type: ignore[arg-type]
    rows = [Drifted(*row) for row in frame[list(Drifted._fields)].astype(object).itertuples(index=False)]
    wanted = {
        (str(getattr(row, by)), row.checkpoint): getattr(row, value)
        for row in sum_drifted(rows, by)  # type: ignore[arg-type]
    }
    assert {(row[by], row["checkpoint"]): row[value] for row in table.to_dict("records")} == pytest.approx(wanted, nan_ok=True)


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
    untold = [one for one in with_hover(root, "path") if one.attrib.get("stroke-opacity") == "0"]
    assert [one.find(f"{SVG}title").text for one in untold] == [  # type: ignore[union-attr]
        "module model.layers.0.self_attn.q_proj, step 50: -",
        "module model.layers.0.self_attn.o_proj, step 50: -",
        "module model.layers.0.self_attn.o_proj, step 100: infinite",
        "module model.layers.0.self_attn.down_proj, step 50: -",
    ]
    assert all("stroke" not in one.attrib for one in untold)
    assert "no value" in words(root)
    assert plot.notes[1:] == [
        "Hatched: 3 cells without a value. The first checkpoint of a run has none before it.",
        "Hatched too: 1 cell where nothing became something, so that the share of it is infinite.",
    ]
    pattern = next(root.iter(f"{SVG}pattern")).attrib["id"]
    assert any(one.attrib.get("fill") == f"url(#{pattern})" for one in root.iter(f"{SVG}rect"))


def test_a_module_that_a_checkpoint_lacks_is_a_gap() -> None:
    frame = moved(layers=2, steps=2)
    plot = drift(frame[~((frame["layer"] == 1) & (frame["step"] == 100))], value="norm")
    assert plot.notes[1] == "Hatched: 1 cell without a value."
    assert len(plot.table) == 3


def test_no_value_at_all_is_still_a_picture() -> None:
    plot = drift(moved(steps=1), value="change")
    assert [one.attrib.get("stroke-opacity") for one in cells(plot.svg)] == ["0"] * 4


def test_several_runs_stand_below_each_other_in_the_same_colours() -> None:
    frame = pd.concat([moved(("abc1234", "def5678")), moved(("abc1234",), target="trainer")], ignore_index=True)
    plot = drift(frame, value="norm")
    root = read(plot.svg)
    labels = [text for text in words(root) if "1234" in text or "5678" in text]
    assert labels == ["abc1234sampler, layers down, steps across", "def5678sampler", "abc1234trainer"]
    assert len([one for one in root.iter(f"{SVG}svg") if one.attrib.get("preserveAspectRatio") == "none"]) == 3
    assert plot.notes == ["9 checkpoints of 2 runs and 4 layers. From 1.73 to 10.4 (layer 3 of abc1234/sampler_weights/step-150)."]
    assert "Target" in bundle(plot)["text/html"]


def test_large_maps_draw_all_cells_of_a_colour_in_one_piece() -> None:
    plot = drift(moved(layers=80, steps=60), value="norm")
    root = read(plot.svg)
    assert not cells(plot.svg)
    assert "too many cells" in plot.notes[-1]
    lengths = [int(length) for one in root.iter(f"{SVG}path") for length in re.findall(r"h(\d+)", one.attrib["d"])]
    assert sum(lengths) == 80 * 60
    assert len(plot.table) == 80 * 60
    assert len(bundle(plot)["text/html"]) < 250_000


def test_very_large_maps_are_thinned_and_say_so() -> None:
    frame = moved(tuple(f"run{number:04}" for number in range(14)), layers=2, steps=2)
    assert drift(frame, value="norm").notes[1] == "The first 12 of 14 runs and targets are drawn; plot.table has all."
    long = drift(moved(layers=2, steps=130), value="norm")
    assert long.notes[1] == "At most 100 checkpoints of a run are drawn, evenly spread; plot.table has all."
    assert {"50", "6,500"} & set(words(read(long.svg)))


def test_ratios_are_shown_where_differences_would_hide_them() -> None:
    frame = moved(layers=4, steps=3).assign(norm=lambda df: 10.0 ** -df["layer"].astype(float))
    plot = drift(frame, value="norm", by="module")
    assert "The colours are logarithmic: equal ratios look equally far apart." in plot.notes
    colours = [one.attrib["stroke"] for one in cells(plot.svg)]
    assert len(set(colours)) == 4


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
    assert list(plot.table.columns) == ["run_id", "target", "quantity", "checkpoint", "step", "layer", "relative_change"]


def test_what_cannot_be_drawn_is_refused_in_words() -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"plot\.drift is for drift; this is a frame of checkpoints\. Start from df = %loops drift"
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
