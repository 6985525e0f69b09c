"""A plot in a notebook, in a file, in the user's own axes and in words."""

from __future__ import annotations

import base64
import re
import warnings
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from PIL import Image

from loops_nb.charts import Plot, PlotAccessor, drift, sizes, timeline
from loops_nb.charts.style import INK, MIDDLE
from loops_nb.errors import InvalidArgumentError
from tests.charts.frames import checkpoint, listed, many_runs, moved
from tests.charts.svg_reader import SVG, bundle, read, words

PLOTS = {
    "timeline": lambda: timeline(many_runs(3, 6), time_zone="UTC"),
    "sizes": lambda: sizes(many_runs(3, 6), time_zone="UTC"),
    "drift": lambda: drift(moved()),
}


@pytest.fixture(params=PLOTS)
def plot(request: pytest.FixtureRequest) -> Plot:
    return PLOTS[request.param]()


def test_a_notebook_keeps_a_page_and_a_text(plot: Plot) -> None:
    kept = bundle(plot)
    assert set(kept) == {"text/html", "text/plain"}
    page = ET.fromstring(kept["text/html"])  # noqa: S314 - what we made ourselves
    assert page.attrib["class"] == "loops-nb loops-nb-plot tex2jax_ignore mathjax_ignore"
    assert plot.svg in kept["text/html"]
    rows = len(page.findall(".//details//tbody/tr"))
    # A map is a table with a column for each step.
    assert rows == (4 if plot.title.startswith("Drift") else len(plot.table))
    assert page.find(".//figcaption/p/b").text == plot.title  # type: ignore[union-attr]
    assert plot.title in kept["text/plain"]
    assert all(note in kept["text/plain"] for note in plot.notes)


def test_a_reader_of_the_page_hears_what_it_shows(plot: Plot) -> None:
    root = read(plot.svg)
    assert root.attrib["role"] == "img"
    named = {one.attrib["id"]: one.text for one in root if "id" in one.attrib}
    title, told = (named[ident] for ident in root.attrib["aria-labelledby"].split())
    assert title == plot.title
    assert told == " ".join(plot.notes)


def test_nothing_comes_from_elsewhere_and_nothing_runs(plot: Plot) -> None:
    html = bundle(plot)["text/html"]
    image = base64.b64decode(re.search(r"base64,([^\"]+)", html)[1]).decode()  # type: ignore[index]
    for markup in (html, image):
        assert "<script" not in markup
        assert not re.search(r"\son\w+=", markup)
        # The name of SVG is the only address.
        assert set(re.findall(r"https?://[^\"'\s)]+", markup)) == {"http://www.w3.org/2000/svg"}
        assert all(
            target.startswith(("#", "data:image/svg", "data:image/png"))
            for target in re.findall(r"(?:href|src)=\"([^\"]*)", markup)
        )


def test_a_page_without_styles_shows_the_still_image(plot: Plot) -> None:
    html = bundle(plot)["text/html"]
    page = ET.fromstring(html)  # noqa: S314
    drawn = page.find(".//div[@class='loops-nb-drawn']")
    still = page.find(".//img[@class='loops-nb-still']")
    assert drawn is not None
    assert still is not None
    assert drawn.attrib["style"] == "display:none"
    assert still.attrib["alt"] == plot.title
    assert ".loops-nb-drawn{display:block!important}" in html
    assert ".loops-nb-still{display:none!important}" in html
    image = read(base64.b64decode(still.attrib["src"].partition(",")[2]).decode())
    assert image.attrib["width"] == "768"
    assert image.attrib["color"] == MIDDLE
    # It says the same, but for what is shown when pointed at.
    assert words(image) == words(read(plot.svg))
    assert not any(one.tag == f"{SVG}title" for one in image.iter() if one is not image[0])


def test_the_picture_takes_the_colour_of_its_page(plot: Plot) -> None:
    root = read(plot.svg)
    assert root.attrib["fill"] == "currentColor"
    assert root.attrib["style"] == "max-width:100%;height:auto", "a narrow column scales it down"
    assert all(text.attrib.get("fill") is None for text in root.iter(f"{SVG}text"))
    colors = {one.attrib[key] for one in root.iter() for key in ("fill", "stroke") if key in one.attrib}
    assert not colors & {"#000000", "#ffffff", INK}, "neither ink nor paper has a color of its own"
    assert "font-family" not in "".join(key for one in root.iter() for key in one.attrib if one is not root)


def test_pictures_on_one_page_never_share_a_name() -> None:
    plots = [
        timeline(many_runs(2, 5), time_zone="UTC"),
        timeline(many_runs(2, 5), time_zone="UTC"),
        sizes(many_runs(2, 5)),
        drift(moved()),
    ]
    names = [{one.attrib["id"] for one in read(plot.svg).iter() if "id" in one.attrib} for plot in plots]
    assert all(names)
    assert len(set().union(*names)) == sum(map(len, names))
    assert plots[0].svg == plots[0].svg


def test_a_plot_is_saved_as_a_picture(plot: Plot, tmp_path: Path) -> None:
    place = plot.save(tmp_path / "a plot.svg")
    text = place.read_text("utf-8")
    root = read(text)
    width, height = (float(part) for part in root.attrib["viewBox"].split()[2:])
    assert (width, height) == pytest.approx((576, float(root.attrib["height"]) * 0.75), abs=1)
    assert plot.title in words(root)
    assert "prefers-color-scheme:dark" in text
    assert root.find(f"{SVG}title").text == plot.title  # type: ignore[union-attr]


def test_a_plot_is_saved_as_a_page(plot: Plot, tmp_path: Path) -> None:
    text = plot.save(str(tmp_path / "plot.HTML")).read_text("utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert f"<title>{plot.title}</title>" in text
    assert bundle(plot)["text/html"] in text


def test_what_cannot_be_saved_is_refused_in_words(plot: Plot, tmp_path: Path) -> None:
    with pytest.raises(
        InvalidArgumentError,
        match=r"saved as \.pdf, \.png, \.svg or \.html, not as '\.gif'.*plot\.save\(\"x\.svg\"\)",
    ):
        plot.save(tmp_path / "x.gif")
    with pytest.raises(InvalidArgumentError, match="a file without a suffix"):
        plot.save(tmp_path / "x")
    with pytest.raises(InvalidArgumentError, match=r"could not be written to .*: No such file or directory"):
        plot.save(tmp_path / "nowhere" / "x.svg")
    with pytest.raises(InvalidArgumentError, match=r"There is no picture to save\. There are no checkpoints to draw"):
        timeline(listed()).save(tmp_path / "x.svg")
    assert "no checkpoints to draw" in timeline(listed()).save(tmp_path / "x.html").read_text("utf-8")


def test_a_terminal_gets_the_first_rows() -> None:
    said = repr(timeline(many_runs(5, 8), time_zone="UTC"))
    assert "And 30 more." in said
    assert "Saved (UTC)" in said
    assert all(len(line) <= 100 for line in said.splitlines())


def test_very_long_tables_end_with_where_the_rest_is() -> None:
    html = bundle(timeline(many_runs(30, 8), time_zone="UTC"))["text/html"]
    assert "And 100 more, which plot.table has." in html
    assert html.count("<tr>") == 201


def test_the_namespace_draws_its_frame() -> None:
    frame = many_runs(2, 3)
    plots = PlotAccessor(frame)
    assert plots.timeline(time_zone="UTC", title="A").title == "A"
    assert plots.sizes(along="time", time_zone="UTC").title == "Sizes of checkpoints along time"
    assert PlotAccessor(moved()).drift(value="norm", by="module_type").title == "Drift: norm"
    assert "timeline() and sizes() of checkpoints" in repr(plots)
    with pytest.raises(InvalidArgumentError, match="this is a frame of checkpoints"):
        plots.drift()


@pytest.mark.filterwarnings("error")
def test_plots_are_drawn_under_strict_numpy_settings() -> None:
    frame = listed(*(checkpoint("r", number, size_bytes=size) for number, size in enumerate((0, 1, 2**62, 62_400_000))))
    drifted = moved(layers=2, steps=2)
    drifted.loc[drifted.index[:2], "norm"] = [5e-324, 1.7e308]
    with np.errstate(all="raise"):
        before = np.geterr()
        assert timeline(frame).svg
        assert sizes(frame).svg
        assert drift(drifted, value="norm").svg
        assert timeline(frame, ax=Figure().add_subplot()).figure.axes
        assert np.geterr() == before


def test_a_plot_is_saved_for_a_paper(plot: Plot, tmp_path: Path) -> None:
    pdf = plot.save(tmp_path / "plot.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert pdf == plot.save(tmp_path / "again.pdf").read_bytes(), "without a date"
    with Image.open(plot.save(tmp_path / "plot.PNG")) as image:
        assert image.width == 1600
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 20


def test_names_are_no_formulas_in_any_file(tmp_path: Path) -> None:
    frame = many_runs(1, 2).assign(run_id="a $x_1$ \\frac 漢字", target="$y^{", base_model="$$")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for suffix in ("svg", "png", "pdf"):
            timeline(frame, time_zone="UTC", title="$").save(tmp_path / f"plot.{suffix}")
            sizes(frame, title="$z$").save(tmp_path / f"sizes.{suffix}")
    assert "a $x_1$ \\frac 漢字" in words(read((tmp_path / "plot.svg").read_text("utf-8")))


def test_a_figure_can_be_changed_before_it_is_saved(tmp_path: Path) -> None:
    plot = timeline(many_runs(2, 3), time_zone="UTC")
    ax = plot.figure.axes[0]
    ax.axvline(datetime(2026, 11, 7, 12, tzinfo=UTC), color="#ff0000")  # type: ignore[arg-type]
    ax.set_xlabel("when $t_0$")
    saved = plot.save(tmp_path / "plot.svg").read_text("utf-8")
    assert "#ff0000" in saved
    assert "#ff0000" not in plot.svg, "what the notebook shows stays as it was"
    assert plot.figure is plot.figure
    with pytest.raises(InvalidArgumentError, match=r"There is no picture\. There are no checkpoints"):
        _ = timeline(listed()).figure


def test_plots_are_drawn_into_axes_of_the_users() -> None:
    figure = Figure(figsize=(9, 9))
    first, second, third, *heat = figure.subplots(5, 1)
    frame = many_runs(2, 4)
    plot = timeline(frame, time_zone="UTC", ax=first)
    assert plot.figure is figure
    assert first.get_xlabel() == "time (UTC)"
    assert [label.get_text() for label in first.get_yticklabels()] == ["run0001", "run0000"]
    assert first.get_xlim()[0] < date2num(datetime(2026, 11, 7, 9, tzinfo=UTC)) < first.get_xlim()[1]
    sizes(frame, ax=[second, third])
    assert [ax.get_title() for ax in (second, third)] == ["run0001", "run0000"]
    assert third.get_xlabel() == "step"
    moves = drift(moved(("abc1234", "def5678")), value="norm", ax=np.array(heat))  # type: ignore[arg-type]
    assert [ax.get_title() for ax in heat] == ["abc1234, sampler", "def5678, sampler"]
    assert len(figure.axes) == 6, "one bar of colors for all heat maps"
    for made in (plot, moves):
        assert "<svg" not in bundle(made)["text/html"], "the user's figure is the picture"
        assert bundle(made)["text/html"].count("<tr>") > 2
    assert plot.svg


def test_axes_that_cannot_be_used_are_refused_in_words() -> None:
    figure = Figure()
    with pytest.raises(
        InvalidArgumentError, match=r"plot\.timeline: ax is the axes of matplotlib to draw into, not list"
    ):
        timeline(many_runs(2, 3), ax=list(figure.subplots(2)))  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match=r"plot\.sizes draws 2 panels here, and ax has 1\. .*subplots\(2, 1"):
        sizes(many_runs(2, 3), ax=figure.add_subplot())


def test_a_plot_that_cannot_be_drawn_still_tells_its_numbers(caplog: pytest.LogCaptureFixture) -> None:
    plot = timeline(many_runs(1, 3), time_zone="UTC")

    def broken(_: str | None) -> Any:
        raise RuntimeError("no fonts")

    plot._draw = broken
    html = bundle(plot)["text/html"]
    assert "The picture could not be drawn (RuntimeError); the table has the numbers." in html
    assert html.count("<tr>") == 4
    assert "no fonts" in caplog.text
