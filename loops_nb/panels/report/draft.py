"""What a report says, before it is drawn: sentences and tables."""

from __future__ import annotations

from dataclasses import dataclass, field

from loops_nb.drawing.tables import Field, Table
from loops_nb.drawing.wording import MISSING, many
from loops_nb.panels import wire
from loops_nb.panels.report.clock import Clock
from loops_nb.panels.report.listing import MOST_ROWS, listing
from loops_nb.panels.report.signs import SIGNS, state_words, without_empty

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


def draft_of(snapshot: wire.Snapshot, time_zone: str, *, most_rows: int = MOST_ROWS) -> Draft:
    """Return what a report of a snapshot says.

    Raises
    ------
    ConfigError
        If there is no such time zone.
    """
    looked_at = snapshot.health.looked_at
    clock = Clock(snapshot.now if looked_at is None else looked_at, time_zone)
    lines = [_freshness(snapshot, clock)]
    # Of what never came there is nothing to count.
    if snapshot.facts and looked_at is not None:
        lines.append(_facts(snapshot.facts))
    sections = []
    run = snapshot.run
    if run is not None:
        lines += [_facts(run.facts)] if run.facts else []
        sections.append(_halves(run, clock))
        # As long as nothing has changed, the states stand above already.
        has_moved = any(span.exact or span.until is not None for span in run.timeline)
        sections += [_timeline(run.timeline, clock)] if has_moved else []
    lines += _notices(snapshot.notices, clock)
    lines += [f"Asked for here: {act.what} {act.target}, {act.state}. {act.text}".strip() for act in snapshot.acts[:_MOST_NOTICES]]
    listings = [listing(snapshot, name, clock, most_rows=most_rows) for name in snapshot.tables]
    sections += [Section(*found) for found in listings if found is not None]
    return Draft(snapshot.title, lines, sections, snapshot.line)


def _freshness(snapshot: wire.Snapshot, clock: Clock) -> str:
    health = snapshot.health
    why = f" {_sentence(health.reason)}" if health.reason else ""
    what_to_do = f" {_sentence(health.hint)}" if health.hint else ""
    if health.looked_at is None:
        return f"Nothing had come from the service by {clock.whole()}.{why}{what_to_do}"
    words = f"As of {clock.whole()}."
    # A refused key is an answer too, so nobody is said to be silent.
    stale = "" if health.since is None else f" Since {clock.at(health.since)} it could not be brought up to date"
    if health.state == "failing":
        return f"{words}{stale or ' It could not be brought up to date'}{':' if why else '.'}{why}{what_to_do}"
    stale = f"{stale}." if stale else ""
    if health.state == "paused":
        return f"{words}{stale} It was paused then."
    return f"{words}{stale}{why}{what_to_do}" if health.state == "over" else words


def _facts(facts: list[wire.Fact]) -> str:
    return " · ".join(f"{fact.label}: {SIGNS['bad'] + ' ' if fact.tone == 'bad' else ''}{fact.value}" for fact in facts)


def _notices(notices: list[wire.Notice], clock: Clock) -> list[str]:
    lines = [
        f"{clock.at(notice.at)} {SIGNS[notice.tone]} {_sentence(notice.text)} {_sentence(notice.hint)}".strip()
        for notice in notices[:_MOST_NOTICES]
    ]
    more = len(notices) - len(lines)
    return [*lines, f"And {many(more, 'earlier notice')}."] if more > 0 else lines


def _halves(run: wire.RunHead, clock: Clock) -> Section:
    halves = run.halves
    # What was in its state before the first look is so for longer than anybody knows.
    vague = {span.what for span in run.timeline if span.until is None and not span.exact}
    fields = [
        Field("Part", [_PARTS[half.what] for half in halves]),
        Field("State", [state_words(half.status) for half in halves], is_short=True),
        Field(
            "Since", [f"before {clock.at(half.since)}" if half.what in vague else clock.at(half.since) for half in halves], is_short=True
        ),
        Field("GPUs", [half.gpus or MISSING for half in halves], rank=1),
        Field("Id", [half.id or MISSING for half in halves], rank=1),
    ]
    return Section(
        ", ".join(filter(None, (run.name or f"Run {run.id}", run.base_model))),
        Table(without_empty(fields)) if halves else Table([], ["Its parts were not known."]),
    )


def _timeline(spans: list[wire.Span], clock: Clock) -> Section:
    shown = spans[-_MOST_SPANS:]
    fields = [
        Field("From", [clock.at(span.start) if span.exact else f"before {clock.at(span.start)}" for span in shown], is_short=True),
        Field("Part", [_PARTS[span.what] for span in shown]),
        Field("State", [state_words(span.status) for span in shown], is_short=True),
        Field("Lasted", [_lasted(span, clock) for span in shown], is_short=True),
    ]
    more = len(spans) - len(shown)
    return Section("States since it was first seen", Table(fields, [f"{many(more, 'earlier state')} not shown."] if more else []))


def _lasted(span: wire.Span, clock: Clock) -> str:
    words = clock.lasting(span.start, span.until)
    return f"{'' if span.exact else 'over '}{words}{' so far' if span.until is None else ''}"


def _sentence(text: str) -> str:
    words = text.strip()
    return words if not words or words[-1] in ".?!:" else f"{words}."
