"""Records while the server of NFS is stopped and started again: ``python -m tests.nfs.server_restart FOLDER``."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from pathlib import Path

from loops_nb import experiment
from loops_nb.tracking import ExperimentStore

_START = ["rpc.nfsd", "-G", "10", "-L", "10", "-N", "3", "-V", "4", "-U", "4", "8"]
_AWAY_SECONDS = 4.0


def main(folder: Path) -> None:
    # A server that is away for a while is no reason to warn.
    warnings.simplefilter("error")
    exp = experiment("restart", path=folder / "restart.sqlite")
    step = 0

    def log_for(seconds: float) -> None:
        nonlocal step
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            exp.log(step=step, loss=float(step))
            step += 1
            time.sleep(0.01)

    log_for(1)
    subprocess.run(["rpc.nfsd", "0"], check=True)
    log_for(_AWAY_SECONDS)
    assert not exp.trouble
    subprocess.run(_START, check=True)
    log_for(1)
    assert exp.flush()
    with ExperimentStore(folder / "restart.sqlite") as store:
        assert store.series(exp.id, "loss").step.tolist() == list(range(step))
    print(f"{step} values, of which those of {_AWAY_SECONDS:.0f} seconds waited for the server")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]))
