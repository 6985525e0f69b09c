"""The guard of these tests is a guard: nobody gets past it, and what was tried is known."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.other_pythons import ROOT
from tests.sdk.only_loopback import is_here

#: An address that belongs to nobody, by the internet's own rules.
NOBODY = "192.0.2.1"


@pytest.mark.parametrize("target", [("127.0.0.1", 80), ("127.8.9.10", 1), ("::1", 80, 0, 0), "localhost", "/tmp/socket", b"", None])  # noqa: S108
def test_this_machine_is_here(target: object) -> None:
    assert is_here(target)


@pytest.mark.parametrize("target", [(NOBODY, 80), "huggingface.co", ("0.0.0.0", 80), ("2001:db8::1", 443, 0, 0), "localhost.example"])  # noqa: S104
def test_other_machines_are_not(target: object) -> None:
    assert not is_here(target)


@pytest.mark.parametrize(
    ("attempt", "noted"),
    [
        (f"socket.create_connection(('{NOBODY}', 80), timeout=5)", f"socket.getaddrinfo '{NOBODY}'"),
        (f"socket.socket().connect(('{NOBODY}', 80))", f"socket.connect ('{NOBODY}', 80)"),
        (f"socket.socket(type=socket.SOCK_DGRAM).sendto(b'', ('{NOBODY}', 53))", f"socket.sendto ('{NOBODY}', 53)"),
        ("socket.getaddrinfo('example.invalid', 443)", "socket.getaddrinfo 'example.invalid'"),
    ],
)
def test_whoever_tries_to_leave_is_stopped_and_written_down(tmp_path: Path, attempt: str, noted: str) -> None:
    script = tmp_path / "leaving.py"
    # Libraries swallow such errors and try elsewhere: the run fails all the same.
    script.write_text(f"import contextlib, socket\nwith contextlib.suppress(OSError):\n    {attempt}\n", "utf-8")
    done = subprocess.run([sys.executable, "-m", "tests.sdk.guarded", str(script)], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert "tried to reach [" in done.stderr
    assert noted in done.stderr
