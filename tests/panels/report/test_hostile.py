"""Text of the service is data in a report: never markup, never a control character, never lost."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from loops_nb import live
from loops_nb.errors import one_line
from loops_nb.panels import messages
from loops_nb.panels.columns import COLUMNS
from loops_nb.panels.report import report_html, report_text
from tests.frames.strategies import ANY_MACHINE
from tests.panels.report.snapshots import NOW, head, snapshot, table

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    '"><script>alert(1)</script>',
    "</style><b>",
    "</td></tr></table>",
    "<!-- ",
    "&lt;i&gt;",
    "\x1b[31mred\x1b[0m\r\n\x07",
    "\u202eright to left",
    "$\\href{javascript:alert(1)}{x}$",
    "`%loops` \ud7ff",
)
texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=30))
MARKUP = {"div", "style", "p", "b", "code", "table", "caption", "thead", "tbody", "tr", "th", "td"}
ATTRIBUTES = {
    ("class", "loops-nb loops-nb-report tex2jax_ignore mathjax_ignore"),
    ("class", "dataframe"),
    ("class", "n"),
    ("class", "w"),
    ("scope", "col"),
    ("nowrap", None),
}


class Reader(HTMLParser):
    """Reads a page as a browser would, and keeps what is markup and what is text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[tuple[str, str | None]] = set()
        self.open: list[str] = []
        self.others: list[str] = []
        self.words = ""
        self.style = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)
        self.attributes |= set(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.words += data

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def handle_decl(self, decl: str) -> None:
        self.others.append(decl)

    def handle_pi(self, data: str) -> None:
        self.others.append(data)


def hostile(text: str) -> messages.PanelSnapshot:
    """Return a snapshot in which every text is this one."""

    def row(name: messages.TableName) -> messages.Row:
        return tuple(text if column.drawn in {"id", "text", "state", "uri"} else 1 for column in COLUMNS[name])

    return snapshot(
        view="run",
        title=text,
        line=text,
        tables={name: table([row(name), row(name)]) for name in COLUMNS},
        facts=[messages.Fact(label=text, value=text, tone="bad", code=text)],
        run=head(
            id=text,
            name=text,
            base_model=text,
            parts=[messages.RunPart(what="run", id=text, status=text, since=NOW, gpus=text)],
            facts=[messages.Fact(label=text, value=text)],
            timeline=[live.Span(what="run", status=text, start=NOW, until=None, exact=True)],
        ),
        health=live.Health(state="failing", looked_at=NOW, since=NOW, reason=text, hint=text),
        notices=[messages.Notice(id=text, at=NOW, tone="bad", text=text, hint=text, about=text)],
        commands=[
            messages.CommandStatus(id=text, what="deactivate", table="runs", target=text, state="failed", text=text)
        ],
    )


HARMLESS = Reader(report_html(hostile("harmless"), time_zone="UTC"))


@ANY_MACHINE
@given(texts)
def test_no_text_becomes_markup(text: str) -> None:
    page = report_html(hostile(text), time_zone="UTC")
    seen = Reader(page)
    assert set(seen.tags) <= MARKUP
    assert seen.attributes <= ATTRIBUTES
    assert seen.tags.count("style") == seen.tags.count("div") == 1
    assert seen.style == HARMLESS.style
    assert seen.others == []
    assert seen.open == []
    shown = one_line(text)
    # Once as the title, once as the line to type, and in every table.
    assert seen.words.count(shown) >= (6 if shown else 0)
    assert all(character.isprintable() or character == "\n" for character in page)


@ANY_MACHINE
@given(texts, st.integers(40, 200))
def test_no_text_commands_a_terminal(text: str, width: int) -> None:
    said = report_text(hostile(text), width=width, time_zone="UTC")
    assert all(character.isprintable() or character == "\n" for character in said)
    shown = one_line(text).split()
    assert all(word in "".join(said.split()) for word in shown)


cells = st.one_of(st.none(), st.text(max_size=5), st.integers(), st.booleans(), st.floats())


@ANY_MACHINE
@given(st.sampled_from(sorted(COLUMNS)), st.lists(cells, min_size=1, max_size=6), st.integers(0, 40), st.booleans())
def test_a_report_is_made_of_anything(
    name: messages.TableName, some: list[messages.Cell], rows: int, ready: bool
) -> None:
    width = len(COLUMNS[name])
    drawn = [tuple(some[(at + place) % len(some)] for place in range(width)) for at in range(rows)]
    odd = snapshot(view="deployments", ready=ready, tables={name: table(drawn, total=rows + 3)})
    seen = Reader(report_html(odd, time_zone="UTC"))
    assert set(seen.tags) <= MARKUP
    said = report_text(odd, width=100, time_zone="UTC")
    rest = f"And {rows + 3 - min(rows, 20)} more." if rows else f"3 {name}, not shown."
    assert rest in said
    assert rest in seen.words
