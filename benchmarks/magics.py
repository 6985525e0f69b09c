"""Latency in a running kernel: ``%load_ext loops_nb``, the first and the second ``%loops runs``."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.listing import environment, server
from benchmarks.peers import CLI, ROOT, SDK, cli_python, sdk_python, user_python
from benchmarks.rounds import Ratio, compare, table, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEAVY = ("httpx", "pandas", "numpy", "ipywidgets", "anywidget", "keyring", "starlette", "uvicorn")
ROUNDS = 7
#: The limits, in seconds.
LOAD, SHOWN, FIRST, SECOND, PICTURE = 0.015, 0.2, 0.3, 0.005, 0.6
KERNEL_TIMEOUT = 120
NOTE = (
    "In a real kernel (ipykernel), started for each round, in an environment with our dependencies only; the server "
    "of the listings is on 127.0.0.1. A magic's time is that of the call and of making what is displayed. That of the "
    "first listing is from the cell's request to the message with the table, as a page sees it, and to the end of the "
    "cell, when its DataFrame is there. 'Beyond the network' leaves out a bare GET of the same two listings by a warm "
    "shared httpx client. Against a limit, the ratio is limit / ours; against the imports, ours / theirs: pandas, "
    "httpx and one SSL context in a fresh kernel, the minimum of any listing into a DataFrame over httpx."
)
IMPORTS = """
import time as _time
_start = _time.perf_counter()
import pandas, httpx
httpx.Client().close()
print("FOUND " + str(_time.perf_counter() - _start))
"""
PICTURE_IMPORTS = """
import time as _time
_start = _time.perf_counter()
import pandas, matplotlib.figure, matplotlib.backends.backend_svg
print("FOUND " + str(_time.perf_counter() - _start))
"""
#: What is drawn; and the list of fonts that matplotlib makes once a machine.
RECORDED = """
import loops_nb, matplotlib.font_manager
for number in range(4):
    with loops_nb.experiment(f"sweep-{number}") as experiment:
        for step in range(1000):
            experiment.log(step=step, loss=(number + 1) / (step + 1))
"""
CODE = """
import json as _json, sys as _sys, time as _time
_ip = get_ipython()
_before = set(_sys.modules)
def _took(line):
    _start = _time.perf_counter()
    _shown = _ip.run_line_magic(*line.split(" ", 1))
    if _shown is not None:
        _ip.display_formatter.format(_shown)
    return _time.perf_counter() - _start
_found = {"load": _took("load_ext loops_nb")}
_found["heavy"] = [name for name in HEAVY if name in _sys.modules and name not in _before]
_found["new"] = len(set(_sys.modules) - _before)
print("FOUND " + _json.dumps(_found))
"""
LATER = """
_found["later"] = sorted(_took("loops runs") for _ in range(9))
import httpx as _httpx
_client = _httpx.Client(headers={"Authorization": "Bearer benchmark"})
def _network():
    _start = _time.perf_counter()
    for _path in ("runs", "deployments"):
        _client.get(URL + "/v1/loops/" + _path).content
    return _time.perf_counter() - _start
_network()
_found["network"] = sorted(_network() for _ in range(9))
print("FOUND " + _json.dumps(_found))
"""


def run(*, rounds: int | None = None) -> Iterator[str]:
    """Yield the table, and the number of modules that ``%load_ext`` imported."""
    kernels: list[dict[str, Any]] = []
    sdk, cli, user = sdk_python(), cli_python(), user_python()
    assert user is not None, "the running Python is always there"
    with server() as url, tempfile.TemporaryDirectory() as recorded:
        own = {"LOOPS_NB_HOME": recorded, "MPLCONFIGDIR": recorded}
        subprocess.run([str(user), "-c", RECORDED], check=True, env={**environment(), **own}, cwd=ROOT)

        def picture() -> float:
            with _kernel(user, url, **own) as client:
                _run_code(client, url, "%load_ext loops_nb\nprint('FOUND 0')")
                return _displayed(client, "%loops curves --metric loss --static")[0]

        def kernel() -> float:
            with _kernel(user, url) as client:
                _run_code(client, url, CODE)
                shown, ended = _displayed(client, "%loops runs")
                kernels.append({**_run_code(client, url, LATER), "shown": shown, "first": ended})
            return float(kernels[-1]["load"] + kernels[-1]["first"])

        def imports(code: str) -> float:
            with _kernel(user, url, **own) as client:
                return float(_run_code(client, url, code))

        ways: dict[str, Callable[[], float]] = {
            "ours": kernel,
            "imports": lambda: imports(IMPORTS),
            "picture": picture,
            "picture imports": lambda: imports(PICTURE_IMPORTS),
        }
        if cli is not None:
            ways["cli"] = lambda: _command([str(cli.with_name("truss")), "loops", "view", "--help"])
        if sdk is not None:
            ways["sdk"] = lambda: _command([str(sdk), "-c", "import baseten.loops"])
        figures = take_turns(ways, rounds or ROUNDS)
    networks = [_median(found["network"]) for found in kernels]
    firsts = [found["first"] - network for found, network in zip(kernels, networks, strict=True)]
    shown = [found["shown"] - network for found, network in zip(kernels, networks, strict=True)]
    laters = [max(_median(found["later"]) - network, 1e-6) for found, network in zip(kernels, networks, strict=True)]
    lines: list[Ratio] = [
        _limit("%load_ext loops_nb", [found["load"] for found in kernels], LOAD),
        _limit("table of the first %loops runs, beyond the network", shown, SHOWN),
        _limit("DataFrame of the first %loops runs, beyond the network", firsts, FIRST),
        compare(
            "DataFrame of the first %loops runs, beyond the network",
            "imports alone",
            firsts,
            figures["imports"],
            invert=True,
        ),
        _limit("second %loops runs, beyond the network", laters, SECOND),
        _limit("first picture, %loops curves --static", figures["picture"], PICTURE),
        compare(
            "first picture, %loops curves --static",
            "import pandas, matplotlib.figure",
            figures["picture"],
            figures["picture imports"],
            invert=True,
        ),
    ]
    for way, peer in (
        ("cli", f"{_version(cli, CLI[0].split('>')[0])} loops view --help"),
        ("sdk", f"import baseten.loops ({SDK[0]})"),
    ):
        if way in figures:
            lines.append(
                compare(
                    "%load_ext and first %loops runs, network included",
                    peer,
                    figures["ours"],
                    figures[way],
                    goal=">= 1",
                )
            )
    heavy = sorted({name for found in kernels for name in found["heavy"]})
    imported = f"%load_ext imported {kernels[-1]['new']} modules; of {', '.join(HEAVY)}: {', '.join(heavy) or 'none'}."
    yield table("In a running kernel", NOTE, lines) + f"\n{imported}\n"


def _limit(what: str, ours: list[float], limit: float) -> Ratio:
    return compare(what, f"limit of {limit * 1e3:.0f} ms", ours, [limit] * len(ours), goal=">= 1")


def _displayed(client: Any, cell: str) -> tuple[float, float]:
    """Return the seconds until the message with the cell's result, and until its end."""
    shown: list[float] = []

    def hook(message: dict[str, Any]) -> None:
        if message["msg_type"] in {"execute_result", "display_data"}:
            shown.append(time.perf_counter())
        elif message["msg_type"] == "error":
            raise RuntimeError("\n".join(message["content"]["traceback"]))

    start = time.perf_counter()
    client.execute_interactive(cell, output_hook=hook, timeout=KERNEL_TIMEOUT)
    return shown[0] - start, time.perf_counter() - start


def _run_code(client: Any, url: str, code: str) -> Any:
    output: list[str] = []

    def hook(message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "stream":
            output.append(content["text"])
        elif message["msg_type"] == "error":
            raise RuntimeError("\n".join(content["traceback"]))

    client.execute_interactive(
        code.replace("HEAVY", repr(HEAVY)).replace("URL", repr(url)), output_hook=hook, timeout=KERNEL_TIMEOUT
    )
    line = next(line for line in "".join(output).splitlines() if line.startswith("FOUND "))
    return json.loads(line.removeprefix("FOUND "))


@contextmanager
def _kernel(python: Path, url: str, **variables: str) -> Iterator[Any]:
    with tempfile.TemporaryDirectory() as home:
        yield from _started(python, url, home, variables)


def _started(python: Path, url: str, home: str, variables: dict[str, str]) -> Iterator[Any]:
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import KernelManager

    env = {
        **environment(),
        "HOME": home,
        "LOOPS_BASE_URL": url,
        "BASETEN_API_KEY": "benchmark",
        "IPYTHONDIR": str(Path(home) / "ipython"),
        **variables,
    }
    manager = KernelManager()
    manager._kernel_spec = KernelSpec(argv=[str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"])  # noqa: SLF001
    manager.start_kernel(env=env, cwd=str(ROOT), stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=KERNEL_TIMEOUT)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _command(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment(), cwd=ROOT)
    return time.perf_counter() - start


def _version(python: Path | None, package: str) -> str:
    if python is None:
        return package
    code = f"from importlib.metadata import version; print(version({package!r}))"
    run = subprocess.run([str(python), "-c", code], check=True, capture_output=True, text=True)
    return f"{package} {run.stdout.strip()}"


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
