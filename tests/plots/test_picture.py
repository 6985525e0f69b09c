"""A plot in a notebook, in a file and in words."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from loops_nb.errors import InvalidArgumentError
from loops_nb.plots import LoopsPlots, Plot, drift, sizes, timeline
from tests.plots.frames import checkpoint, listed, many_runs, moved
from tests.plots.reading import SVG, bundle, read, words

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
        assert all(target.startswith(("#", "data:image/svg")) for target in re.findall(r"(?:href|src)=\"([^\"]*)", markup))


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
    assert image.attrib["width"] == "640"
    assert image.attrib["viewBox"] == f"0 0 640 {image.attrib['height']}"
    # It says the same, but for what is shown when pointed at.
    assert [text for text in words(image) if text] == [re.sub(r"(checkpoints?|together)$", r"\1", text) for text in _written(plot)]


def _written(plot: Plot) -> list[str]:
    return words(read(re.sub(r"(?<=</tspan>)<title>[^<]*</title>", "", plot.svg)))


def test_the_picture_takes_the_colour_of_its_page(plot: Plot) -> None:
    root = read(plot.svg)
    assert root.attrib["fill"] == "currentColor"
    assert root.attrib["width"] == "100%"
    assert "viewBox" not in root.attrib
    assert all(text.attrib.get("fill") is None for text in root.iter(f"{SVG}text"))


def test_pictures_on_one_page_never_share_a_name() -> None:
    plots = [timeline(many_runs(2, 5), time_zone="UTC"), timeline(many_runs(2, 5), time_zone="UTC"), sizes(many_runs(2, 5)), drift(moved())]
    names = [{one.attrib["id"] for one in read(plot.svg).iter() if "id" in one.attrib} for plot in plots]
    assert all(names)
    assert len(set().union(*names)) == sum(map(len, names))
    assert plots[0].svg == plots[0].svg


def test_a_plot_is_saved_as_a_picture(plot: Plot, tmp_path: Path) -> None:
    place = plot.save(tmp_path / "a plot.svg")
    text = place.read_text("utf-8")
    root = read(text)
    assert root.attrib["viewBox"] == f"0 0 800 {root.attrib['height']}"
    assert "prefers-color-scheme:dark" in text
    assert root.find(f"{SVG}title").text == plot.title  # type: ignore[union-attr]


def test_a_plot_is_saved_as_a_page(plot: Plot, tmp_path: Path) -> None:
    text = plot.save(str(tmp_path / "plot.HTML")).read_text("utf-8")
    assert text.startswith("<!DOCTYPE html>")
    assert f"<title>{plot.title}</title>" in text
    assert bundle(plot)["text/html"] in text


def test_what_cannot_be_saved_is_refused_in_words(plot: Plot, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"saved as \.svg or \.html, not as '\.png'.*plot\.save\(\"x\.svg\"\)"):
        plot.save(tmp_path / "x.png")
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
    plots = LoopsPlots(frame)
    assert plots.timeline(time_zone="UTC", title="A").title == "A"
    assert plots.sizes(along="time", time_zone="UTC").title == "Sizes of checkpoints along time"
    assert LoopsPlots(moved()).drift(value="norm", by="module_type").title == "Drift: norm"
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
        assert np.geterr() == before
