"""Completions of one prompt by several samplers, beside each other."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any, overload

from loops_nb.drawing.tables import page, sentence
from loops_nb.drawing.wording import many
from loops_nb.errors import one_line
from loops_nb.sampling.completions import Completions
from loops_nb.sampling.marking import MOST_MARKS, Mark, marked_html, marks_of, number, percent, visible

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.sampling.completions import Completion

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
    ".loops-nb-samples pre.t{white-space:pre-wrap!important;word-break:normal;overflow-wrap:anywhere;line-height:1.7;margin:0;padding:0;"
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
    "<p>Underlined is what the model found unlikely, the heavier the more: "
    '<span class="p1">below 90 %</span>, <span class="p2">50 %</span>, <span class="p3"><u>20 %</u></span>, '
    '<span class="p4"><u>5 %</u></span>. Each piece tells its number when the pointer rests on it.</p>'
)
_SPLIT = "  | "


class SideBySide(Sequence[Completions]):
    """The completions of one prompt, by one or several who were asked: a sequence of `Completions`.

    In a notebook it shows itself as a table, one column for each who was asked; in a terminal as text.

    Parameters
    ----------
    items
        One for each who was asked.
    """

    def __init__(self, items: Sequence[Completions]) -> None:
        self._items = tuple(items)

    @overload
    def __getitem__(self, index: int) -> Completions: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Completions]: ...
    def __getitem__(self, index: int | slice) -> Completions | Sequence[Completions]:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    @property
    def frame(self) -> pd.DataFrame:
        """One row a completion, of all who were asked; columns as `loops_nb.frames.samples.completions_frame` has them."""
        from loops_nb import accessor  # noqa: F401, PLC0415 - registers df.loops; pandas takes 0.2 s to import
        from loops_nb.frames.samples import completions_frame  # noqa: PLC0415

        return completions_frame([row for item in self._items for row in item.rows()])

    def __repr__(self) -> str:
        """Return all of it as text that fits the terminal."""
        return self.text(max(_LEAST_WIDTH, shutil.get_terminal_size((_USUAL_WIDTH, 24)).columns))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """Return what a notebook shows and keeps."""
        del include, exclude
        return self.mimebundle()

    def mimebundle(self) -> dict[str, str]:
        """Return it as HTML and as text."""
        return {"text/html": self.html(), "text/plain": repr(self)}

    def html(self) -> str:
        """Return it as a piece of a page that needs no script and follows the page's colours."""
        if not self._items:
            return page([sentence("Nobody was asked.")])
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
        is_scored = any(one.logprobs for item in self._items for one in item)
        notes = [sentence(note) for note in self._notes]
        return page([self._prompt_html(), *table, *([_LEGEND] if is_scored else []), *notes], classes="loops-nb-samples", style=_STYLE)

    def text(self, width: int) -> str:
        """Return it as text.

        Parameters
        ----------
        width
            Characters a line.
        """
        prompt = self._prompt
        lines = [self._title]
        if prompt is not None:
            lines += ["Prompt:", *_folded(visible(prompt[:_LONGEST_PROMPT]), width)]
        for at in range(max(map(len, self._items), default=0)):
            for item in self._items:
                name = one_line(item.source, limit=_LONGEST_NAME)
                lines.append(f"{at + 1}. {name}{_in_brackets(_told(item))}")
                if at >= len(item):
                    lines.append("  (no completion)")
                    continue
                marks = marks_of(item[at])
                lines += _folded(_shown(item[at], marks), width)
                lines += textwrap.wrap(_measures(item[at], marks), width, initial_indent="  ", subsequent_indent="  ")
        return "\n".join([*lines, *self._notes])

    def _cell(self, item: Completions, at: int) -> str:
        if at >= len(item):
            return "<td><p>(no completion)</p></td>"
        completion = item[at]
        marks = marks_of(completion)
        most = MOST_MARKS // max(1, sum(map(len, self._items)))
        own_text = completion.text is not None and not completion.pieces
        body = escape(visible(completion.text or "")) if own_text else marked_html(marks, most)
        more = ""
        if own_text and completion.tokens:
            ids = _preformatted(marked_html(marks, most))
            more = f"<details><summary>The same as token ids: {escape(many(len(completion.tokens), 'token'))}</summary>{ids}</details>"
        return f"<td>{_preformatted(body)}<p>{escape(_measures(completion, marks))}</p>{more}</td>"

    @property
    def _prompt(self) -> str | None:
        return next((item.prompt for item in self._items if item.prompt is not None), None)

    def _prompt_html(self) -> str:
        prompt = self._prompt
        if prompt is None:
            count = len(self._items[0].prompt_tokens)
            return sentence(f"Prompt: {many(count, 'token')} (no tokenizer is known to read them).")
        shown = _preformatted(escape(visible(prompt[:_LONGEST_PROMPT])))
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
        if any(one.tokens and one.text is None for item in self._items for one in item):
            return ["Token ids are shown: no tokenizer of this model is on this machine (tokenizer=... takes your own)."]
        return []


def _preformatted(html: str) -> str:
    # As an element and not only as a style, so that lines stay lines where styles are taken out; a first line end would be dropped.
    return f'<pre class="t">\n{html}</pre>'


def _head(item: Completions) -> str:
    told = _told(item)
    name = escape(one_line(item.source, limit=_LONGEST_NAME))
    return f"{name}<br><small>{escape(told)}</small>" if told else name


def _told(item: Completions) -> str:
    parts = []
    if item.policy_version is not None:
        parts.append(f"weights version {item.policy_version}" if item.policy_version else "base model")
    named = "" if item.checkpoint is None else item.checkpoint.rsplit("/", 1)[-1]
    if not item.source.endswith(named):
        parts.append(one_line(named, limit=_LONGEST_NAME))
    if item.seconds is not None:
        parts.append(f"{item.seconds:.2f} s")
    return ", ".join(parts)


def _measures(completion: Completion, marks: list[Mark]) -> str:
    parts = [many(len(completion.tokens), "token")] if completion.tokens else []
    if completion.stop_reason:
        parts.append(f"ended by {one_line(completion.stop_reason, limit=40)}")
    mean = completion.mean_logprob
    if mean is not None:
        parts.append(f"mean logprob {number(mean)} ({percent(mean)})")
    scored = [mark for mark in marks if mark.logprob is not None and mark.level]
    least = min(scored, key=lambda mark: mark.logprob or 0.0, default=None)
    if least is not None and least.logprob is not None and len(marks) > 1:
        parts.append(f"least likely {one_line(repr(least.text.strip(' ') or least.text), limit=40)} ({percent(least.logprob)})")
    return ", ".join(parts) or "nothing more was told of it"


def _shown(completion: Completion, marks: list[Mark]) -> str:
    if completion.text is not None and not completion.pieces:
        return visible(completion.text)
    return "".join(mark.text for mark in marks)


def _folded(text: str, width: int) -> list[str]:
    """Return the lines of a text, long ones folded, all of them behind a bar."""
    room = max(10, width - len(_SPLIT))
    folded = [part for line in (text.split("\n") or [""]) for part in (textwrap.wrap(line, room, drop_whitespace=False) or [""])]
    return [f"{_SPLIT}{line}".rstrip() for line in folded]


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""
