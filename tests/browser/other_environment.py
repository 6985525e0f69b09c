"""An environment beside this one, with some of its distributions: what pip would install there, without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
import venv
from importlib.metadata import Distribution, distribution
from importlib.util import cache_from_source
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


class OtherEnvironment:
    """A virtual environment with an interpreter and packages of its own.

    Parameters
    ----------
    folder
        Where it is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self._installed: set[tuple[str, str]] = set()
        venv.create(folder, symlinks=True)
        self._packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))

    def install(self, text: str) -> None:
        """Install what a requirement names, and what that requires, in the versions that are installed here."""
        requirement = Requirement(text)
        found = distribution(requirement.name)
        for extra in {"", *requirement.extras}:
            wanted = (canonicalize_name(requirement.name), extra)
            if wanted in self._installed:
                continue
            self._installed.add(wanted)
            if not extra:
                self._link_files(found)
            for needed in map(Requirement, found.requires or ()):
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    self.install(str(needed))

    def has(self, module: str) -> bool:
        """Tell whether its interpreter can import a module."""
        code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
        # Isolated: neither the folder nor the variables of the tests are looked at.
        return not subprocess.run([self.python, "-I", "-c", code], check=False).returncode

    def _link_files(self, found: Distribution) -> None:
        for file in found.files or ():
            source = Path(str(found.locate_file(file)))
            # Programs name the interpreter that they were installed for.
            if source.parent.name == "bin" or source.suffix == ".pyc" or not source.exists():
                continue
            target = Path(os.path.normpath(self._packages / file))
            assert target.is_relative_to(self.folder), target
            _link(source, target)
            if source.suffix == ".py" and (compiled := Path(cache_from_source(source))).exists():
                _link(compiled, Path(cache_from_source(target)))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)
