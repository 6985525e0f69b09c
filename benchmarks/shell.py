"""What a command of ``loops-nb`` takes as a whole process: the help, a listing, and a Tab."""

from __future__ import annotations

import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

from benchmarks.listing import environment, server
from benchmarks.peers import CLI, ROOT, cli_python, user_python
from benchmarks.rounds import Ratio, compare, table, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROUNDS = 9
#: The limits, in seconds.
HELP, LISTING = 0.15, 0.3
NOTE = (
    "Each figure is a whole process, in an environment with our dependencies only; the server of the listings is on "
    "127.0.0.1. Against a limit, the ratio is limit / ours. The imports are what any listing into a DataFrame over "
    "httpx needs: python -c 'import pandas, httpx'. Neither a listing nor a Tab has a frame here; of a Tab the peer "
    "imports httpx alone."
)


def run(*, rounds: int | None = None) -> Iterator[str]:
    """Yield the table."""
    user, cli = user_python(), cli_python()
    assert user is not None, "the running Python is always there"
    with server() as url, tempfile.TemporaryDirectory() as home:
        own = {**environment(), "LOOPS_NB_HOME": home, "LOOPS_BASE_URL": url, "BASETEN_API_KEY": "benchmark"}

        def took(python: Path, *words: str) -> float:
            start = time.perf_counter()
            subprocess.run([str(python), *words], check=True, capture_output=True, env=own, cwd=ROOT)
            return time.perf_counter() - start

        ways: dict[str, Callable[[], float]] = {
            "help": lambda: took(user, "-m", "loops_nb", "--help"),
            "listing": lambda: took(user, "-m", "loops_nb", "runs"),
            "tab": lambda: took(user, "-m", "loops_nb", "__complete", "fish", "wait", ""),
            "pandas": lambda: took(user, "-c", "import pandas, httpx"),
            "httpx": lambda: took(user, "-c", "import httpx"),
        }
        if cli is not None:
            truss = cli.with_name("truss")
            ways["cli"] = lambda: took(truss, "loops", "view", "--help")
        for warm_up in ways.values():
            warm_up()
        figures = take_turns(ways, rounds or ROUNDS)
    lines: list[Ratio] = [
        _limit("loops-nb --help", figures["help"], HELP),
        _limit("loops-nb runs", figures["listing"], LISTING),
        compare("loops-nb runs", "import pandas, httpx", figures["listing"], figures["pandas"], invert=True),
        compare("Tab after loops-nb wait", "import httpx", figures["tab"], figures["httpx"], invert=True),
    ]
    if cli is not None:
        peer = f"{CLI[0].split('>')[0]} loops view --help"
        lines.append(compare("loops-nb --help", peer, figures["help"], figures["cli"], goal=">= 1"))
    yield table("Commands in a shell", NOTE, lines)


def _limit(what: str, ours: list[float], limit: float) -> Ratio:
    return compare(what, f"limit of {limit * 1e3:.0f} ms", ours, [limit] * len(ours), goal=">= 1")
