"""Static report of a panel of samples: prompts down, some steps across, differences marked."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

from loops_nb.errors import one_line
from loops_nb.panels.report.html import ONE_OF_TWO, REPORT_CLASS
from loops_nb.panels.samples.model import PromptRow, change_text, prompt_rows, reward_text
from loops_nb.panels.samples.word_diff import DiffPart, shortened, word_diff
from loops_nb.render.formatting import many
from loops_nb.render.tables import page, sentence
from loops_nb.sampling.highlighting import escape_invisible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loops_nb.panels.samples.controller import SamplesController
    from loops_nb.panels.samples.messages import SampleSpec
    from loops_nb.panels.samples.model import SampleModel
    from loops_nb.tracking.samples import SampleRow

_MOST_ROWS = 10
_MOST_TEXT, _CONTEXT = 400, 40
_STYLE = (
    ".loops-nb ins{background:rgba(46,158,79,.18);text-decoration:underline}"
    ".loops-nb del{background:rgba(220,58,52,.16);text-decoration:line-through}"
    ".loops-nb td.sample{white-space:pre-wrap!important;overflow-wrap:anywhere;min-width:12em;max-width:32em}"
)
_HOW = (
    'Samples appear here as they are recorded: exp.sample(step=10, prompt="2 + 2 =", completion=" 4", reward=1.0), or'
    " loops_nb.track(client, keep_samples=4)."
)


class _Content(NamedTuple):
    """What a report is made of: the experiment, its steps with their rows, and sentences."""

    name: str
    steps: list[int]
    means: list[str]
    rows: list[PromptRow]
    notes: list[str]


def report_of(controller: SamplesController, *, live: bool) -> dict[str, str]:
    """Return the report as HTML and as text."""
    content = controller.read(lambda model: _content(model, controller.first_spec))
    parts = [sentence(controller.title, is_heading=True)]
    if controller.read_error and not content.rows:
        parts.append(sentence(controller.read_error))
    else:
        parts += [_table(content)] if content.rows else []
        parts += map(sentence, content.notes)
    if controller.line:
        parts.append(sentence("To see it live, type in a notebook:", code=controller.line))
    return {
        "text/html": page(parts, classes=REPORT_CLASS, style=_STYLE + (ONE_OF_TWO if live else "")),
        "text/plain": _text(controller, content, 120),
    }


def text_report_of(controller: SamplesController, *, width: int) -> str:
    """Return the report as text."""
    return _text(controller, controller.read(lambda model: _content(model, controller.first_spec)), width)


def _content(model: SampleModel, spec: SampleSpec) -> _Content:
    notes = [model.metadata.waiting] if model.metadata.waiting else []
    chosen = model.chosen(spec)
    if chosen is None:
        return _Content("", [], [], [], [*(notes or ["No samples are recorded yet."]), _HOW])
    steps, samples = model.shown(chosen)
    rows = prompt_rows(samples)
    run = next(run for run in model.metadata.runs if run.id == chosen.experiment)
    others = len(model.metadata.runs) + model.metadata.more_runs - 1
    if len(rows) > _MOST_ROWS:
        notes.append(f"{_MOST_ROWS} of {len(rows):,} rows are shown; the live panel has all.")
    dropped = model.dropped(run.id)
    if dropped:
        notes.append(f"{many(dropped, 'sample')} of steps between the others are not kept.")
    if others:
        notes.append(f"{many(others, 'other experiment')} with samples can be chosen in the live panel.")
    means = [reward_text(_mean(there)) for there in samples]
    return _Content(run.name, steps, means, rows[:_MOST_ROWS], notes)


def _mean(samples: list[SampleRow]) -> float | None:
    rewards = [one.reward for one in samples if one.reward is not None]
    return sum(rewards) / len(rewards) if rewards else None


def _table(content: _Content) -> str:
    has_rewards = any(row.rewards for row in content.rows)
    heads = ["Prompt", *(["Reward"] if has_rewards else [])]
    heads += [
        f"Step {step}" + (f", mean reward {mean}" if mean else "")
        for step, mean in zip(content.steps, content.means, strict=True)
    ]
    lines = [f'<table class="dataframe"><caption>{_safe(content.name)}</caption><thead><tr>']
    lines += [f'<th scope="col">{_safe(head)}</th>' for head in heads]
    lines.append("</tr></thead><tbody>")
    for row in content.rows:
        cells = [f'<td class="sample">{_safe(row.prompt)}</td>']
        if has_rewards:
            cells.append(f'<td class="n">{_safe(_reward_words(row))}</td>')
        former: SampleRow | None = None
        for one in row.samples:
            cells.append(f'<td class="sample">{_cell(former, one)}</td>')
            former = one or former
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</tbody></table>"])


def _reward_words(row: PromptRow) -> str:
    if not row.rewards:
        return "-"
    change = change_text(row.change)
    return reward_text(row.rewards[-1]) + (f" ({change})" if change else "")


def _cell(former: SampleRow | None, one: SampleRow | None) -> str:
    if one is None:
        return "-"
    reward = "" if one.reward is None else f"<b>{_safe(reward_text(one.reward))}</b> "
    if former is None:
        return reward + _safe(one.completion)
    parts, left = [], _MOST_TEXT
    changes: Sequence[DiffPart] = word_diff(former.completion, one.completion)
    if len(one.completion) > _MOST_TEXT:
        changes = shortened(changes, _CONTEXT)
    for part in changes:
        if left <= 0:
            break
        text = escape(escape_invisible(part.text[:left]))
        left -= len(part.text)
        parts.append({"same": text, "added": f"<ins>{text}</ins>", "removed": f"<del>{text}</del>"}[part.kind])
    return reward + "".join(parts) + ("…" if left <= 0 else "")


def _safe(text: str, most: int = _MOST_TEXT) -> str:
    shown = text if len(text) <= most else f"{text[:most]}…"
    return escape(escape_invisible(shown))


def _text(controller: SamplesController, content: _Content, width: int) -> str:
    lines = [controller.title]
    if controller.read_error and not content.rows:
        return "\n".join([*lines, controller.read_error])
    if content.rows:
        means = (f" (mean reward {mean})" if mean else "" for mean in content.means)
        steps = ", ".join(f"{step}{mean}" for step, mean in zip(content.steps, means, strict=True))
        lines.append(f"{content.name}: steps {steps}")
    for row in content.rows:
        lines += ["", one_line(row.prompt, limit=width)]
        for step, one in zip(content.steps, row.samples, strict=True):
            if one is not None:
                reward = "" if one.reward is None else f", reward {reward_text(one.reward)}"
                lines.append(one_line(f"step {step}{reward}: {one.completion}", limit=max(20, width - 2)))
                lines[-1] = f"  {lines[-1]}"
    return "\n".join([*lines, *([""] if content.rows and content.notes else []), *content.notes])
