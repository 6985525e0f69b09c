"""``%loops doctor``."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from loops_nb import __version__
from loops_nb.api.states import status_name
from loops_nb.config.time_zone import display_zone
from loops_nb.errors import AuthenticationError, LoopsError, one_line
from loops_nb.faults import record, recorded
from loops_nb.magics.connection import check_connection, redacted_url
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Argument, Values, Verb
from loops_nb.magics.status import key_source_text
from loops_nb.render.formatting import many, moment, size

_REQUIRED = ("ipython", "ipywidgets", "anywidget", "pandas", "httpx", "msgspec")
_OPTIONAL = ("ipykernel", "jupyterlab")
_NOT_CONNECTED = "%loops local start (sample data, no key) or %loops login"
_KERNEL = "Kernel's environment"
_UNKNOWN_SERVER = "Jupyter's environment: not accessible from the kernel; panels need anywidget there too"
_NOT_DRAWN = "pip install anywidget where Jupyter runs, then reload the page"
_RECENT = timedelta(hours=1)
_MOST_ERRORS = 3
_logger = logging.getLogger(__name__)


class CheckResult(NamedTuple):
    """Result of one check.

    Parameters
    ----------
    lines : list of str
        Lines to print.
    fix : str, default ""
        What to do; empty if nothing is wrong.
    """

    lines: list[str]
    fix: str = ""


def _run(context: MagicContext, values: Values) -> None:
    if values.run is not None:
        _diagnose_run(context, values.run)
        return
    found = {name: _checked(name, check, context) for name, check in _CHECKS.items()}
    # Invalid settings prevent everything else, so they are fixed first.
    fix = next((found[name].fix for name in ("Settings", *found) if found[name].fix), "")
    lines = [line for part in found.values() for line in part.lines]
    summary = "Nothing to fix."
    if fix:
        summary = f"To fix: {fix}"
    context.found_problem = bool(fix)
    context.answer(_without_key("\n".join([*lines, summary])))


def _diagnose_run(context: MagicContext, word: str) -> None:
    """Say what a run waits for, or why it failed."""
    zone = display_zone(context.settings.time_zone)
    with context.explain_unknown_id("run", word):
        run = context.loops.runs.get(context.resolve_run_id(word))
        states = context.loops.runs.waiting(run)
        now = datetime.now(UTC)
        found = context.loops.runs.diagnose(run)
    called = f"{one_line(run.name, limit=120)} ({run.id})" if run.name and run.name != run.id else run.id
    lines = [f"Run {called} of {run.base_model or 'an unknown base model'}: {status_name(run) or 'state not told'}."]
    lines += [state.text(moment(state.since, zone) if state.since else "", now) for state in states]
    if found is not None:
        lines.append(found.text(zone))
    elif not states:
        lines.append(f"It has ended and did not fail; %loops logs {run.id} shows the end of its log.")
    elif not any(state.waits_for for state in states):
        lines.append("It waits for nothing.")
    if found is None:
        lines += _recent_errors(context, run.id)
    context.answer("\n".join(lines))


def _recent_errors(context: MagicContext, run_id: str) -> list[str]:
    """Return the last error lines of the last hour: a trainer that ended and was started again is RUNNING."""
    try:
        errors = context.loops.logs.list(run_id, min_level="ERROR", since=_RECENT, limit=_MOST_ERRORS)
    except LoopsError:
        # On shared capacity there are no lines to read.
        return []
    if not errors:
        return []
    texts = [f"  {one_line(line.message, limit=300)}" for line in errors]
    return [f"Errors of its trainer in the last hour (%loops logs {run_id} --level ERROR):", *texts]


def _without_key(text: str) -> str:
    """Redact the API key: a traceback can contain anything."""
    from loops_nb.config.credentials import ENV_KEY, Secret, resolve_key

    if named := os.environ.get(ENV_KEY, "").strip():
        text = Secret(named).redact(text)
    try:
        found = resolve_key()
    except LoopsError:
        # An invalid key was never sent, so no text contains it.
        return text
    if found is None:
        return text
    return found.secret.redact(text)


def _checked(name: str, check: Callable[[MagicContext], CheckResult], context: MagicContext) -> CheckResult:
    """Run one check; if it raises, the other checks still run."""
    try:
        return check(context)
    except LoopsError as error:
        return CheckResult([f"{name}: could not be checked: {error.message}"], error.hint)
    except Exception as error:  # noqa: BLE001 - reported, and logged with its traceback
        fault = record(_logger, f"checking {name} for %loops doctor", error)
        return CheckResult([f"{name}: could not be checked: {fault.reason}"])


def _environment(context: MagicContext) -> CheckResult:
    place = "a virtual environment" if sys.prefix != sys.base_prefix else "the base Python"
    return CheckResult(
        [
            f"loops_nb {__version__}, Python {sys.version.split()[0]} on {sys.platform}",
            f"{'Environment' if context.is_shell else _KERNEL}: {sys.prefix} ({place})",
        ]
    )


def _packages(_context: MagicContext) -> CheckResult:
    found = {name: _version(name) for name in (*_REQUIRED, *_OPTIONAL)}
    versions = ", ".join(f"{name} {version or _absent(name)}" for name, version in found.items())
    return CheckResult([f"Packages: {versions}"], _packages_fix(found))


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and only needed here

    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _absent(name: str) -> str:
    # The notebook server can be installed in another environment.
    return "missing" if name in _REQUIRED else "not in this environment"


def _front_end(context: MagicContext) -> CheckResult:
    if context.is_shell:
        return CheckResult([])
    name = type(context.shell).__name__
    if name == "ZMQInteractiveShell":
        name = "a Jupyter kernel"
    elif name.startswith("Terminal"):
        name = "IPython in a terminal"
    return CheckResult([f"Front end: {name}"])


def _settings(context: MagicContext) -> CheckResult:
    if context.settings.project_error is not None:
        # The file may have been corrected since.
        context.settings.read_project()
    error = context.settings.project_error
    if error is not None:
        return CheckResult([f"Settings: {error.message}"], error.hint)
    source = "the defaults and %config LoopsMagics (no [tool.loops_nb] in a pyproject.toml here)"
    if context.is_shell:
        source = "the defaults (no [tool.loops_nb] in a pyproject.toml here)"
    if context.settings.project_file:
        source = f"from {context.settings.project_file}"
    return CheckResult([f"Settings: {source}"])


def _experiments(_context: MagicContext) -> CheckResult:
    """Report the file of experiments, and whether its folder is on a file system that other machines share."""
    import sqlite3  # of the rest, only needed here

    from loops_nb.config.file_systems import file_system_of
    from loops_nb.tracking.journal import write_seconds
    from loops_nb.tracking.location import store_path

    path = store_path()
    team = _team_store(path)
    if team.lines and team.fix:
        return team
    system = file_system_of(path.parent)
    if system.is_local:
        return CheckResult(team.lines or [f"Experiments: {path}"])
    lines = [
        *(team.lines or [f"Experiments: {path}"]),
        f"File system: {system}, which other machines may share: a rollback journal is used in place of SQLite's WAL",
    ]
    if not system.has_shared_locks:
        lines.append("It is mounted without locks between machines: record from one machine at a time")
    if not path.parent.is_dir():
        return CheckResult(lines)
    try:
        lines.append(f"Writing there takes {write_seconds(path.parent) * 1000:.0f} ms")
    except (sqlite3.Error, OSError) as error:
        lines.append(f"Writing there fails: {one_line(str(error))}")
        return CheckResult(lines, "set LOOPS_NB_HOME to a folder on a disk of this machine, and restart the kernel")
    return CheckResult(lines)


_STORE_AWAY = (
    "start the server of the team's store, or correct the address or the network; what is logged until then is sent "
    "afterwards"
)


def _team_store(path: Path) -> CheckResult:
    """Report the store of a team, if one is set, and what waits on this machine for one."""
    from loops_nb.tracking import ExperimentStore
    from loops_nb.tracking.location import store_location
    from loops_nb.tracking.postgres.connection import AWAY_HINT

    location = store_location()
    waiting = _waiting(path)
    if location == path:
        return CheckResult([f"Experiments: {path}", *waiting] if waiting else [])
    lines = [f"Experiments: {location}", *waiting]
    began = time.perf_counter()
    try:
        with ExperimentStore(location, read_only=True) as store:
            store.version()
    except LoopsError as error:
        # That hint sends the reader here.
        hint = None if error.hint == AWAY_HINT else error.hint
        return CheckResult([*lines, f"Store: {error.message}"], hint or _STORE_AWAY)
    return CheckResult([*lines, f"Store: answered in {(time.perf_counter() - began) * 1000:.0f} ms"])


def _waiting(path: Path) -> list[str]:
    if not path.exists():
        return []
    from loops_nb.tracking.outbox import waiting_values
    from loops_nb.tracking.schema import open_store

    file = open_store(path, read_only=True)
    try:
        found = waiting_values(file)
    finally:
        file.close()
    lines = []
    for of in found:
        since = datetime.fromtimestamp(of.since / 1000, UTC).astimezone().isoformat(sep=" ", timespec="seconds")
        lines.append(f"Waiting for {of.store} in {path}: {many(of.size, 'value')}, since {since}")
        if of.refused:
            lines.append(f"Of these {many(of.refused, 'value')} are not taken: {of.reason}")
    return lines


def _creation(_context: MagicContext) -> CheckResult:
    """Report the variables of the SDK that decide where runs and samplers are created."""
    from loops_nb.client.placement import run_placement, sampler_placement
    from loops_nb.config.creation_defaults import VARIABLES, creation_default

    found = {name: value for name in VARIABLES if (value := creation_default(name)) is not None}
    if not found:
        return CheckResult([])
    lines = [f"New runs and samplers: {one_line(', '.join(f'{name}={value}' for name, value in found.items()))}"]
    try:
        run_placement(scope=None, availability_model=None, reuse_from_run_id=None, reuse_from_session_id=None)
        sampler_placement(scope=None, availability_model=None, reuse_from_session_id=None, run_id=None)
    except LoopsError as error:
        return CheckResult(lines, f"correct or unset the variable: {error.message}")
    return CheckResult(lines)


def _packages_fix(found: dict[str, str]) -> str:
    missing = [name for name in _REQUIRED if not found[name]]
    if missing:
        return f"install the missing packages into the kernel's environment: %pip install {' '.join(missing)}"
    if found["ipykernel"].startswith("7.0."):
        return (
            f"ipykernel {found['ipykernel']} loses updates from threads: %pip install -U ipykernel, then restart "
            f"the kernel"
        )
    return ""


def _local(_context: MagicContext) -> CheckResult:
    from loops_nb.local import launcher

    running = launcher.status()
    state = "not running"
    if running is not None:
        state = f"{running.url} (process {running.pid})"
    return CheckResult([f"Local service: {state}"])


def _network(_context: MagicContext) -> CheckResult:
    """Report the environment variables that affect the network, and check that the certificates can be loaded."""
    from loops_nb.config.network import ssl_context, variables_in_use

    variables = variables_in_use()
    lines = []
    if variables:
        lines.append(f"Network: {one_line(', '.join(variables), limit=500)}")
    if any(variable.startswith("SSL") for variable in variables):
        ssl_context()
    return CheckResult(lines)


def _service(context: MagicContext) -> CheckResult:
    """Report address and key, and whether the service responds."""
    lines: list[str] = []
    try:
        target = context.connection.target()
        if target is None:
            return CheckResult(["API key: none", "Connected: not yet"], _NOT_CONNECTED)
        lines.append(f"Address: {redacted_url(target.url)} ({target.because})")
        loops = context.loops
        lines.append(f"API key: {key_source_text(loops)}")
        started = time.perf_counter()
        check_connection(loops)
    except AuthenticationError as error:
        return CheckResult(
            [*lines, f"Reachable: yes, but {error.message}"],
            "the service rejects the key: use %loops login with a new one",
        )
    except LoopsError as error:
        fix = error.hint or "%loops local start, to work without that service"
        return CheckResult([*lines, f"Connected: no. {error.message}"], fix)
    return CheckResult([*lines, f"Reachable: yes, answered in {(time.perf_counter() - started) * 1000:.0f} ms"])


def _panels(context: MagicContext) -> CheckResult:
    if context.is_shell:
        return CheckResult([])
    from loops_nb.panels import open_panels
    from loops_nb.panels.bundle import page_code
    from loops_nb.panels.jupyter_server import server

    panels = open_panels()
    count = f"{len(panels)} open"
    if panels:
        count += f", {sum(panel.is_drawn for panel in panels)} drawn by a page"
    lines = [f"Live panels: {count}; page code {size(len(page_code().encode()))}"]
    found = server()
    if found is None:
        fix = _NOT_DRAWN if any(panel.is_refused for panel in panels) else ""
        return CheckResult([*lines, _UNKNOWN_SERVER], fix)
    if found.lacks:
        return CheckResult([*lines, f"Jupyter's environment: {found.prefix} ({found.lacks})"], found.to_install)
    return CheckResult([*lines, f"Jupyter's environment: {found.prefix} (with anywidget, which panels need)"])


def _faults(_context: MagicContext) -> CheckResult:
    """Report errors in this package's own code, the latest with its traceback."""
    found = recorded()
    if not found:
        return CheckResult([])
    counts = Counter((fault.doing, fault.error) for fault in found)
    lines = [
        f"Bug in loops_nb, while {doing}: {error} ({many(count, 'time')})" for (doing, error), count in counts.items()
    ]
    lines += ["Latest traceback:", *(f"    {line}" for line in found[-1].traceback.rstrip().splitlines())]
    return CheckResult(lines, "report the bug in loops_nb above; restart the kernel to recover from it")


_CHECKS: dict[str, Callable[[MagicContext], CheckResult]] = {
    "Environment": _environment,
    "Packages": _packages,
    "Front end": _front_end,
    "Settings": _settings,
    "Experiments": _experiments,
    "Local service": _local,
    "Network": _network,
    "New runs and samplers": _creation,
    "Service": _service,
    "Live panels": _panels,
    "Faults": _faults,
}


VERB = Verb(
    name="doctor",
    summary="check the connection and the environment, or say what a run waits for and why it failed",
    run=_run,
    arguments=(Argument("run", "RUN", "id or name of a run to look at, in place of the connection", completes="run"),),
    notes="Checks versions, environment, API key, address and connection, and says what to fix. Of a run: the state of"
    " its trainer and its sampler, since when, what they wait for, how long that usually takes here by the logs of"
    " other runs, the last error lines, and what to do. Changes nothing, and never shows the key.",
    examples=("%loops doctor", "%loops doctor p2syas8"),
)
