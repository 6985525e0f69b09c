"""What recording costs a loop of the official SDK, alone: ``python -m benchmarks.tracking``."""

from __future__ import annotations

from benchmarks.rounds import machine
from benchmarks.tracking import overhead

if __name__ == "__main__":
    print(f"{machine()}\n", flush=True)
    for finished in overhead.run():
        print(finished, flush=True)
