"""The loopback guard refuses every connection to another machine, and lists the attempts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.other_pythons import ROOT
from tests.sdk.loopback_guard import is_here

#: An address of no machine (TEST-NET-1, RFC 5737).
UNASSIGNED = "192.0.2.1"


@pytest.mark.parametrize(
    "target",
    [("127.0.0.1", 80), ("127.8.9.10", 1), ("::1", 80, 0, 0), "localhost", "/tmp/socket", b"", None],
)
def test_loopback_addresses_are_allowed(target: object) -> None:
    assert is_here(target)


@pytest.mark.parametrize(
    "target",
    [(UNASSIGNED, 80), "huggingface.co", ("0.0.0.0", 80), ("2001:db8::1", 443, 0, 0), "localhost.example"],
)
def test_other_addresses_are_refused(target: object) -> None:
    assert not is_here(target)


@pytest.mark.parametrize(
    ("attempt", "noted"),
    [
        (f"socket.create_connection(('{UNASSIGNED}', 80), timeout=5)", f"socket.getaddrinfo '{UNASSIGNED}'"),
        (f"socket.socket().connect(('{UNASSIGNED}', 80))", f"socket.connect ('{UNASSIGNED}', 80)"),
        (
            f"socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('{UNASSIGNED}', 53))",
            f"socket.sendto ('{UNASSIGNED}', 53)",
        ),
        ("socket.getaddrinfo('example.invalid', 443)", "socket.getaddrinfo 'example.invalid'"),
    ],
)
def test_attempts_to_leave_are_refused_and_recorded(tmp_path: Path, attempt: str, noted: str) -> None:
    script = tmp_path / "leaving.py"
    # Libraries swallow such errors and try elsewhere: the run fails all the same.
    script.write_text(f"import contextlib, socket\nwith contextlib.suppress(OSError):\n    {attempt}\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "tests.sdk.run_offline", str(script)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 1
    assert "tried to reach [" in done.stderr
    assert noted in done.stderr
