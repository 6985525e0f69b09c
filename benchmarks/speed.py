"""The page ``docs/speed.md``: what is judged by a goal, in one table, and all tables of the run below it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from benchmarks.peers import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PAGE = ROOT / "docs" / "speed.md"
_VERDICTS = ("ahead", "level", "behind")
#: Heads of figures that say no more than the first cell does.
_PLAIN = ("ours", "size", "ms", "relative distance")
#: Of what, figure, goal and verdict, the last; other verdicts are about a further figure.
_FIRST_VERDICT = 3
_HEAD = "| what | measured | goal | |\n|---|---|---|---|"
_BEGIN = """# Speed

What users wait for, measured by `python -m benchmarks` on {day}: each figure is a ratio against a named peer of the
same run, or a measurement in a real JupyterLab and browser. `benchmarks/README.md` says what each part measures.

{machine}

*level* is within a twentieth of the goal, *ahead* better, *behind* worse. On machines with few processors the peers,
the servers and the browser share them with what is measured.

## Beside the goals

{summary}
"""


def summary(tables: Iterable[str]) -> str:
    """Return one Markdown table of everything in these tables that is judged, and how often it stands where."""
    rows = [row for text in tables for row in _judged(text)]
    counts = ", ".join(f"{sum(row[-1] == verdict for row in rows)} {verdict}" for verdict in _VERDICTS)
    return "\n".join([_HEAD, *(f"| {' | '.join(row)} |" for row in rows), "", f"{len(rows)} goals: {counts}.", ""])


def page(tables: list[str], machine: str) -> str:
    """Return the text of the page.

    Parameters
    ----------
    tables
        What the benchmarks gave, each with a heading of the second level.
    machine
        One line about what they ran on.
    """
    day = dt.datetime.now(dt.UTC).date().isoformat()
    begin = _BEGIN.format(day=day, machine=machine, summary=summary(tables))
    return "\n".join([begin, *tables]).rstrip() + "\n"


def _judged(text: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield what, measured, goal and verdict of each figure in these tables that is judged."""
    title = ""
    head: list[str] = []
    for line in text.splitlines():
        if line.startswith("## "):
            title, head = line.removeprefix("## "), []
        elif line.startswith("| "):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            head = head or cells
            for place, cell in enumerate(cells):
                # A figure, its goal and its verdict stand side by side in every table.
                if cell in _VERDICTS:
                    yield _row(title, head, cells, place)
        else:
            head = []


def _row(title: str, head: list[str], cells: list[str], place: int) -> tuple[str, str, str, str]:
    figure, goal, verdict = cells[place - 2 : place + 1]
    what = cells[0]
    if head[1] == "peer":
        what, figure = f"{what}, beside {cells[1]}", f"{figure} ({cells[2]} and {cells[3]})"
    elif place > _FIRST_VERDICT or head[place - 2] not in _PLAIN:
        what = f"{what}: {head[place - 2]}"
    return f"{title}: {what}", figure, goal, verdict
