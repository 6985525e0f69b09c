"""Programs that the downloads are compared with: nginx, aria2c, curl and cp; installed on Debian where possible."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

_PACKAGES = {"nginx": "nginx-light", "aria2c": "aria2", "curl": "curl", "cp": "coreutils"}
#: Where Debian, Fedora and Alpine keep nginx' modules.
_MODULES = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules")
_ECHO = "ngx_http_echo_module.so"


class MissingToolsError(Exception):
    """What is missing, and how to get it."""


class Tools(NamedTuple):
    """Paths of the programs, and of the module that lets nginx wait before it answers."""

    nginx: str
    aria2c: str
    curl: str
    cp: str
    echo_module: str


def tools() -> Tools:
    """Return the programs, installed if need be.

    Raises
    ------
    MissingToolsError
        If some are missing and cannot be installed.
    """
    if sys.platform != "linux":
        raise MissingToolsError("Downloads are measured on Linux only: memory is read from /proc.")
    if _missing():
        _install(_missing())
    if missing := _missing():
        raise MissingToolsError(
            f"Missing: {', '.join(missing)}. On Debian, as root: apt-get install {' '.join(_packages(missing))}."
        )
    return Tools(**{name: str(_find(name)) for name in _PACKAGES}, echo_module=str(_echo()))


def _missing() -> list[str]:
    found = [name for name in _PACKAGES if _find(name) is None]
    return found if found or _echo() else [f"nginx' module {_ECHO}"]


def _find(name: str) -> str | None:
    # Not on every user's path.
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin:/usr/local/sbin")


def _echo() -> Path | None:
    return next((Path(folder, _ECHO) for folder in _MODULES if Path(folder, _ECHO).exists()), None)


def _packages(missing: list[str]) -> list[str]:
    return [_PACKAGES.get(name, "libnginx-mod-http-echo") for name in missing]


def _install(missing: list[str]) -> None:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    # Run level 1 keeps Debian's packages from starting a server of their own.
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    print(f"installing {', '.join(_packages(missing))}", file=sys.stderr)
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *_packages(missing)]):
        # Without one of its lists, apt-get may still find what it needs.
        done = subprocess.run(["apt-get", *command], env=quiet, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingToolsError(
            f"apt-get could not install {', '.join(_packages(missing))}: {done.stderr.strip()[-300:]}"
        )
