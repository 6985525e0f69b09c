"""Displays the completions of one prompt by one or several samplers, as HTML and text."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence
from html import escape
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from loops_nb.errors import one_line
from loops_nb.render.formatting import many
from loops_nb.render.tables import page, sentence
from loops_nb.sampling.highlighting import (
    MAX_HIGHLIGHTED,
    HighlightedPiece,
    escape_invisible,
    highlighted_html,
    highlighted_pieces,
    number,
    percent,
)

if TYPE_CHECKING:
    from loops_nb.sampling.completion import Completion

_USUAL_WIDTH = 120
_LEAST_WIDTH = 40
_LONG_PROMPT = 600
_LONGEST_PROMPT = 20_000
_LONGEST_NAME = 120
_STYLE = (
    ".loops-nb-samples .wide{overflow-x:auto}"
    ".loops-nb-samples table{table-layout:fixed;width:100%}"
    ".loops-nb-samples td,.loops-nb-samples th{white-space:normal!important;overflow-wrap:anywhere}"
    ".loops-nb-samples th.n{width:7em}"
    ".loops-nb-samples td p,.loops-nb-samples th small{opacity:.8;font-weight:normal;font-size:.9em}"
    ".loops-nb-samples pre.t{white-space:pre-wrap!important;word-break:normal;overflow-wrap:anywhere;"
    "line-height:1.7;margin:0;padding:0;"
    "background:none;color:inherit;border:0;"
    "font-family:var(--jp-code-font-family,var(--vscode-editor-font-family,ui-monospace,monospace))}"
    ".loops-nb-samples u{text-decoration:none}"
    ".loops-nb-samples .p1,.loops-nb-samples .p2,.loops-nb-samples .p3,.loops-nb-samples .p4"
    "{text-decoration:underline #cf5f10;text-decoration-skip-ink:none;text-underline-offset:.25em;border-radius:2px}"
    ".loops-nb-samples .p1{text-decoration-style:dotted;text-decoration-thickness:1px;background:rgba(207,95,16,.06)}"
    ".loops-nb-samples .p2{text-decoration-thickness:1px;background:rgba(207,95,16,.13)}"
    ".loops-nb-samples .p3{text-decoration-thickness:2px;background:rgba(207,95,16,.22)}"
    ".loops-nb-samples .p4{text-decoration-thickness:4px;background:rgba(207,95,16,.34)}"
    ".loops-nb-samples .x{opacity:.7;font-style:italic}"
)
_LEGEND = (
    "<p>Unlikely tokens are underlined, the less likely the thicker: "
    '<span class="p1">below 90 %</span>, <span class="p2">50 %</span>, <span class="p3"><u>20 %</u></span>, '
    '<span class="p4"><u>5 %</u></span>. The tooltip has the numbers.</p>'
)
_SPLIT = "  | "


class DisplayedCompletions(Protocol):
    """The completions of one sampler, as far as they are displayed."""

    @property
    def source(self) -> str:
        """The sampler, run or checkpoint, as it was given."""

    @property
    def checkpoint(self) -> str | None:
        """URI of the requested checkpoint."""

    @property
    def prompt(self) -> str | None:
        """The prompt as text, if known."""

    @property
    def prompt_tokens(self) -> Sequence[int]:
        """The prompt as token ids."""

    @property
    def policy_version(self) -> int | None:
        """Version of the weights that answered."""

    @property
    def seconds(self) -> float | None:
        """Time of the answer."""

    def __getitem__(self, index: int, /) -> Completion: ...
    def __iter__(self) -> Iterator[Completion]: ...
    def __len__(self) -> int: ...


class CompletionsDisplay:
    """The display of one prompt's completions: one column a sampler.

    Parameters
    ----------
    items : sequence of DisplayedCompletions
        One for each sampler.
    """

    def __init__(self, items: Sequence[DisplayedCompletions]) -> None:
        self._items = tuple(items)

    def mimebundle(self) -> dict[str, str]:
        """Return HTML, and text for the width of the terminal."""
        return {"text/html": self.html(), "text/plain": self.terminal_text()}

    def terminal_text(self) -> str:
        """Return the text for the width of the terminal."""
        return self.text(max(_LEAST_WIDTH, shutil.get_terminal_size((_USUAL_WIDTH, 24)).columns))

    def html(self) -> str:
        """Return HTML that needs no script and follows the theme of the page."""
        if not self._items:
            return page([sentence("No sampler was asked.")])
        heads = "".join(f'<th scope="col">{_head(item)}</th>' for item in self._items)
        rows = [
            f'<tr><th scope="row" class="n">{at + 1}</th>{"".join(self._cell(item, at) for item in self._items)}</tr>'
            for at in range(max(map(len, self._items)))
        ]
        table = [
            f'<div class="wide"><table class="dataframe"><caption>{escape(self._title)}</caption>',
            f'<thead><tr><th scope="col" class="n">Completion</th>{heads}</tr></thead><tbody>',
            *rows,
            "</tbody></table></div>",
        ]
        legend = [_LEGEND] if any(one.logprobs for one in self._completions) else []
        notes = [sentence(note) for note in self._notes]
        return page(
            [self._prompt_html(), *table, *legend, *notes],
            classes="loops-nb-samples",
            style=_STYLE,
        )

    def text(self, width: int) -> str:
        """Return it as text.

        Parameters
        ----------
        width : int
            Characters a line.
        """
        prompt = self._prompt
        lines = [self._title]
        if prompt is not None:
            lines += ["Prompt:", *_wrapped(escape_invisible(prompt[:_LONGEST_PROMPT]), width)]
        for at in range(max(map(len, self._items), default=0)):
            for item in self._items:
                name = one_line(item.source, limit=_LONGEST_NAME)
                lines.append(f"{at + 1}. {name}{_in_brackets(_details(item))}")
                if at >= len(item):
                    lines.append("  (no completion)")
                    continue
                pieces = highlighted_pieces(item[at])
                lines += _wrapped(_text_of(item[at], pieces), width)
                lines += textwrap.wrap(_measures(item[at], pieces), width, initial_indent="  ", subsequent_indent="  ")
        return "\n".join([*lines, *self._notes])

    def _cell(self, item: DisplayedCompletions, at: int) -> str:
        if at >= len(item):
            return "<td><p>(no completion)</p></td>"
        completion = item[at]
        pieces = highlighted_pieces(completion)
        most = MAX_HIGHLIGHTED // max(1, sum(map(len, self._items)))
        own_text = completion.text is not None and not completion.pieces
        body = escape(escape_invisible(completion.text or "")) if own_text else highlighted_html(pieces, most)
        more = ""
        if own_text and completion.tokens:
            ids = _preformatted(highlighted_html(pieces, most))
            more = (
                f"<details><summary>Token ids: {escape(many(len(completion.tokens), 'token'))}</summary>{ids}</details>"
            )
        return f"<td>{_preformatted(body)}<p>{escape(_measures(completion, pieces))}</p>{more}</td>"

    @property
    def _completions(self) -> Iterator[Completion]:
        return chain.from_iterable(self._items)

    @property
    def _prompt(self) -> str | None:
        return next((item.prompt for item in self._items if item.prompt is not None), None)

    def _prompt_html(self) -> str:
        prompt = self._prompt
        if prompt is None:
            count = len(self._items[0].prompt_tokens)
            return sentence(f"Prompt: {many(count, 'token')} (their tokenizer is not known).")
        shown = _preformatted(escape(escape_invisible(prompt[:_LONGEST_PROMPT])))
        if len(prompt) > _LONG_PROMPT:
            return f"<details><summary>Prompt: {len(prompt):,} characters</summary>{shown}</details>"
        return f"<div><b>Prompt</b>{shown}</div>"

    @property
    def _title(self) -> str:
        most = many(max(map(len, self._items), default=0), "completion")
        if len(self._items) == 1:
            return f"{most} of {one_line(self._items[0].source, limit=_LONGEST_NAME)}"
        return f"{most} of each, side by side"

    @property
    def _notes(self) -> list[str]:
        if any(one.tokens and one.text is None for one in self._completions):
            return ["Token ids are shown: this machine has no tokenizer of this model (tokenizer=... takes your own)."]
        return []


def _preformatted(html: str) -> str:
    # An element and not only a style, as some front ends remove styles; HTML drops the first line end.
    return f'<pre class="t">\n{html}</pre>'


def _head(item: DisplayedCompletions) -> str:
    details = _details(item)
    name = escape(one_line(item.source, limit=_LONGEST_NAME))
    return f"{name}<br><small>{escape(details)}</small>" if details else name


def _details(item: DisplayedCompletions) -> str:
    parts = []
    if item.policy_version is not None:
        parts.append(f"weights version {item.policy_version}" if item.policy_version else "base model")
    named = "" if item.checkpoint is None else item.checkpoint.rsplit("/", 1)[-1]
    if not item.source.endswith(named):
        parts.append(one_line(named, limit=_LONGEST_NAME))
    if item.seconds is not None:
        parts.append(f"{item.seconds:.2f} s")
    return ", ".join(parts)


def _measures(completion: Completion, pieces: list[HighlightedPiece]) -> str:
    parts = [many(len(completion.tokens), "token")] if completion.tokens else []
    if completion.stop_reason:
        parts.append(f"ended by {one_line(completion.stop_reason, limit=40)}")
    mean = completion.mean_logprob
    if mean is not None:
        parts.append(f"mean logprob {number(mean)} ({percent(mean)})")
    scored = [piece for piece in pieces if piece.logprob is not None and piece.level]
    least = min(scored, key=lambda piece: piece.logprob or 0.0, default=None)
    if least is not None and least.logprob is not None and len(pieces) > 1:
        parts.append(
            f"least likely {one_line(repr(least.text.strip(' ') or least.text), limit=40)} ({percent(least.logprob)})"
        )
    return ", ".join(parts) or "no further details"


def _text_of(completion: Completion, pieces: list[HighlightedPiece]) -> str:
    if completion.text is not None and not completion.pieces:
        return escape_invisible(completion.text)
    return "".join(piece.text for piece in pieces)


def _wrapped(text: str, width: int) -> list[str]:
    """Return the wrapped lines of a text, each with a bar in front."""
    room = max(10, width - len(_SPLIT))
    wrapped: list[str] = []
    for line in text.split("\n"):
        wrapped += textwrap.wrap(line, room, drop_whitespace=False) or [""]
    return [f"{_SPLIT}{line}".rstrip() for line in wrapped]


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""
