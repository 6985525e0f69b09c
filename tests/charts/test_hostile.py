"""Text of the service is data in a picture: never markup, never a control character."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import pandas as pd
from hypothesis import example, given, settings
from hypothesis import strategies as st

from loops_nb.charts import Plot, drift, sizes, timeline
from loops_nb.errors import one_line
from tests.charts.frames import many_runs, moved
from tests.charts.svg_reader import SVG, bundle, hovers, read
from tests.frames.strategies import ANY_MACHINE

HOSTILE = (
    "<script>alert(1)</script>",
    '"/><image href="http://example.com/x"/>',
    "]]></title></svg><b>",
    "&lt;&amp;&#0;&bogus;",
    "<!-- ",
    "\x00-title",
    "\x1b[31mred\x1b[0m\r\n\x07",
    "\u202eright to left",
    "$\\href{javascript:alert(1)}{x}$",
    "\ufffe\ud7ff\U0010ffff",
    "url(#lp) 漢字かな" * 20,
    "\n0",
)
#: No lone surrogates: a column of Arrow's cannot hold them, and no answer in UTF-8 brings them.
texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=30)
#: A picture takes a tenth of a second.
FEW = settings(ANY_MACHINE, max_examples=8)


def with_hostile(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test with every hostile text, too."""
    for text in HOSTILE:
        test = example(text)(test)
    return test


ELEMENTS = {
    "svg",
    "title",
    "desc",
    "defs",
    "g",
    "path",
    "use",
    "rect",
    "text",
    "image",
    "clipPath",
    "pattern",
}
MARKUP = {
    "div",
    "style",
    "figure",
    "figcaption",
    "p",
    "b",
    "img",
    "details",
    "summary",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}


def harmless(plot: Plot) -> ET.Element:
    """Check that a plot is well-formed and holds nothing but what is drawn; return its picture."""
    root = read(plot.svg)
    assert {one.tag for one in root.iter()} <= {f"{SVG}{name}" for name in ELEMENTS}
    kept = bundle(plot)
    page = ET.fromstring(kept["text/html"])  # noqa: S314 - what we made ourselves
    assert {one.tag for one in page.iter() if not one.tag.startswith(SVG)} <= MARKUP
    for text in kept.values():
        assert all(character.isprintable() or character == "\n" for character in text)
    for image in root.iter(f"{SVG}image"):
        assert image.attrib["href"].startswith("data:image/png;base64,")
    names = [one.attrib["id"] for one in root.iter() if "id" in one.attrib]
    assert len(names) == len(set(names))
    assert all(name.startswith("lp") for name in names)
    return root


def frame_of(text: str) -> pd.DataFrame:
    frame = many_runs(1, 4)
    for name in ("run_id", "base_model", "checkpoint_id", "uri"):
        frame[name] = text
    return frame.assign(target=["sampler", "trainer", text, text, "sampler"])


@FEW
@with_hostile
@given(texts)
def test_no_name_becomes_markup_in_a_timeline(text: str) -> None:
    root = harmless(timeline(frame_of(text), time_zone="UTC", title=f"About {text}"))
    told = hovers(root)
    shown = one_line(text, limit=300)
    assert sum(line.startswith(shown) for line in told) >= 5
    assert root.find(f"{SVG}title").text == one_line(f"About {text}", limit=300)  # type: ignore[union-attr]


@FEW
@with_hostile
@given(texts)
def test_no_name_becomes_markup_in_sizes(text: str) -> None:
    along: Any = "step" if len(text) % 2 else "time"
    frame = frame_of(text).assign(step=pd.array([1, 2, 3, 4, 5], dtype="Int64"))
    assert len(hovers(harmless(sizes(frame, along=along, time_zone="UTC")))) == 6


@FEW
@with_hostile
@given(texts)
def test_no_name_becomes_markup_in_a_drift(text: str) -> None:
    by: Any = "module" if len(text) % 2 else "layer"
    frame = moved(layers=1, steps=2)
    frame["run_id"] = text
    frame["module_type"] = text
    frame["module"] = [f"{text}.{number}" for number in range(len(frame))]
    frame["checkpoint"] = [f"{step}/{text}" for step in frame["step"]]
    harmless(drift(frame, value="norm", by=by, title=text))


numbers = st.one_of(st.none(), st.floats(), st.integers(-(2**60), 2**60).map(float))


@FEW
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8))
def test_any_numbers_make_a_picture(values: list[tuple[float | None, float | None]]) -> None:
    heat = moved(layers=len(values), steps=2)[["module", "layer", "checkpoint", "run_id"]].drop_duplicates(
        ["layer", "checkpoint"]
    )
    cells = [number for pair in values for number in pair]
    frame = heat.assign(
        norm=pd.array([float("nan") if number is None else number for number in cells], dtype="float64")
    )
    plot = drift(frame, value="norm", by="layer")
    harmless(plot)
    assert len(plot.table) == len(cells)
    saved = many_runs(1, len(values))[: len(values)].assign(
        size_bytes=pd.array([first for first, _ in values], dtype="Float64")
    )
    harmless(timeline(saved, time_zone="UTC"))
    drawn = sizes(saved, time_zone="UTC")
    if drawn.svg:
        harmless(drawn)
