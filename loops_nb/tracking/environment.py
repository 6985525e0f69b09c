"""What a process runs in: git commit, package versions, host, Python and command line; never environment variables.

The thread that writes captures it, so that code that trains does not wait for it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import re
import subprocess  # imported here, on the thread of the caller: a fork must not find an import half done
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any

from loops_nb.config.current import current_setting
from loops_nb.config.redaction import redact_command
from loops_nb.errors import ConfigError
from loops_nb.tracking.params import kept_params
from loops_nb.tracking.warn import warn

logger: logging.Logger = logging.getLogger(__name__)
#: Longest time that git is waited for.
GIT_SECONDS = 1.0
#: What git said is used again for so long, for experiments that begin one after the other.
_GIT_AGE_SECONDS = 5.0
_KILLED_SECONDS = 0.2
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
# The command line of a notebook's kernel names only its connection file.
_KERNELS = frozenset({"ipykernel_launcher.py", "colab_kernel_launcher.py"})
_MOST_ENTRIES = 50_000
_LONGEST_LIST = 1 << 16
_DISTRIBUTION = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)(?:-py\d[\d.]*)?\.(?:dist|egg)-info")
_SEPARATORS = re.compile(r"[-_.]+")


class EnvironmentCapture:
    """The environment of the begin of an experiment; captured at the first call of `content`.

    Parameters
    ----------
    folder : str
        Working folder.
    argv : iterable of object
        Command line.
    """

    __slots__ = ("_argv", "_content", "_folder")

    def __init__(self, folder: str, argv: Iterable[object]) -> None:
        self._folder = folder
        self._argv = [str(word) for word in argv]
        self._content = ""

    def content(self) -> str:
        """Return the environment as JSON; never raises."""
        if not self._content:
            try:
                found = capture(self._folder, self._argv)
            except Exception:
                logger.exception("The environment of an experiment could not be captured.")
                found = {}
            self._content = kept_params(found)
        return self._content


def begin_capture() -> EnvironmentCapture | None:
    """Return the capture of the environment of now; None if the setting ``capture_environment`` is off."""
    try:
        if not current_setting("capture_environment"):
            return None
    except ConfigError as error:
        # The file may turn it off.
        warn(f"The environment of this experiment is not recorded: {error}", stacklevel=3)
        return None
    try:
        folder = str(Path.cwd())
    except OSError:
        # The working folder was deleted.
        folder = ""
    return EnvironmentCapture(folder, getattr(sys, "argv", None) or ())


def capture(folder: str, argv: list[str]) -> dict[str, Any]:
    """Return the environment of this process.

    Parameters
    ----------
    folder : str
        Working folder, to find the git repository; empty for none.
    argv : list of str
        Command line; what looks like a key in it is left out.

    Returns
    -------
    dict
        ``git`` (``commit``, ``branch`` and ``dirty``, whether tracked files were changed; each left out if unknown),
        ``python``, ``host``, ``argv`` and ``packages``, the versions of imported distributions by name.

    Examples
    --------
    >>> capture("", ["train.py", "--token=abc"])["argv"]
    ['train.py', '--token=<not kept>']
    """
    found: dict[str, Any] = {}
    git = _git(folder) if folder else {}
    if git:
        found["git"] = git
    found["python"] = platform.python_version()
    found["host"] = platform.node()
    if argv and Path(argv[0]).name not in _KERNELS:
        found["argv"] = redact_command(argv)
    found["packages"] = _packages()
    return found


# Git


_git_found: dict[str, tuple[float, dict[str, Any]]] = {}


def _git(folder: str) -> dict[str, Any]:
    known = _git_found.get(folder)
    if known is not None and monotonic() - known[0] < _GIT_AGE_SECONDS:
        return known[1]
    found: dict[str, Any] = {}
    git_folder = _git_folder(Path(folder))
    if git_folder is not None:
        # Without git, or if it is too slow, the commit is read from its files.
        found = _status(folder) or _head(git_folder)
    _git_found[folder] = monotonic(), found
    return found


def _git_folder(folder: Path) -> Path | None:
    for place in (folder, *folder.parents):
        entry = place / ".git"
        if entry.is_dir():
            return entry
        if entry.is_file():
            # A work tree beside the repository, or a submodule.
            text = entry.read_text("utf-8", "replace").strip()
            return place / text.removeprefix("gitdir:").strip() if text.startswith("gitdir:") else None
    return None


def _status(folder: str) -> dict[str, Any]:
    """Return what git says about a work tree; empty if it says nothing in time."""
    command = ["git", "-C", folder, "--no-optional-locks", "-c", "core.fsmonitor=false", "status", "--porcelain=v2"]
    command += ["--branch", "--untracked-files=no", "--ignore-submodules=dirty"]
    try:
        # A session of its own: Ctrl-C is for the training, not for git.
        process = subprocess.Popen(  # noqa: S603 - no shell, and no word of it from outside but the folder
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, RuntimeError):
        # Not installed; or the interpreter is ending.
        return {}
    try:
        output = process.communicate(timeout=GIT_SECONDS)[0]
    except (OSError, subprocess.SubprocessError):
        process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_KILLED_SECONDS)
        if process.stdout is not None:
            process.stdout.close()
        return {}
    if process.returncode:
        return {}
    return _read_status(output.decode("utf-8", "replace").splitlines())


def _read_status(lines: list[str]) -> dict[str, Any]:
    head = {
        name: value
        for name, _, value in (line.removeprefix("# ").partition(" ") for line in lines if line.startswith("# "))
    }
    found: dict[str, Any] = {}
    if _COMMIT.fullmatch(head.get("branch.oid", "")):
        found["commit"] = head["branch.oid"]
    if head.get("branch.head", "(").startswith("(") is False:
        found["branch"] = head["branch.head"]
    if found:
        found["dirty"] = any(not line.startswith("#") for line in lines)
    return found


def _head(git_folder: Path) -> dict[str, Any]:
    """Return commit and branch from the files of a repository."""
    try:
        head = (git_folder / "HEAD").read_text("ascii").strip()
        if not head.startswith("ref: "):
            return {"commit": head} if _COMMIT.fullmatch(head) else {}
        name = head.removeprefix("ref: ")
        common = git_folder
        with contextlib.suppress(OSError):
            common = git_folder / (git_folder / "commondir").read_text("utf-8").strip()
        commit = _commit_of(name, (git_folder, common))
    except (OSError, ValueError):
        return {}
    found = {} if commit is None else {"commit": commit}
    return found | {"branch": name.removeprefix("refs/heads/")}


def _commit_of(name: str, folders: Iterable[Path]) -> str | None:
    for folder in folders:
        with contextlib.suppress(OSError):
            text = (folder / name).read_text("ascii").strip()
            if _COMMIT.fullmatch(text):
                return text
        with contextlib.suppress(OSError), (folder / "packed-refs").open(encoding="utf-8") as file:
            for line in file:
                commit, _, ref = line.strip().partition(" ")
                if ref == name and _COMMIT.fullmatch(commit):
                    return commit
    return None


# Packages


class _Distribution:
    """An installed distribution, by the name of the folder of its metadata."""

    __slots__ = ("_modules", "folder", "name", "version")

    def __init__(self, folder: str, name: str, version: str) -> None:
        self.folder, self.name, self.version = folder, name, version
        self._modules: frozenset[str] | None = None

    @property
    def modules(self) -> frozenset[str]:
        """The names that it can be imported by, from the small files among its metadata."""
        if self._modules is None:
            self._modules = frozenset(_module_names(Path(self.folder)))
        return self._modules


_installed_in: dict[str, list[_Distribution]] = {}
_versions_of: dict[frozenset[str], dict[str, str]] = {}


def _packages() -> dict[str, str]:
    """Return the versions of the distributions that are imported, by name."""
    modules = sys.modules.copy()
    names = frozenset(name for name in modules if "." not in name) - sys.stdlib_module_names
    wanted = frozenset(name for name in names if not name.startswith("_"))
    if wanted not in _versions_of:
        _versions_of[wanted] = _versions(wanted, modules)
    return _versions_of[wanted]


def _versions(wanted: frozenset[str], modules: dict[str, Any]) -> dict[str, str]:
    installed: dict[str, _Distribution] = {}
    for folder in sys.path:
        for distribution in _distributions(folder):
            installed.setdefault(distribution.name, distribution)
    found: dict[str, str] = {}
    unknown: set[str] = set()
    for name in wanted:
        known = installed.get(_normalized(name))
        if known is None:
            unknown.add(name)
        else:
            found[known.name] = known.version
    # Those that are imported by another name than they are installed by: sklearn of scikit-learn.
    for name, distribution in installed.items():
        if unknown and name not in found and not unknown.isdisjoint(distribution.modules):
            found[name] = distribution.version
            unknown -= distribution.modules
    for name in unknown:
        # Not by `getattr`, which may import more or warn.
        version = getattr(modules[name], "__dict__", {}).get("__version__")
        if isinstance(version, str) and version:
            found[name] = version[:100]
    return dict(sorted(found.items()))


def _distributions(folder: str) -> list[_Distribution]:
    if not folder:
        # The working folder of an interactive interpreter.
        return []
    if folder not in _installed_in:
        _installed_in[folder] = list(_scan(folder))
    return _installed_in[folder]


def _scan(folder: str) -> Iterator[_Distribution]:
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, _MOST_ENTRIES):
                if entry.name.endswith("-info") and (found := _DISTRIBUTION.fullmatch(entry.name)):
                    yield _Distribution(entry.path, _normalized(found["name"]), found["version"])
    except OSError:
        # An archive, or nothing.
        return


def _normalized(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()


def _module_names(folder: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        yield from (folder / "top_level.txt").read_text("utf-8", "replace").split()
        return
    with contextlib.suppress(OSError), (folder / "RECORD").open(encoding="utf-8", errors="replace") as file:
        for line in file.read(_LONGEST_LIST).splitlines():
            top, _, rest = line.partition(",")[0].partition("/")
            if rest or top.endswith(".py"):
                yield top.removesuffix(".py")
