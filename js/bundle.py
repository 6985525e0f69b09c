"""Builds the page code of the panels with npm, unless it is there and newer than its sources.

``python js/bundle.py`` does it by hand; building the package does it by itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
STATIC = HERE.parent / "loops_nb" / "static"
BUNDLE = STATIC / "panels.js"
_OTHERS = ("curves.js", "dashboard.js", "experiments.js", "samples.js", "logs.js")
BUNDLES = (BUNDLE, *(STATIC / name for name in _OTHERS))
#: The licences of the packages in the bundles, which have to go with every copy.
NOTICES = STATIC / "THIRD-PARTY-NOTICES.txt"
_SETTINGS = ("package.json", "package-lock.json", "build.mjs", "tsconfig.json")


def is_fresh() -> bool:
    """Tell whether the bundles are there, and not older than what they are made of."""
    if not _are_there():
        return False
    made_of = [HERE / name for name in _SETTINGS] + [path for path in (HERE / "src").rglob("*") if path.is_file()]
    made = min(bundle.stat().st_mtime for bundle in BUNDLES)
    return all(path.stat().st_mtime <= made for path in made_of if path.exists())


def build() -> None:
    """Build the bundles if that is needed.

    Raises
    ------
    SystemExit
        If they cannot be built and are not there.
    """
    if is_fresh():
        return
    npm = shutil.which("npm")
    if npm is None:
        if _are_there():
            # An archive that was unpacked with new times, on a machine without Node: what was shipped is good.
            return
        raise SystemExit(
            "loops_nb needs Node 20 or newer with npm to build the page code of its panels, and npm is not on the path."
        )
    # The environment is copied: another thread may change it while the process starts.
    environment = dict(os.environ)
    if not _is_installed():
        # Three packages; what only the tests need is not asked for.
        _run([npm, "ci", "--omit=dev", "--loglevel=error"], environment)
    _run([npm, "run", "--silent", "build"], environment)
    # A build that came to the same bytes may have left the old time.
    for bundle in BUNDLES:
        os.utime(bundle)


def _are_there() -> bool:
    return all(made.exists() for made in (*BUNDLES, NOTICES))


def _is_installed() -> bool:
    mark, lock = HERE / "node_modules" / ".package-lock.json", HERE / "package-lock.json"
    return mark.exists() and lock.exists() and mark.stat().st_mtime >= lock.stat().st_mtime


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=HERE, env=environment, check=False, capture_output=True, text=True)  # noqa: S603 - our own command
    if done.returncode:
        raise SystemExit(f"{' '.join(command[1:])} failed in {HERE.name}/:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    build()
    for built in BUNDLES:
        sys.stdout.write(f"{built.relative_to(HERE.parent)}: {built.stat().st_size / 1000:.1f} kB\n")
