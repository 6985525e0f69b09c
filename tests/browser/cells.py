"""Cells that several tests run."""

from __future__ import annotations

from loops_nb.api.models import Run

_CONNECT = "import loops_nb\nloops = loops_nb.Loops()\n"
#: Seconds between two looks, where a test waits for many of them.
QUICK = 0.3


def fleet(*, interval: float | None = QUICK) -> str:
    """Show everything."""
    return f"{_CONNECT}panel = loops.runs.watch(interval={interval})\npanel"


def dashboard() -> str:
    """Show runs, curves and checkpoints together."""
    return f"{_CONNECT}panel = loops.dashboard(interval={QUICK})\npanel"


def one(run: Run, *, interval: float | None = QUICK) -> str:
    """Show a run."""
    return f"{_CONNECT}panel = loops.runs.watch({run.id!r}, interval={interval})\npanel"


#: What a cell does until a file appears that is called like the name in the braces; none gives the kernel's main thread
#: back before that.
BUSY = {
    "sleeping": "import pathlib, time\nwhile not pathlib.Path({!r}).exists():\n    time.sleep(0.05)",
    "computing": "import pathlib\nwhile not pathlib.Path({!r}).exists():\n    sum(n * n for n in range(20_000))",
    "printing": (
        "import pathlib, time\nwhile not pathlib.Path({!r}).exists():\n    print('x' * 60)\n    time.sleep(0.001)"
    ),
}


def busy(kind: str, until: str) -> str:
    """Keep the kernel busy until there is a file of a name, and say so at the end."""
    return BUSY[kind].format(until) + "\nprint('the end')"
