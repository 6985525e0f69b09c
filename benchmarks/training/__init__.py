"""A step of the local trainer against the same step in PyTorch on the CPU, with the same numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.peers import ROOT, torch_python
from benchmarks.rounds import Ratio, compare, judge, table
from loops_nb.local.workers.process import WORKER_ENVIRONMENT

RANK = 16
#: Largest relative distance that rounding to 32 bits explains.
TOLERANCE = {"gradient": 1e-5, "loss": 1e-5, "weights": 1e-5}
STEP_LIMIT = 0.040
MEMORY_LIMIT = 150e6
_MEMORY = """
from loops_nb.local.nn.learner import Learner
row = list(range(129))
datum = {"model_input": {"chunks": [{"type": "encoded_text", "tokens": row[:-1]}]},
         "loss_fn_inputs": {"target_tokens": {"data": row[1:], "dtype": "int64", "shape": [128]}}}
model = Learner(base_model="loops-local/tiny", lora_rank=16)
for _ in range(5):
    model.forward([datum] * 4, loss_fn="cross_entropy", backward=True)
    model.optim_step(None)
print(int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024)
"""
NOTE = """forward_backward and optim_step of 4 x 128 random bytes at rank 16; the fastest of ten steps a round.  Ours
starts from the JSON of a request and ends at that of its result; PyTorch starts from tensors.  `thin` applies the two
matrices of an adapter one after the other, as PEFT does, `merged` adds their product to the frozen matrix first, as
ours does.  Both have the number of threads that is named; the local service gives a trainer one, because matrices
this small gain little from more."""


def run(rounds: int | None = None) -> Iterator[str]:
    """Yield the tables."""
    # The workers load this package too, without what a service needs.
    from benchmarks.training import listing

    python = torch_python()
    if python is None:
        yield "## training\n\nNo environment with PyTorch can be made here.\n"
        return
    lines: list[Ratio] = []
    distances: list[str] = []
    for size, threads in (("loops-local/tiny", 1), ("loops-local/tiny", 2), ("loops-local/small", 1)):
        if threads > (os.cpu_count() or 1):
            continue
        measured = _measure(str(python), size, threads, rounds or 9)
        what = f"{size}, {threads} thread{'s' if threads > 1 else ''}"
        in_goal = (size, threads) == ("loops-local/tiny", 1)
        peers = ("thin", "merged")
        lines.extend(compare(what, f"PyTorch, {peer}", measured["ours"], measured[peer]) for peer in peers)
        if in_goal:
            limit = [STEP_LIMIT] * len(measured["ours"])
            lines.append(compare(what, f"{STEP_LIMIT * 1e3:.0f} ms", measured["ours"], limit, goal=">= 1"))
        if threads == 1:
            distances.extend(_distances(size, measured["apart"]))
    if sys.platform == "linux":
        memory = [float(_ran([sys.executable, "-c", _MEMORY], 1)) for _ in range(3)]
        lines.append(
            compare(
                "peak memory of a process that trains", "150 MB", memory, [MEMORY_LIMIT] * 3, goal=">= 1", unit="MB"
            )
        )
    yield table("training: a step", NOTE, lines)
    head = "| what | relative distance | goal | |\n|---|---|---|---|"
    yield "\n".join(["## training: the same numbers as PyTorch", "", head, *distances, ""])
    yield from listing.run(rounds)


def _measure(python: str, size: str, threads: int, rounds: int) -> dict[str, Any]:
    command = [python, "-m", "benchmarks.training.worker", "--size", size, "--rank", str(RANK)]
    found: dict[str, Any] = json.loads(_ran([*command, "--threads", str(threads), "--rounds", str(rounds)], threads))
    return found


def _distances(size: str, apart: dict[str, float]) -> Iterator[str]:
    named = {
        "gradient": "gradient of the first step, the worst tensor",
        "loss": "loss over 20 steps",
        "weights": "weights after 20 steps",
    }
    for what, distance in apart.items():
        verdict = judge(distance, TOLERANCE[what])
        yield f"| {size}: {named[what]} | {distance:.1e} | < {TOLERANCE[what]:.0e} | {verdict} |"


def _ran(command: list[str], threads: int) -> str:
    settings = {
        name: str(threads) if name.endswith("_THREADS") else value for name, value in WORKER_ENVIRONMENT.items()
    }
    ran = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **settings}, check=True, stdout=subprocess.PIPE, text=True
    )
    return ran.stdout
