"""Installs what browser tests need beside Python packages: Debian's Chromium and Firefox, other versions of ipykernel.

``make test`` calls it; what is there already is left alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

BUILD = Path(__file__).resolve().parents[2] / "build" / "browser"
#: The kernels that panels are tested with, by the name of their kernelspec.
KERNELS = {"ipykernel6": "6.31.0", "ipykernel73": "7.3.0", "ipykernel74": "7.4.0"}
# Without windows of its own, Chromium takes a fifth less processor time for the same pages.
_BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
#: Debian's packages; the first may be missing elsewhere.
_PACKAGES = ("chromium-headless-shell", "chromium")
_APT = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}


class CannotPrepareError(Exception):
    """Something is missing that cannot be installed from here; the text says what the user can do."""


def chromium() -> str | None:
    """Return the path of this machine's Chromium, or None."""
    return next((found for name in _BROWSERS if (found := shutil.which(name))), None)


def firefox() -> str | None:
    """Return the path of Debian's Firefox, or None: a test less where it cannot be installed."""
    return shutil.which("firefox-esr")


def kernel_folder(name: str) -> Path:
    """Return the folder that holds the ipykernel of a kernelspec, for its ``PYTHONPATH``."""
    return BUILD / "kernels" / KERNELS[name]


def missing() -> list[str]:
    """Say what is not there, in words."""
    gone = [] if chromium() else ["Chromium"]
    return gone + [
        f"ipykernel {version}" for name, version in KERNELS.items() if not (kernel_folder(name) / "ipykernel").is_dir()
    ]


def install_chromium() -> None:
    """Install Debian's Chromium; no browser comes from anywhere else.

    Raises
    ------
    CannotPrepareError
        If this machine has no apt-get, or it may not or cannot install.
    """
    manual = "Install Chromium by hand (on Debian, as root: apt-get install chromium) and try again."
    if not shutil.which("apt-get"):
        raise CannotPrepareError(
            f"The tests in a real browser need Chromium, and this machine has no apt-get. {manual}"
        )
    failed = _apt("update")
    if failed:
        raise CannotPrepareError(f"{failed}\n{manual}")
    for package in _PACKAGES:
        failed = _apt("install", "-y", "--no-install-recommends", package)
        if chromium():
            return
    raise CannotPrepareError(f"{failed or 'apt-get installed Chromium, but it is not on the path.'}\n{manual}")


def apt_installed(*packages: str) -> str | None:
    """Install Debian's packages; return why that failed, None if it did not."""
    if not shutil.which("apt-get"):
        return "This machine has no apt-get."
    return _apt("update") or _apt("install", "-y", "--no-install-recommends", *packages)


def _apt(*words: str) -> str | None:
    """Run apt-get; return what it said if it failed."""
    command = ["apt-get", "-qq", *words]
    done = subprocess.run(command, env=_APT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if not done.returncode:
        return None
    said = "\n".join(done.stdout.strip().splitlines()[-5:])
    return f"'{' '.join(command)}' failed:\n{said}"


def install_kernel(name: str) -> None:
    """Unpack a version of ipykernel into a folder of its own; what it imports is that of this environment."""
    folder = kernel_folder(name)
    aside = folder.with_name(folder.name + ".new")
    shutil.rmtree(aside, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--quiet",
        "install",
        "--no-deps",
        "--target",
        str(aside),
    ]
    subprocess.run([*pip, f"ipykernel=={KERNELS[name]}"], check=True)
    # Moved when whole: an interrupted run leaves nothing that looks finished.
    aside.rename(folder)


def main() -> int:
    """Install what is missing."""
    try:
        if not chromium():
            print("Installing Debian's Chromium for the tests in a real browser.", flush=True)
            install_chromium()
    except CannotPrepareError as error:
        print(error, file=sys.stderr)
        return 1
    if not firefox() and (failed := apt_installed("firefox-esr")):
        print(f"No Firefox, so it is not tested: {failed}", flush=True)
    for name in KERNELS:
        if not (kernel_folder(name) / "ipykernel").is_dir():
            install_kernel(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
