"""``%loops doctor``."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from loops_nb import __version__
from loops_nb.drawing.wording import many, size
from loops_nb.errors import AuthenticationError, LoopsError, one_line
from loops_nb.faults import record, recorded
from loops_nb.magics.connection import ask, shown
from loops_nb.magics.grammar import Verb
from loops_nb.magics.phrases import key_words

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk

_NEEDED = ("ipython", "ipywidgets", "anywidget", "pandas", "httpx", "msgspec")
_USUAL = ("ipykernel", "jupyterlab")
_NOT_CONNECTED = "%loops local start (sample data, no key) or %loops login"
_LOG = logging.getLogger(__name__)


class Found(NamedTuple):
    """What a check found.

    Parameters
    ----------
    lines
        What to say.
    fix
        What to do about it; empty where nothing is wrong.
    """

    lines: list[str]
    fix: str = ""


def _run(desk: Desk, _values: SimpleNamespace) -> None:
    found = {name: _checked(name, check, desk) for name, check in _CHECKS.items()}
    # Settings that cannot be read are in the way of everything else.
    fix = next((found[name].fix for name in ("Settings", *found) if found[name].fix), "")
    lines = [line for part in found.values() for line in part.lines]
    desk.say(_without_key("\n".join([*lines, f"To fix: {fix}" if fix else "Nothing to fix."])))


def _without_key(text: str) -> str:
    """Blot out the API key: the traceback of a fault may quote anything."""
    from loops_nb.credentials import ENV_KEY, Secret, resolve_key  # noqa: PLC0415

    if named := os.environ.get(ENV_KEY, "").strip():
        text = Secret(named).redact(text)
    try:
        found = resolve_key()
    except LoopsError:
        # What cannot be a key was never sent, so it stands nowhere.
        return text
    return text if found is None else found.secret.redact(text)


def _checked(name: str, check: Callable[[Desk], Found], desk: Desk) -> Found:
    """Carry out one check; whatever it raises, the others are still made."""
    try:
        return check(desk)
    except LoopsError as error:
        return Found([f"{name}: could not be checked: {error.message}"], error.hint)
    except Exception as error:  # noqa: BLE001 - told, and logged with its traceback
        fault = record(_LOG, f"checking {name} for %loops doctor", error)
        return Found([f"{name}: could not be checked: {fault.reason}"])


def _environment(_desk: Desk) -> Found:
    place = "a virtual environment" if sys.prefix != sys.base_prefix else "the base Python"
    return Found(
        [f"loops_nb {__version__}, Python {sys.version.split()[0]} on {sys.platform}", f"Kernel's environment: {sys.prefix} ({place})"]
    )


def _packages(_desk: Desk) -> Found:
    found = {name: _version(name) for name in (*_NEEDED, *_USUAL)}
    said = ", ".join(f"{name} {number or _absent(name)}" for name, number in found.items())
    return Found([f"Packages there: {said}"], _wrong_packages(found))


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow to import, and only needed here

    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _absent(name: str) -> str:
    # A notebook server may live in an environment of its own.
    return "missing" if name in _NEEDED else "not in this environment"


def _front_end(desk: Desk) -> Found:
    kind = type(desk.shell).__name__
    name = "a Jupyter kernel" if kind == "ZMQInteractiveShell" else "IPython in a terminal" if kind.startswith("Terminal") else kind
    return Found([f"Front end: {name}"])


def _settings(desk: Desk) -> Found:
    if desk.settings.project_error is not None:
        # It may have been corrected.
        desk.settings.read_project()
    error = desk.settings.project_error
    if error is not None:
        return Found([f"Settings: {error.message}"], error.hint)
    where = (
        f"from {desk.settings.project_file}"
        if desk.settings.project_file
        else "the defaults and %config LoopsMagics (no [tool.loops_nb] in a pyproject.toml here)"
    )
    return Found([f"Settings: {where}"])


def _wrong_packages(found: dict[str, str]) -> str:
    missing = [name for name in _NEEDED if not found[name]]
    if missing:
        return f"install what is missing into the kernel's environment: %pip install {' '.join(missing)}"
    if found["ipykernel"].startswith("7.0."):
        return f"ipykernel {found['ipykernel']} loses updates from threads: %pip install -U ipykernel, then restart the kernel"
    return ""


def _local(_desk: Desk) -> Found:
    from loops_nb.local import launcher  # noqa: PLC0415

    running = launcher.status()
    return Found(
        [f"Local service: {running.url} (process {running.pid})" if running is not None else "Local service: not running"],
    )


def _network(_desk: Desk) -> Found:
    """Say which variables of the environment decide over the network, and whether the certificates can be loaded."""
    from loops_nb.config.network import ssl_context, variables_in_use  # noqa: PLC0415

    lines = [f"Network: {one_line(', '.join(variables), limit=500)}"] if (variables := variables_in_use()) else []
    if any(variable.startswith("SSL") for variable in variables):
        ssl_context()
    return Found(lines)


def _service(desk: Desk) -> Found:
    """Return the lines on address and key, and whether the service answers."""
    lines: list[str] = []
    try:
        target = desk.connection.target()
        if target is None:
            return Found(["API key: none", "Connected: nowhere yet"], _NOT_CONNECTED)
        lines.append(f"Address: {shown(target.url)} ({target.because})")
        loops = desk.loops
        lines.append(f"API key: {key_words(loops)}")
        started = time.perf_counter()
        ask(loops)
    except AuthenticationError as error:
        return Found([*lines, f"Reachable: yes, but {error.message}"], "the service refuses the key: %loops login with a new one")
    except LoopsError as error:
        fix = error.hint or "%loops local start, to work without that service meanwhile"
        return Found([*lines, f"Connected: no. {error.message}"], fix)
    return Found([*lines, f"Reachable: yes, answered in {(time.perf_counter() - started) * 1000:.0f} ms"])


def _panels(_desk: Desk) -> Found:
    from loops_nb.panels import open_panels  # noqa: PLC0415
    from loops_nb.panels.bundle import page_code  # noqa: PLC0415
    from loops_nb.panels.front_end import server  # noqa: PLC0415

    lines = [f"Live panels: {len(open_panels())} open; their page code is there ({size(len(page_code().encode()))})"]
    found = server()
    if found is None:
        return Found([*lines, "Jupyter's environment: cannot be seen from here; panels need anywidget there too"])
    lines.append(f"Jupyter's environment: {found.prefix} ({'with' if found.has_extension else 'without'} anywidget, which draws panels)")
    return Found(lines) if found.has_extension else Found(lines, found.to_install)


def _faults(_desk: Desk) -> Found:
    """Return what failed of this package's own code, the newest with its traceback, and what to do about it."""
    found = recorded()
    if not found:
        return Found([])
    counts = Counter((fault.doing, fault.error) for fault in found)
    lines = [f"Fault of loops_nb, while {doing}: {error} ({many(count, 'time')})" for (doing, error), count in counts.items()]
    lines += ["The newest of them:", *(f"    {line}" for line in found[-1].traceback.rstrip().splitlines())]
    return Found(lines, "report the fault of loops_nb above; restarting the kernel gets rid of its consequences")


_CHECKS: dict[str, Callable[[Desk], Found]] = {
    "Environment": _environment,
    "Packages": _packages,
    "Front end": _front_end,
    "Settings": _settings,
    "Local service": _local,
    "Network": _network,
    "Service": _service,
    "Live panels": _panels,
    "Faults": _faults,
}


VERB = Verb(
    name="doctor",
    summary="versions, environment, key, address, what is reachable, and the one thing to fix",
    run=_run,
    notes="Changes nothing, and shows no key.",
    examples=("%loops doctor",),
)
