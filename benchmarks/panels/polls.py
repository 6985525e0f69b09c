"""What one look costs with a thousand runs watched: bytes to the page, and time in the kernel."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.panels.jupyterlab import KEY, MEASURED, asked, service
from benchmarks.rounds import figures_table, judge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.panels.jupyterlab import JupyterLab
    from tests.browser.notebook import Notebook

RUNS = 1000
LOOKS = 40
INTERVAL = 0.25
#: The naive panel with one GET a run needs seconds for a look.
_FEW = 3
#: Most bytes of a message, most bytes with everything around it, and most milliseconds.
_TICK, _CHANGE, _TIME = 100, 2000, 5

NOTE = f"""{RUNS:,} runs in a panel in JupyterLab, {{looks}} looks each. Bytes: of the panel's own message, and, a look,
of the whole WebSocket frames that reach the page (Jupyter's envelope is most of a small one). Kernel time: CPU of the
thread that decodes, compares, composes and sends; and of the whole process, which also receives four listings over HTTP
({{size:.2f}} MB for the runs), less what an idle kernel costs. Peers: an anywidget that re-sends all rows as a trait
when any differs, with one listing a look, and with one GET a run; all their work counts. Ratios: their process time by
ours."""
_HEAD = (
    "a look in which",
    "message, frames",
    "goal",
    "",
    "kernel: writer",
    "goal",
    "",
    "kernel: process",
    "peer: listing, all rows",
    "peer: one GET a run",
    "ratios",
)


class Cost(NamedTuple):
    """Cost of a poll: bytes of the message and of the frames, and CPU seconds of the sending thread and the process."""

    message: float
    frames: float
    writer: float
    process: float


def run(lab: JupyterLab, looks: int) -> str:
    """Measure and return the table."""
    changed: dict[str, dict[str, int | str]] = {
        "nothing changed": {"each_look": 0},
        "one sampler of 1,000 wakes": {"each_look": 1},
        "one run of 1,000 ends": {"each_look": 1, "what": "ends"},
    }
    rows: list[tuple[str, ...]] = []
    size = 0
    with service() as served:
        served.pretend(runs=RUNS)
        size = served.size()
        cell = (
            f"import loops_nb\nidle = kernel_probe.idle(3)\npanel = "
            f"loops_nb.Loops().runs.watch(interval={INTERVAL})\npanel"
        )
        with lab.notebook(served, MEASURED + cell) as (notebook, frames):
            notebook.run(0)
            notebook.page.locator(".loops-nb-live tr[data-id]").first.wait_for(state="attached")
            asked(notebook, f"kernel_probe.cost({round(2 / INTERVAL)}, idle=idle)")
            ours = {}
            for what, how in changed.items():
                served.pretend(**how)
                ours[what] = _cost(notebook, frames, looks, "idle=idle, poller=panel._poller")
    theirs = {way: _naive(lab, looks if way == "listing" else _FEW, way) for way in ("listing", "single")}
    for what, cost in ours.items():
        still = what == "nothing changed"
        peers = {way: found[0 if still else 1] for way, found in theirs.items()}
        rows.append(
            (
                what,
                f"{_bytes(cost.message)}, {_bytes(cost.frames)}",
                f"message < {_TICK} B" if still else f"frames < {_CHANGE / 1e3:g} kB",
                judge(cost.message, _TICK) if still else judge(cost.frames, _CHANGE),
                _ms(cost.writer),
                f"< {_TIME} ms",
                judge(cost.writer * 1e3, _TIME),
                _ms(cost.process),
                f"{_bytes(peers['listing'].frames)}, {_ms(peers['listing'].process)}",
                f"{_bytes(peers['single'].frames)}, {_ms(peers['single'].process)}",
                f"**{peers['listing'].process / cost.process:.1f}**, **{peers['single'].process / cost.process:.0f}**",
            )
        )
    return figures_table("What a look costs", NOTE.format(looks=looks, size=size / 1e6).replace("\n", " "), _HEAD, rows)


def _naive(lab: JupyterLab, looks: int, way: str) -> tuple[Cost, Cost]:
    ids = [f"run{row:04d}" for row in range(RUNS)] if way == "single" else None
    with service() as served:
        served.pretend(runs=RUNS)
        cell = (
            f"idle = kernel_probe.idle(3)\npanel = kernel_probe.NaivePanel({served.url!r}, {KEY!r}, {ids!r}, "
            f"{INTERVAL})\npanel"
        )
        with lab.notebook(served, MEASURED + cell) as (notebook, frames):
            notebook.run(0)
            notebook.page.locator(".naive-live tr[data-id]").first.wait_for(state="attached")
            still = _cost(notebook, frames, looks, "idle=idle")
            served.pretend(each_look=1)
            return still, _cost(notebook, frames, looks, "idle=idle")


def _cost(notebook: Notebook, frames: list[bytes], looks: int, how: str) -> Cost:
    frames.clear()
    found: dict[str, float] = asked(notebook, f"kernel_probe.cost({looks}, {how})")
    sent = list(_updates(frames))
    return Cost(
        sum(message for message, _ in sent) / len(sent) if sent else 0.0,
        sum(frame for _, frame in sent) / found["looks"],
        found["writer"],
        found["process"],
    )


def _updates(frames: Iterable[bytes]) -> Iterable[tuple[int, int]]:
    """Find the messages of widgets among frames, and give the length of what a widget said and of its frame."""
    for frame in frames:
        # Eight bytes say how many offsets follow; between these are channel, header, parent's header, metadata and
        # content.
        count = int.from_bytes(frame[:8], "little")
        offsets = [int.from_bytes(frame[8 * i : 8 * i + 8], "little") for i in range(1, count + 1)]
        parts = [frame[start:end] for start, end in pairwise(offsets)]
        if json.loads(parts[1])["msg_type"] != "comm_msg":
            continue
        data: dict[str, Any] = json.loads(parts[4])["data"]
        said = data.get("content") or data.get("state")
        if said:
            yield len(json.dumps(said, separators=(",", ":"))), len(frame)


def _bytes(count: float) -> str:
    return f"{count:.0f} B" if count < 1000 else f"{count / 1e3:.3g} kB"


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.2g} ms" if seconds < 1 else f"{seconds:.2g} s"
