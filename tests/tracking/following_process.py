"""A process that follows a request log without end: ``python -m tests.tracking.following_process FILE``.

It prints the offset that is written so far.
"""

from __future__ import annotations

import sys
from pathlib import Path

from loops_nb.tracking.request_log import RequestLog


def main() -> None:
    log = RequestLog(Path(sys.argv[1]))
    while True:
        log.read()
        if log.flush():
            print(log.offset, flush=True)  # noqa: T201 - the test that started it counts


if __name__ == "__main__":
    main()
