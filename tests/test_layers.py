"""Imports run one way, and what is light stays light."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import loops_nb

PACKAGE = Path(loops_nb.__file__).parent
#: From the ground up; a module may import from its own room and from those below.
ROOMS = [
    "_version",
    "console",
    "errors",
    "faults",
    "uri",
    "steps",
    "models",
    "references",
    "decoding",
    "home",
    "tokens",
    "tracking",
    "credentials",
    "config",
    "drawing",
    "tokenizing",
    "client",
    "connections",
    "storage",
    "downloads",
    "tensors",
    "comparing",
    "frames",
    "plots",
    "curves",
    "workbench",
    "experiments",
    "accessor",
    "live",
    "panels",
    "watching",
    "handling",
    "sampling",
    "loops",
    "async_loops",
    "magics",
]
LOCAL_MAY = {"_version", "errors", "uri", "models", "home", "tokens", "local"}
#: What a room must not import, at any depth of its own code.
BANNED = {
    "tracking": {"pandas", "httpx", "httpcore", "ipywidgets", "anywidget", "IPython"},
    "client": {"pandas", "numpy", "ipywidgets", "anywidget", "IPython"},
    "storage": {"pandas", "numpy", "httpx", "httpcore", "ipywidgets", "anywidget", "IPython"},
    "downloads": {"pandas", "numpy", "httpx", "httpcore", "ipywidgets", "anywidget"},
    "tensors": {"pandas", "httpx", "httpcore", "ipywidgets", "anywidget", "IPython"},
    "comparing": {"pandas", "httpx", "httpcore", "ipywidgets", "anywidget", "IPython"},
    "plots": {"httpx", "httpcore", "ipywidgets", "anywidget", "IPython"},
    "frames": {"httpx", "httpcore", "ipywidgets", "anywidget", "IPython"},
    "live": {"pandas", "numpy", "ipywidgets", "anywidget", "IPython"},
    "panels": {"httpx", "httpcore", "starlette", "uvicorn"},
    "local": {"httpx", "httpcore", "pandas", "ipywidgets", "anywidget", "IPython"},
    "magics": {"httpx", "httpcore", "starlette", "uvicorn"},
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


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


SOURCES = sorted(p for p in PACKAGE.rglob("*.py") if "static" not in p.parts)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    room = room_of(path)
    for name in imports_of(path):
        top, *rest = name.split(".")
        assert top not in BANNED.get(room, set()), f"{room} must not import {top}"
        if top != "loops_nb" or room in {"__init__", "__main__", "cli"}:
            continue
        other = rest[0]
        if other == "__version__":
            continue
        if room == "local":
            assert other in LOCAL_MAY, f"local must not import {other}"
        elif room == "magics" and other == "local":
            assert rest[1] == "launcher", "the magics know of the local service only how to start and stop it"
        else:
            assert ROOMS.index(other) <= ROOMS.index(room), f"{room} must not import {other}"


def test_every_room_is_on_the_plan() -> None:
    assert {room_of(p) for p in SOURCES} <= {*ROOMS, "local", "__init__", "__main__", "cli"}


def modules_after(code: str) -> set[str]:
    program = f"import sys, json\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


HEAVY = {"httpx", "httpcore", "pandas", "numpy", "ipywidgets", "anywidget", "IPython", "starlette", "uvicorn", "keyring", "safetensors"}


def test_importing_the_package_is_light() -> None:
    assert modules_after("import loops_nb") & (HEAVY | {"msgspec", "asyncio"}) == set()


def test_the_client_needs_no_pandas() -> None:
    assert modules_after("import loops_nb; loops_nb.Loops('key', 'http://127.0.0.1:1')") & (HEAVY - {"httpx", "httpcore"}) == set()


def test_the_public_names_are_exactly_those_promised() -> None:
    assert [n for n in loops_nb.__all__ if getattr(loops_nb, n, None) is None] == []
    assert dir(loops_nb) == sorted(loops_nb.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = loops_nb.nonsense


def test_the_version_stands_in_one_place() -> None:
    from importlib.metadata import version

    assert version("loops_nb") == loops_nb.__version__
