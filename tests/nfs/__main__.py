"""Run the tests of two machines on NFS, and stop its server meanwhile: ``python -m tests.nfs``.

It needs root, since a Linux in user mode mounts what its user may mount.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.other_pythons import ROOT

_PROGRAMS = {
    "linux.uml": "user-mode-linux",
    "rpc.nfsd": "nfs-kernel-server",
    "mount.nfs4": "nfs-common",
    "modprobe": "kmod",
    "ip": "iproute2",
}
_SECONDS = 300
_TESTS = "tests/tracking/test_journal.py"


def main() -> int:
    """Boot, print what the tests print, and return 0 if all passed or the machine lacks something."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [package for program, package in _PROGRAMS.items() if shutil.which(program, path=path) is None]
    modules = Path("/usr/lib/uml/modules")
    if missing or not modules.is_dir() or os.geteuid():
        needed = f"the packages {' '.join(missing)}" if missing else "the modules of user-mode-linux, and root"
        print(f"NFS is not tested: it needs {needed} (of Debian)")  # noqa: T201 - a command
        return 0
    with tempfile.TemporaryDirectory(prefix="loops-nb-nfs-") as made:
        folder = Path(made)
        (folder / "lib").mkdir()
        (folder / "lib" / "modules").symlink_to(modules)
        commands = folder / "commands.sh"
        python = shlex.quote(sys.executable)
        commands.write_text(
            f"set -e\ncd {shlex.quote(str(ROOT))}\n"
            f"{python} -m pytest -q -p no:cacheprovider {_TESTS} -k two_machines\n"
            f"{python} -m tests.nfs.server_restart /mnt/one\n"
        )
        boot = [
            *("linux.uml", "mem=1024M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet"),
            *("con=null", "con0=null,fd:1", f"init={ROOT / 'tests' / 'nfs' / 'boot.sh'}"),
            # The kernel hands them to its first process.
            *(f"LOOPS_NB_TEST_COMMANDS={commands}", f"LOOPS_NB_TEST_MODULES={folder}"),
        ]
        done = subprocess.run(
            boot, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    said, _, result = (done.stdout.partition("BOOTED")[2] or done.stdout).partition("RESULT ")
    print(said.strip())  # noqa: T201 - a command
    return 0 if result.split()[:1] == ["0"] else 1


if __name__ == "__main__":
    sys.exit(main())
