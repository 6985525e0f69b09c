"""Downloads of checkpoints, against the official SDK, aria2c, curl and cp, with memory and CPU; and remote headers."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.peers import ROOT, SDK, SDK_PYTHON, sdk_python
from benchmarks.rounds import Ratio, compare, table, take_turns

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.downloads.cases import Case
    from benchmarks.downloads.contenders import Contender, ContenderRunner
    from benchmarks.downloads.measure import Figures
    from benchmarks.downloads.nginx_server import Source

#: Bytes that must be free for everything, and for less of it.
_ROOM, _LITTLE_ROOM = 7 * 10**9, 3 * 10**9
NOTE = (
    "nginx on 127.0.0.1, from memory to memory; every contender in a fresh process, all its bytes compared the first "
    "time and its sizes every time. "
    f"The SDK is {SDK[0].replace('==', ' ')} `download_checkpoint`. "
    "Ours is the plan, which lists the files, and its execution, with the SHA-256 of every file, sizes, safetensors "
    "headers and the manifest; the others hash nothing. Ours and the SDK are timed in their process, without the "
    "interpreter and its imports; a program as a whole, start-up included ({startup}). The number after a name is its "
    "connections; of several settings of a program the fastest counts, by the median. `limit_rate` as nginx is set up "
    "lets up to 2 MB of each request pass for nothing, which favours many requests; `even` it is 256 KiB, and 16 "
    "connections cannot be 16 times as fast as one. Memory is above that before the transfer, for a program all it "
    "has; against the limit of 64 MiB the ratio is limit / ours. Against `cp` it is ours / cp."
)


def run(*, rounds: int | None = None, only: Sequence[str] = ()) -> Iterator[str]:
    """Give the table of ratios with every contender's figures below it, then that of headers.

    Parameters
    ----------
    rounds
        Rounds of every case; three to five by default.
    only
        Keys of cases (see `Case.key`), or ``headers``; all where there are none.
    """
    from benchmarks.downloads import headers
    from benchmarks.downloads.cases import cases, huge
    from benchmarks.downloads.contenders import ContenderRunner
    from benchmarks.downloads.nginx_server import TOLD, serve_origin
    from benchmarks.downloads.programs import MissingToolsError, tools
    from benchmarks.downloads.sources import digest, make

    try:
        programs = tools()
        place, room = _place()
    except MissingToolsError as missing:
        yield f"## Downloads\n\n{missing}\n"
        return
    sdk = sdk_python()
    every_case = (*cases(20 if room >= _ROOM else 8), huge(10**9 if room >= _ROOM else 2 * 10**8))
    all_cases = [case for case in every_case if not only or case.key in only]
    with tempfile.TemporaryDirectory(prefix="loops-nb-downloads-", dir=place) as name:
        folder = Path(name)
        made: dict[str, list[Source]] = {}
        for case in all_cases:
            if case.folder not in made:
                made[case.folder] = make(folder / "files", case.folder, case.files, case.size, sparse=case.sparse)
        told = {case.folder for case in all_cases if any(contender.speed == TOLD for contender in case.contenders)}
        digests = {source.name: digest(folder / "files" / source.name) for name in told for source in made[name]}
        lines: list[Ratio] = []
        rows: list[str] = []
        with serve_origin(programs, folder, digests) as served:
            # The same interpreter for both, where there is one.
            runner = ContenderRunner(served, programs, sdk or Path(sys.executable), sdk)
            for case in all_cases:
                figures = _measure(
                    runner,
                    case,
                    made[case.folder],
                    min(rounds, case.rounds) if rounds and case.sparse else rounds or case.rounds,
                )
                best = _best(figures)
                lines += _ratios(case, best)
                rows += _rows(case, best)
            opened = (
                headers.run(served, runner.ours, rounds or headers.ROUNDS) if not only or headers.KEY in only else ""
            )
        startup = (
            f"`aria2c --version`: {_startup(programs.aria2c) * 1e3:.0f} ms, curl: "
            f"{_startup(programs.curl) * 1e3:.0f} ms"
        )
    note = NOTE.format(startup=startup)
    if sdk is None:
        note += f" The Loops SDK wants Python {SDK_PYTHON}, which is not on this machine: its lines are left out."
    head = (
        "| case | contender | settings | s | whole process, s | MB/s | CPU s/GB | memory, MB "
        "|\n|---|---|---|---|---|---|---|---|"
    )
    if all_cases:
        yield table("Downloads", note, lines) + "\n".join(["", head, *rows, ""])
    if opened:
        yield opened


def _measure(
    runner: ContenderRunner, case: Case, sources: Sequence[Source], rounds: int
) -> dict[Contender, list[Figures]]:
    taken: dict[Contender, list[Figures]] = {
        contender: [] for contender in case.contenders if contender.kind != "sdk" or runner.sdk is not None
    }

    def take(contender: Contender) -> float:
        taken[contender].append(runner.take(contender, sources, case.speed))
        return taken[contender][-1].seconds

    by_name = {str(number): partial(take, contender) for number, contender in enumerate(taken)}
    take_turns(by_name, rounds)
    return taken


def _best(figures: dict[Contender, list[Figures]]) -> dict[Contender, list[Figures]]:
    """Return the fastest contender of each label."""
    best: dict[str, Contender] = {}
    for contender, each in figures.items():
        if contender.label not in best or _median(each, "seconds") < _median(figures[best[contender.label]], "seconds"):
            best[contender.label] = contender
    return {contender: figures[contender] for contender in best.values()}


def _ratios(case: Case, best: dict[Contender, list[Figures]]) -> list[Ratio]:
    from benchmarks.downloads.cases import CP, MEMORY

    by_label = {contender.label: figures for contender, figures in best.items()}
    lines = []
    for goal in case.goals:
        if goal.peer not in by_label:
            continue
        ours, theirs = ([each.seconds for each in by_label[label]] for label in (goal.ours, goal.peer))
        against = f"{goal.ours} / {CP}" if goal.peer == CP else goal.peer
        what = f"{case.name}: {goal.ours}"
        lines.append(compare(what, against, ours, theirs, goal=goal.goal, unit="s", invert=goal.peer == CP))
    for contender, figures in best.items():
        if contender.kind == "ours":
            peaks = [float(each.peak) for each in figures]
            limit = [float(MEMORY)] * len(peaks)
            lines.append(
                compare(f"{case.name}: {contender.label}, memory", "limit", peaks, limit, goal=">= 1", unit="MB")
            )
    return lines


def _rows(case: Case, best: dict[Contender, list[Figures]]) -> list[str]:
    gigabytes = case.files * case.size / 1e9
    return [
        f"| {case.name} | {contender.label} | {' '.join(contender.settings) if contender.kind != 'ours' else ''} | "
        f"{_median(each, 'seconds'):.3f} | {_median(each, 'whole'):.3f} | "
        f"{gigabytes * 1e3 / _median(each, 'seconds'):,.0f} | {_median(each, 'cpu') / gigabytes:.2f} | "
        f"{max(figures.peak for figures in each) / 1e6:.1f} |"
        for contender, each in best.items()
    ]


def _median(figures: Sequence[Figures], what: str) -> float:
    values: list[float] = [getattr(each, what) for each in figures]
    return statistics.median(values)


def _startup(program: str) -> float:
    from benchmarks.downloads.measure import program as run_program

    return statistics.median(run_program([program, "--version"], Path(program).parent).seconds for _ in range(5))


def _place() -> tuple[Path, int]:
    """Return a folder in memory, else the build folder, and how many bytes may be put there."""
    from benchmarks.downloads.programs import MissingToolsError

    memory = Path("/dev/shm")  # noqa: S108 - a file system in memory; the folder made in it is private
    (ROOT / "build").mkdir(exist_ok=True)
    place = memory if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= _LITTLE_ROOM else ROOT / "build"
    lines = Path("/proc/meminfo").read_text().splitlines()
    available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    room = min(shutil.disk_usage(place).free, available)
    if room < _LITTLE_ROOM:
        raise MissingToolsError(f"The files need {_LITTLE_ROOM / 1e9:g} GB of memory; {room / 1e9:.1f} GB are free.")
    return place, room
