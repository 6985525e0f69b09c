"""``%loops doctor``."""

from __future__ import annotations

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from loops_nb import __version__
from loops_nb.drawing.wording import many, size
from loops_nb.errors import AuthenticationError, LoopsError
from loops_nb.faults import recorded
from loops_nb.magics.connection import ask
from loops_nb.magics.grammar import Verb
from loops_nb.magics.phrases import key_words

if TYPE_CHECKING:
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk

_NEEDED = ("ipython", "ipywidgets", "anywidget", "pandas", "httpcore", "msgspec")
_USUAL = ("ipykernel", "jupyterlab")
_NOT_CONNECTED = "%loops local start (sample data, no key) or %loops login"


def _run(desk: Desk, _values: SimpleNamespace) -> None:
    found = {name: _version(name) for name in (*_NEEDED, *_USUAL)}
    lines = [
        f"loops_nb {__version__}, Python {sys.version.split()[0]} on {sys.platform}",
        f"Kernel's environment: {sys.prefix} ({'a virtual environment' if sys.prefix != sys.base_prefix else 'the base Python'})",
        "Packages there: " + ", ".join(f"{name} {number or _absent(name)}" for name, number in found.items()),
        f"Front end: {_front_end(desk)}",
        f"Settings: {_settings(desk)}",
    ]
    to_fix = _wrong_packages(found)
    service_lines, service_fix = _service(desk)
    panels_line, panels_fix = _panels()
    fault_lines, fault_fix = _faults()
    lines += [*service_lines, panels_line, *fault_lines]
    fix = service_fix if desk.settings.project_error is not None else (to_fix or service_fix or panels_fix or fault_fix)
    lines.append(f"To fix: {fix}" if fix else "Nothing to fix.")
    desk.say("\n".join(lines))


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - slow to import, and only needed here

    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _absent(name: str) -> str:
    # A notebook server may live in an environment of its own.
    return "missing" if name in _NEEDED else "not in this environment"


def _front_end(desk: Desk) -> str:
    kind = type(desk.shell).__name__
    return "a Jupyter kernel" if kind == "ZMQInteractiveShell" else "IPython in a terminal" if kind.startswith("Terminal") else kind


def _settings(desk: Desk) -> str:
    if desk.settings.project_error is not None:
        return desk.settings.project_error.message
    return (
        f"from {desk.settings.project_file}"
        if desk.settings.project_file
        else "the defaults and %config LoopsMagics (no [tool.loops_nb] in a pyproject.toml here)"
    )


def _wrong_packages(found: dict[str, str]) -> str:
    missing = [name for name in _NEEDED if not found[name]]
    if missing:
        return f"install what is missing into the kernel's environment: %pip install {' '.join(missing)}"
    if found["ipykernel"].startswith("7.0."):
        return f"ipykernel {found['ipykernel']} loses updates from threads: %pip install -U ipykernel, then restart the kernel"
    return ""


def _service(desk: Desk) -> tuple[list[str], str]:
    """Return the lines on key, service and local service, and the first thing to fix about them."""
    lines = [_local_line()]
    try:
        target = desk.connection.target()
        if target is None:
            return [*lines, "API key: none", "Connected: nowhere yet"], _NOT_CONNECTED
        lines.append(f"Address: {target.url} ({target.because})")
        loops = desk.loops
        lines.append(f"API key: {key_words(loops)}")
        started = time.perf_counter()
        ask(loops)
    except AuthenticationError as error:
        return [*lines, f"Reachable: yes, but {error.message}"], error.hint
    except LoopsError as error:
        return [*lines, f"Connected: no. {error.message}"], error.hint or "%loops local start, to work without that service meanwhile"
    return [*lines, f"Reachable: yes, answered in {(time.perf_counter() - started) * 1000:.0f} ms"], ""


def _panels() -> tuple[str, str]:
    """Return the line on live panels, and what to fix about them."""
    from loops_nb.panels import open_panels  # noqa: PLC0415
    from loops_nb.panels.bundle import page_code  # noqa: PLC0415

    try:
        code = page_code()
    except LoopsError as error:
        return f"Live panels: {error.message}", error.hint
    return f"Live panels: {len(open_panels())} open; their page code is there ({size(len(code.encode()))})", ""


def _faults() -> tuple[list[str], str]:
    """Return what failed of this package's own code, the newest with its traceback, and what to do about it."""
    found = recorded()
    if not found:
        return [], ""
    counts = Counter((fault.doing, fault.error) for fault in found)
    lines = [f"Fault of loops_nb, while {doing}: {error} ({many(count, 'time')})" for (doing, error), count in counts.items()]
    lines += ["The newest of them:", *(f"    {line}" for line in found[-1].traceback.rstrip().splitlines())]
    return lines, "report the fault of loops_nb above; restarting the kernel gets rid of its consequences"


def _local_line() -> str:
    from loops_nb.local import launcher  # noqa: PLC0415

    try:
        running = launcher.status()
    except LoopsError as error:
        return f"Local service: {error.message}"
    return f"Local service: {running.url} (process {running.pid})" if running is not None else "Local service: not running"


VERB = Verb(
    name="doctor",
    summary="versions, environment, key, address, what is reachable, and the one thing to fix",
    run=_run,
    notes="Changes nothing, and shows no key.",
    examples=("%loops doctor",),
)
