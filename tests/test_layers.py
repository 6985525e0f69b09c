"""Imports run one way, and what is light stays light."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import loops_nb

PACKAGE = Path(loops_nb.__file__).parent
#: From the ground up; a module may import from its own package and from those above it in this list.
PACKAGES = [
    "_version",
    "console",
    "errors",
    "faults",
    "config",
    "api",
    "render",
    "client",
    "frames",
    "tracking",
    "integrations",
    "checkpoints",
    "charts",
    "live",
    "sampling",
    "panels",
    "accessor",
    "resources",
    "magics",
    "cli",
    "agents",
]
#: Modules of the client side that `loops_nb.local` may import: it could be moved out of the package.
LOCAL_MAY = {"_version", "errors", "api", "config", "local"}
_NO_WIDGETS = {"ipywidgets", "anywidget", "IPython"}
_NO_HTTP = {"httpx", "httpcore"}
#: What a package must not import, at any depth of its own code.
BANNED = {
    "tracking": {"pandas"} | _NO_HTTP | _NO_WIDGETS,
    "client": {"pandas", "numpy"} | _NO_WIDGETS,
    "checkpoints": {"pandas", "ipywidgets", "anywidget"} | _NO_HTTP,
    "checkpoints.compare": {"IPython"},
    "checkpoints.http": {"numpy", "IPython"},
    "checkpoints.tensors": {"IPython"},
    "checkpoints.transfer": {"numpy"},
    "charts": _NO_HTTP | _NO_WIDGETS,
    "frames": _NO_HTTP | _NO_WIDGETS,
    "live": {"pandas", "numpy"} | _NO_WIDGETS,
    "panels": {"starlette", "uvicorn"} | _NO_HTTP,
    "local": {"pandas"} | _NO_HTTP | _NO_WIDGETS,
    "magics": {"starlette", "uvicorn"} | _NO_HTTP,
    "agents": {"starlette", "uvicorn", "fastmcp"} | _NO_HTTP | _NO_WIDGETS,
}
#: The modules that make DataFrames, in packages that do without pandas otherwise.
FRAMES = {
    "checkpoints/compare/frames.py",
    "checkpoints/export/frames.py",
    "checkpoints/tensors/frames.py",
    "checkpoints/transfer/frames.py",
    "checkpoints/deletion.py",
    "checkpoints/service.py",
    "tracking/experiment.py",
    "tracking/frames.py",
    "tracking/sample_frames.py",
    "tracking/group_frames.py",
    "tracking/sweep.py",
    "tracking/join.py",
    "tracking/leaderboard.py",
    "tracking/metrics.py",
}


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def banned_in(path: Path) -> set[str]:
    name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    banned = set().union(*(tops for package, tops in BANNED.items() if f"{name}.".startswith(f"{package}.")))
    return banned - {"pandas", "numpy"} if path.relative_to(PACKAGE).as_posix() in FRAMES else banned


SOURCES = sorted(p for p in PACKAGE.rglob("*.py") if "static" not in p.parts)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    package, banned = package_of(path), banned_in(path)
    for name in imports_of(path):
        top, *rest = name.split(".")
        assert top not in banned, f"{package} must not import {top}"
        if top != "loops_nb" or package in {"__init__", "__main__", "cli"}:
            continue
        other = rest[0]
        if other == "__version__":
            continue
        if package == "local":
            assert other in LOCAL_MAY, f"local must not import {other}"
        elif package == "magics" and other == "local":
            assert rest[1] == "launcher", "the magics know of the local service only how to start and stop it"
        else:
            assert PACKAGES.index(other) <= PACKAGES.index(package), f"{package} must not import {other}"


def test_every_package_is_on_the_map() -> None:
    assert {package_of(p) for p in SOURCES} <= {*PACKAGES, "local", "__init__", "__main__", "cli"}


def test_modules_have_no_import_cycles() -> None:
    modules = {
        ".".join(p.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): p for p in SOURCES
    }
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        found = {name if name in modules else name.rpartition(".")[0] for name in imports_of(path)}
        graph[module] = (found & modules.keys()) - {module}
    assert list(TopologicalSorter(graph).static_order())


def modules_after(code: str) -> set[str]:
    program = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


HEAVY = {
    "httpx",
    "httpcore",
    "pandas",
    "numpy",
    "ipywidgets",
    "anywidget",
    "IPython",
    "starlette",
    "uvicorn",
    "keyring",
    "safetensors",
}


def test_importing_the_package_is_light() -> None:
    assert modules_after("import loops_nb") & (HEAVY | {"msgspec", "asyncio"}) == set()


def test_the_client_needs_no_pandas() -> None:
    assert (
        modules_after("import loops_nb; loops_nb.Loops('key', 'http://127.0.0.1:1')") & (HEAVY - {"httpx", "httpcore"})
        == set()
    )


def test_the_public_names_are_exactly_those_promised() -> None:
    assert [n for n in loops_nb.__all__ if getattr(loops_nb, n, None) is None] == []
    assert dir(loops_nb) == sorted(loops_nb.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = loops_nb.nonsense


def test_the_version_stands_in_one_place() -> None:
    from importlib.metadata import version

    assert version("loops_nb") == loops_nb.__version__
