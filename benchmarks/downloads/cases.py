"""What is downloaded, by which contenders, with which goals."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.downloads.contenders import Contender
from benchmarks.downloads.nginx_server import EVEN, LATE, PLAIN, SLOW, TOLD

#: Bytes above what the process held before; whatever is fetched.
MEMORY = 64 * 1024**2
OURS, ARIA2C, CURL, SDK, CP = "ours", "aria2c", "curl --parallel", "SDK", "cp -r"
_PLAIN_SDK = Contender(SDK, "sdk")


class Goal(NamedTuple):
    """A line of the table.

    Parameters
    ----------
    ours, peer
        Labels of contenders.
    goal
        As in `benchmarks.rounds.Ratio`.
    """

    ours: str
    peer: str
    goal: str = ""


class Case(NamedTuple):
    """Files, and the contenders that take turns with them.

    Parameters
    ----------
    name
        How the tables call it.
    folder
        Name of the files' folder.
    files, size
        How many files, and their bytes.
    speed
        How fast they come.
    rounds
        How often each contender takes its turn.
    contenders, goals
        Who takes part, and the lines of the table.
    sparse
        Whether the files are mostly holes.
    """

    name: str
    folder: str
    files: int
    size: int
    speed: str
    rounds: int
    contenders: tuple[Contender, ...]
    goals: tuple[Goal, ...]
    sparse: bool = False

    @property
    def key(self) -> str:
        """What it is chosen by."""
        return f"{self.folder}-{self.speed}"


def _ours(connections: int, suffix: str = "", speed: str = "") -> Contender:
    return Contender(f"{OURS}, {connections}{suffix}", "ours", (str(connections),), speed)


def _aria2c(label: str, files: int, parts: int, *more: str) -> Contender:
    """Return aria2c with so many files at a time, each over so many connections."""
    return Contender(label, "aria2c", (f"-j{files}", f"-x{parts}", f"-s{parts}", "-k1M", *more))


def _curl(files: int) -> Contender:
    return Contender(CURL, "curl", ("--parallel-max", str(files)))


def cases(large: int) -> tuple[Case, ...]:
    """Return the four cases, those with a limit for both kinds of it; the last one with so many large files."""
    return (
        _some(SLOW, "20 MiB/s"),
        _some(EVEN, "20 MiB/s, even"),
        _one(SLOW, "20 MiB/s", 16),
        _one(EVEN, "20 MiB/s, even", 14.4),
        _small(),
        _large(large),
    )


def _some(speed: str, said: str) -> Case:
    contenders = (
        _ours(8),
        _ours(16),
        _PLAIN_SDK,
        _aria2c(f"{ARIA2C}, 8", 8, 1),
        _aria2c(f"{ARIA2C}, 8", 1, 8),
        _aria2c(f"{ARIA2C}, 16", 8, 2),
        _aria2c(f"{ARIA2C}, 16", 4, 4),
        _aria2c(f"{ARIA2C}, 16", 1, 16),
        _curl(8),
    )
    goals = (
        Goal(f"{OURS}, 8", SDK, ">= 7.6"),
        Goal(f"{OURS}, 8", f"{ARIA2C}, 8", ">= 1"),
        Goal(f"{OURS}, 8", CURL),
        Goal(f"{OURS}, 16", SDK),
        Goal(f"{OURS}, 16", f"{ARIA2C}, 16", ">= 1"),
    )
    return Case(f"8 files x 40 MB, {said} a connection", "some", 8, 40_000_000, speed, 3, contenders, goals)


def _one(speed: str, said: str, times: float) -> Case:
    contenders = (
        _ours(16),
        _PLAIN_SDK,
        _aria2c(f"{ARIA2C}, 16", 1, 16),
        _aria2c(f"{ARIA2C}, 16", 1, 16, "--disk-cache=0"),
        _curl(1),
    )
    goals = (
        Goal(f"{OURS}, 16", SDK, f">= {times:g}"),
        Goal(f"{OURS}, 16", f"{ARIA2C}, 16", ">= 1"),
        Goal(f"{OURS}, 16", CURL),
    )
    return Case(f"1 file x 100 MB, {said} a connection", "one", 1, 100_000_000, speed, 5, contenders, goals)


def _small() -> Case:
    contenders = (
        _ours(16),
        _PLAIN_SDK,
        _aria2c(f"{ARIA2C}, 16", 16, 1),
        _aria2c(f"{ARIA2C}, 16", 16, 1, "--disk-cache=0"),
        _curl(16),
    )
    goals = (Goal(f"{OURS}, 16", SDK, ">= 14"), Goal(f"{OURS}, 16", f"{ARIA2C}, 16", ">= 1"), Goal(f"{OURS}, 16", CURL))
    return Case("300 files x 100 KB, 30 ms to the first byte", "small", 300, 100_000, LATE, 5, contenders, goals)


def _large(files: int) -> Case:
    contenders = (
        _ours(16),
        _ours(16, ", MD5 told and checked", TOLD),
        _PLAIN_SDK,
        _aria2c(ARIA2C, 1, 1),
        _aria2c(ARIA2C, 4, 1),
        _aria2c(ARIA2C, 16, 1),
        _aria2c(ARIA2C, 4, 4),
        _curl(4),
        _curl(16),
        Contender(CP, "cp"),
    )
    goals = (
        Goal(f"{OURS}, 16", CP, "<= 1.3"),
        Goal(f"{OURS}, 16", ARIA2C, ">= 1"),
        Goal(f"{OURS}, 16", SDK),
        Goal(f"{OURS}, 16", CURL),
        Goal(f"{OURS}, 16, MD5 told and checked", CP),
        Goal(f"{OURS}, 16, MD5 told and checked", ARIA2C),
    )
    return Case(f"{files} files x 100 MB, unthrottled", "large", files, 100_000_000, PLAIN, 5, contenders, goals)


def huge(size: int) -> Case:
    """Return the case in which only memory counts: four files, each of so many bytes."""
    name = f"4 files x {size / 1e9:g} GB, unthrottled"
    contenders = (_ours(16), _PLAIN_SDK, _aria2c(ARIA2C, 4, 4))
    return Case(name, "huge", 4, size, PLAIN, 1, contenders, (), sparse=True)
