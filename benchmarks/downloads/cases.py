"""What is fetched, in which ways, and what is to come of it."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.downloads.far_end import LATE, PLAIN, SLOW
from benchmarks.downloads.ways import Way

#: Bytes above what the process held before; whatever is fetched.
MEMORY = 64 * 1024**2
OURS, ARIA2C, CURL, SDK, CP = "ours", "aria2c", "curl --parallel", "SDK", "cp -r"
_PLAIN_SDK = Way(SDK, "sdk")


class Goal(NamedTuple):
    """A line of the table.

    Parameters
    ----------
    ours, peer
        Labels of ways.
    goal
        As in `benchmarks.rounds.Ratio`.
    """

    ours: str
    peer: str
    goal: str = ""


class Case(NamedTuple):
    """Files, and the ways that take turns with them.

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
        How often each way takes its turn.
    ways, goals
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
    ways: tuple[Way, ...]
    goals: tuple[Goal, ...]
    sparse: bool = False


def _ours(connections: int, suffix: str = "", speed: str = "") -> Way:
    return Way(f"{OURS}, {connections}{suffix}", "ours", (str(connections),), speed)


def _aria2c(label: str, files: int, parts: int, *more: str) -> Way:
    """Return aria2c with so many files at a time, each over so many connections."""
    return Way(label, "aria2c", (f"-j{files}", f"-x{parts}", f"-s{parts}", "-k1M", *more))


def _curl(files: int) -> Way:
    return Way(CURL, "curl", ("--parallel-max", str(files)))


def cases(large: int) -> tuple[Case, ...]:
    """Return the four cases; the last one with so many large files."""
    return (
        Case(
            "8 files x 40 MB, 20 MiB/s a connection",
            "some",
            8,
            40_000_000,
            SLOW,
            3,
            (
                _ours(8),
                _ours(16),
                _PLAIN_SDK,
                _aria2c(f"{ARIA2C}, 8", 8, 1),
                _aria2c(f"{ARIA2C}, 8", 1, 8),
                _aria2c(f"{ARIA2C}, 16", 8, 2),
                _aria2c(f"{ARIA2C}, 16", 4, 4),
                _aria2c(f"{ARIA2C}, 16", 1, 16),
                _curl(8),
            ),
            (
                Goal(f"{OURS}, 8", SDK, ">= 7.6"),
                Goal(f"{OURS}, 8", f"{ARIA2C}, 8", ">= 1"),
                Goal(f"{OURS}, 8", CURL),
                Goal(f"{OURS}, 16", SDK),
                Goal(f"{OURS}, 16", f"{ARIA2C}, 16", ">= 1"),
            ),
        ),
        Case(
            "1 file x 100 MB, 20 MiB/s a connection",
            "one",
            1,
            100_000_000,
            SLOW,
            5,
            (_ours(16), _PLAIN_SDK, _aria2c(f"{ARIA2C}, 16", 1, 16), _aria2c(f"{ARIA2C}, 16", 1, 16, "--disk-cache=0"), _curl(1)),
            (Goal(f"{OURS}, 16", SDK, ">= 16"), Goal(f"{OURS}, 16", f"{ARIA2C}, 16", ">= 1"), Goal(f"{OURS}, 16", CURL)),
        ),
        Case(
            "300 files x 100 KB, 30 ms to the first byte",
            "small",
            300,
            100_000,
            LATE,
            5,
            (_ours(16), _PLAIN_SDK, _aria2c(f"{ARIA2C}, 16", 16, 1), _aria2c(f"{ARIA2C}, 16", 16, 1, "--disk-cache=0"), _curl(16)),
            (Goal(f"{OURS}, 16", SDK, ">= 14"), Goal(f"{OURS}, 16", f"{ARIA2C}, 16", ">= 1"), Goal(f"{OURS}, 16", CURL)),
        ),
        Case(
            f"{large} files x 100 MB, unthrottled",
            "large",
            large,
            100_000_000,
            PLAIN,
            5,
            (
                _ours(16),
                _ours(16, ", MD5 told and checked", "told"),
                _PLAIN_SDK,
                _aria2c(ARIA2C, 1, 1),
                _aria2c(ARIA2C, 4, 1),
                _aria2c(ARIA2C, 16, 1),
                _aria2c(ARIA2C, 4, 4),
                _curl(4),
                _curl(16),
                Way(CP, "cp"),
            ),
            (
                Goal(f"{OURS}, 16", CP, "<= 1.3"),
                Goal(f"{OURS}, 16", ARIA2C, ">= 1"),
                Goal(f"{OURS}, 16", SDK),
                Goal(f"{OURS}, 16", CURL),
                Goal(f"{OURS}, 16, MD5 told and checked", CP),
                Goal(f"{OURS}, 16, MD5 told and checked", ARIA2C),
            ),
        ),
    )


def huge(size: int) -> Case:
    """Return the case in which only memory counts: four files, each of so many bytes."""
    name = f"4 files x {size / 1e9:g} GB, unthrottled"
    ways = (_ours(16), _PLAIN_SDK, _aria2c(ARIA2C, 4, 4))
    return Case(name, "huge", 4, size, PLAIN, 1, ways, (), sparse=True)
