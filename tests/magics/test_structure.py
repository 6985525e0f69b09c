"""The modules of the magics: no import cycle, and every verb is listed."""

from __future__ import annotations

import ast
import pkgutil
from pathlib import Path

import loops_nb
from loops_nb.magics import verbs

PACKAGE = Path(loops_nb.__file__).parent


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_no_import_cycle_even_for_types() -> None:
    paths = {
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path
        for path in PACKAGE.glob("magics/**/*.py")
    }
    remaining = {module: imports_of(path) & (paths.keys() - {module}) for module, path in paths.items()}
    while remaining:
        leaves = {module for module, imports in remaining.items() if not imports & remaining.keys()}
        assert leaves, f"import cycle among {sorted(remaining)}"
        for module in leaves:
            del remaining[module]


def test_every_module_of_a_verb_is_listed() -> None:
    listed = [module for modules in verbs._GROUPS.values() for module in modules.split()]
    assert sorted(listed) == sorted(module.name for module in pkgutil.iter_modules(verbs.__path__))
