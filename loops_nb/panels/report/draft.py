"""Content of a report before it is rendered: sentences and tables."""

from __future__ import annotations

from dataclasses import dataclass, field

from loops_nb import live
from loops_nb.panels import messages
from loops_nb.panels.report.listing import MOST_ROWS, listing
from loops_nb.panels.report.state_icons import ICONS, state_words, without_empty
from loops_nb.panels.report.times import TimeFormatter
from loops_nb.render.formatting import MISSING, many
from loops_nb.render.tables import Field, Table

_MOST_SPANS = 20
_MOST_NOTICES = 5
_PARTS = {"run": "Run", "deployment": "Trainer", "sampler": "Sampler"}


@dataclass(frozen=True)
class Section:
    """A table with its heading; without columns, only its notes are said."""

    heading: str
    table: Table


@dataclass(frozen=True)
class Draft:
    """A report.

    Parameters
    ----------
    title
        Its heading.
    lines
        Sentences below it.
    sections
        Tables.
    line
        What to type to see it live.
    """

    title: str
    lines: list[str]
    sections: list[Section] = field(default_factory=list)
    line: str = ""


def draft_of(snapshot: messages.PanelSnapshot, time_zone: str, *, most_rows: int = MOST_ROWS) -> Draft:
    """Return what a report of a snapshot says.

    Raises
    ------
    ConfigError
        If there is no such time zone.
    """
    looked_at = snapshot.health.looked_at
    clock = TimeFormatter(snapshot.now if looked_at is None else looked_at, time_zone)
    lines = [_freshness(snapshot, clock)]
    # Of what never came there is nothing to count.
    if snapshot.facts and looked_at is not None:
        lines.append(_facts(snapshot.facts))
    sections = []
    run = snapshot.run
    if run is not None:
        if run.facts:
            lines.append(_facts(run.facts))
        sections.append(_halves(run, clock))
        # As long as nothing has changed, the states stand above already.
        if any(span.exact or span.until is not None for span in run.timeline):
            sections.append(_timeline(run.timeline, clock))
    lines += _notices(snapshot.notices, clock)
    lines += [
        f"Asked for here: {command.what} {command.target}, {command.state}. {command.text} {command.hint}".strip()
        for command in snapshot.commands[:_MOST_NOTICES]
        # A plan alone changes nothing.
        if command.what not in messages.PLANS
    ]
    listings = [listing(snapshot, name, clock, most_rows=most_rows) for name in snapshot.tables]
    sections += [Section(*found) for found in listings if found is not None]
    return Draft(snapshot.title, lines, sections, snapshot.line)


def _freshness(snapshot: messages.PanelSnapshot, clock: TimeFormatter) -> str:
    health = snapshot.health
    why = f" {_sentence(health.reason)}" if health.reason else ""
    what_to_do = f" {_sentence(health.hint)}" if health.hint else ""
    if health.looked_at is None:
        return f"Nothing had come from the service by {clock.whole()}.{why}{what_to_do}"
    words = f"As of {clock.whole()}."
    # A refused key is an answer too: the text does not say that the service is silent.
    stale = "" if health.since is None else f" Since {clock.at(health.since)} it could not be brought up to date"
    if health.state == "failing":
        return f"{words}{stale or ' It could not be brought up to date'}{':' if why else '.'}{why}{what_to_do}"
    stale = f"{stale}." if stale else ""
    if health.state == "paused":
        return f"{words}{stale} It was paused then."
    return f"{words}{stale}{why}{what_to_do}" if health.state == "over" else words


def _facts(facts: list[messages.Fact]) -> str:
    return " · ".join(f"{fact.label}: {ICONS['bad'] + ' ' if fact.tone == 'bad' else ''}{fact.value}" for fact in facts)


def _notices(notices: list[messages.Notice], clock: TimeFormatter) -> list[str]:
    lines = [
        f"{clock.at(notice.at)} {ICONS[notice.tone]} {_sentence(notice.text)} {_sentence(notice.hint)}".strip()
        for notice in notices[:_MOST_NOTICES]
    ]
    more = len(notices) - len(lines)
    return [*lines, f"And {many(more, 'earlier notice')}."] if more > 0 else lines


def _halves(run: messages.RunSummary, clock: TimeFormatter) -> Section:
    halves = run.parts
    # What was in its state before the first look is so for an unknown time.
    vague = {span.what for span in run.timeline if span.until is None and not span.exact}
    fields = [
        Field("Part", [_PARTS[half.what] for half in halves]),
        Field("State", [state_words(half.status) for half in halves], is_short=True),
        Field("Since", [_start(half.since, clock, exact=half.what not in vague) for half in halves], is_short=True),
        Field("GPUs", [half.gpus or MISSING for half in halves], rank=1),
        Field("Id", [half.id or MISSING for half in halves], rank=1),
    ]
    return Section(
        ", ".join(filter(None, (run.name or f"Run {run.id}", run.base_model))),
        Table(without_empty(fields)) if halves else Table([], ["Its parts were not known."]),
    )


def _timeline(spans: list[live.Span], clock: TimeFormatter) -> Section:
    shown = spans[-_MOST_SPANS:]
    fields = [
        Field("From", [_start(span.start, clock, exact=span.exact) for span in shown], is_short=True),
        Field("Part", [_PARTS[span.what] for span in shown]),
        Field("State", [state_words(span.status) for span in shown], is_short=True),
        Field("Lasted", [_lasted(span, clock) for span in shown], is_short=True),
    ]
    more = len(spans) - len(shown)
    notes = [f"{many(more, 'earlier state')} not shown."] if more else []
    return Section("States since it was first seen", Table(fields, notes))


def _start(at: float | None, clock: TimeFormatter, *, exact: bool) -> str:
    return clock.at(at) if exact else f"before {clock.at(at)}"


def _lasted(span: live.Span, clock: TimeFormatter) -> str:
    words = clock.lasting(span.start, span.until)
    if not span.exact:
        words = f"over {words}"
    return f"{words} so far" if span.until is None else words


def _sentence(text: str) -> str:
    words = text.strip()
    return words if not words or words[-1] in ".?!:" else f"{words}."
