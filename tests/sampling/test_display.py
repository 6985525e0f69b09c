"""The display of completions: escaped, readable without colour, the same as text."""

from __future__ import annotations

import math
import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loops_nb.sampling import Completion, Completions, SideBySide
from loops_nb.sampling.highlighting import MAX_HIGHLIGHTED, escape_invisible, highlighted_pieces, number, percent
from loops_nb.sampling.tokenizers import ByteLevel, pieces_of

ANY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
HOSTILE = "<script>alert(1)</script> & \"'` </td></table> $x^2$ \x1b[31m \u202egnp.exe \x00 \n"
VOID = {"br"}


class Page(HTMLParser):
    """Reads a page, and checks that every element is closed where it should be."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.titles: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.titles += [value for name, value in attrs if name == "title" and value is not None]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def completion(text: str, scores: list[float | None] | None = None, **more: Any) -> Completion:
    tokenizer = ByteLevel()
    tokens = tokenizer.encode(text)
    fields = {
        "tokens": tokens,
        "logprobs": scores,
        "text": text,
        "stop_reason": "stop",
        "pieces": pieces_of(tokens, tokenizer),
    }
    return Completion(**{**fields, **more})


def completions(*items: Completion, **more: Any) -> Completions:
    return Completions(
        items,
        **{"source": "k4q95w5", "sampler_id": "s1", "prompt": "say", "prompt_tokens": [1], "seconds": 0.25, **more},
    )


@ANY_MACHINE
@given(st.text(), st.text(), st.text(max_size=20), st.lists(st.floats(-20, 0) | st.none(), max_size=40))
def test_completions_are_escaped_in_html(text: str, prompt: str, source: str, scores: list[float | None]) -> None:
    found = completion(text)
    scored = (scores + [None] * len(found.tokens))[: len(found.tokens)]
    side = SideBySide([completions(completion(text, scored, stop_reason=source), prompt=prompt, source=source)] * 2)
    page = Page(side.html())
    assert set(page.tags) - {"pre"} <= {
        "div",
        "style",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "p",
        "b",
        "br",
        "small",
        "span",
        "u",
    } | {
        "details",
        "summary",
    }
    said = side.text(100)
    assert all(character.isprintable() or character in "\n\t\u200c\u200d" or character.isspace() for character in said)


def test_a_hostile_text_is_shown_as_it_is() -> None:
    side = SideBySide(
        [completions(completion(HOSTILE), prompt=HOSTILE, source=HOSTILE, checkpoint=f"bt://loops:x/y/{HOSTILE}")]
    )
    for shown in (Page(side.html()).text, side.text(400)):
        assert "<script>alert(1)</script>" in shown
        assert "␛[31m \\u202egnp.exe ␀" in shown
        assert "\x1b" not in shown
        assert "\u202e" not in shown
    assert "mathjax_ignore" in side.html()


@pytest.mark.parametrize(
    ("probability", "level", "underlined"),
    [(1.0, 0, False), (0.89, 1, False), (0.49, 2, False), (0.19, 3, True), (0.049, 4, True), (0, 4, True)],
)
def test_highlights_do_not_rely_on_colour(probability: float, level: int, *, underlined: bool) -> None:
    score = math.log(probability) if probability else float("-inf")
    html = SideBySide([completions(completion("ab", [0.0, score]))]).html()
    found = re.search(r'<span class="p(\d)" title="token 98: logprob ([^"]+)">(<u>)?b', html)
    assert found is not None
    assert int(found[1]) == level
    assert (found[3] is not None) is underlined, "where styles are taken out, an element of HTML is left"
    assert unescape(found[2]) == f"{number(score)} ({percent(score)})"


def test_tooltips_have_the_numbers() -> None:
    scores = [-0.1, -3.0]
    side = SideBySide([completions(completion("ab", list(scores)))])
    for shown in (Page(side.html()).text, side.text(120)):
        assert "2 tokens, ended by stop, mean logprob \u22121.55 (21 %), least likely 'b' (5.0 %)" in shown


def test_character_of_several_tokens_is_one_piece() -> None:
    (mark,) = highlighted_pieces(completion("€", [-0.5, -0.25, -0.25]))
    assert (mark.text, mark.logprob, mark.tokens) == ("€", -1.0, [226, 130, 172])
    assert (
        "tokens 226, 130, 172: logprob \u22121.00 (37 %)"
        in Page(SideBySide([completions(completion("€", [-0.5, -0.25, -0.25]))]).html()).titles
    )


def test_unlikely_line_end_is_visible() -> None:
    assert "↵" in SideBySide([completions(completion("a\n", [0.0, -5.0]))]).html()
    assert "↵" not in SideBySide([completions(completion("a\n", [0.0, 0.0]))]).html()


def test_without_a_tokenizer_ids_and_the_reason_are_shown() -> None:
    bare = Completion([5, 7], [-0.1, -4.0], None, "length")
    side = SideBySide([completions(bare, prompt=None, prompt_tokens=[1, 2, 3])])
    for shown in (Page(side.html()).text, side.text(120)):
        assert "5 7" in shown
        assert "no tokenizer" in shown
    with_text = Completion([5, 7], [-0.1, -4.0], "hello", "length")
    page = Page(SideBySide([completions(with_text)]).html())
    assert "hello" in page.text
    assert "Token ids: 2 tokens" in page.text
    assert "token 7: logprob \u22124.00 (1.8 %)" in page.titles


def test_table_is_accessible() -> None:
    page = Page(
        SideBySide(
            [completions(completion("x"), completion("y")), completions(completion("z"), source="samp_2")]
        ).html()
    )
    assert page.tags.count("caption") == 1
    assert page.tags.count("th") == 1 + 2 + 2, "a heading for each column and each row"
    assert page.tags.count("td") == 4
    assert "(no completion)" in page.text


def test_html_of_a_long_completion_is_bounded() -> None:
    text = "word " * 4000
    long = completion(text, [-1.0] * len(text))
    html = SideBySide([completions(long), completions(long)]).html()
    assert len(html) < 600_000
    assert html.count("<span class=") < MAX_HIGHLIGHTED + 10
    assert Page(html).text.count("word ") == 8000


def test_long_prompt_is_collapsed() -> None:
    page = Page(SideBySide([completions(completion("x"), prompt="word " * 1000)]).html())
    assert "details" in page.tags
    assert "Prompt: 5,000 characters" in page.text


def test_no_sampler_is_displayed() -> None:
    assert SideBySide([]).html()
    assert SideBySide([]).text(80)
    empty = SideBySide([completions()])
    Page(empty.html())
    assert "0 completions" in empty.text(80)
    assert len(empty.frame) == 0


@pytest.mark.parametrize("width", [20, 40, 200])
def test_the_text_fits_the_terminal(width: int) -> None:
    said = SideBySide([completions(completion("a long line of words " * 10), source="k")]).text(width)
    assert max(map(len, said.splitlines())) <= max(width, 45)


def test_visible_leaves_ordinary_text_alone() -> None:
    for text in ("naïve 日本語 👩\u200d🚀 a\u00a0b\tc\n", ""):
        assert escape_invisible(text) == text


def test_mime_bundle() -> None:
    found = completions(completion("ab"))
    bundle = found._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert "  | ab" in bundle["text/plain"]
    assert repr(found) == "Completions(1 of k4q95w5: 'ab')"
    assert found[0].text == "ab"
    assert list(found) == list(found[:])


def test_the_frame_has_one_row_a_completion() -> None:
    side = SideBySide(
        [
            completions(completion("ab", [-0.5, -1.0]), Completion([], None, None, None), policy_version=3, run_id="r"),
            completions(
                completion("é", stop_reason="content_filter"),
                source="step-10",
                checkpoint="bt://loops:r/sampler_weights/step-10",
            ),
        ]
    )
    frame = side.frame
    assert list(frame["text"])[::2] == ["ab", "é"]
    assert frame["text"].isna().tolist() == [False, True, False]
    assert frame["tokens"].tolist() == [[97, 98], [], [195, 169]]
    assert frame["logprobs"].tolist() == [[-0.5, -1.0], None, None]
    assert frame["logprob"].iloc[0] == -1.5
    assert frame["mean_logprob"].iloc[0] == -0.75
    assert list(frame["completion"]) == [1, 2, 1]
    assert list(frame["stop_reason"].cat.categories) == ["stop", "length", "content_filter"]
    assert frame["policy_version"].tolist()[:2] == [3, 3]
    assert pd.isna(frame["policy_version"].iloc[2])
    assert set(frame["seconds"]) == {0.25}
    assert frame.loops.kind == "completions"
    one = side[0].frame
    assert list(one.columns) == list(frame.columns)
    assert [str(dtype) for dtype in one.dtypes[["tokens", "logprobs"]]] == ["object", "object"]
