"""One word for one thing: private words do not come back, and a class name means one class."""

from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

pytestmark = pytest.mark.once
ROOT = Path(__file__).resolve().parent.parent
#: Written in two halves, so that this file does not contain what it looks for.
BANNED = [
    "who" + "ever",
    "some" + "body",
    "no" + "body",
    "a" + "new",
    "a " + "person",
    "is " + "meant",
    "at a " + "distance",
    "bring(s|ing)? " + "home",
    "brought " + "home",
    "how " + "manieth",
    "told " + "from",
]
_WORDS = re.compile(r"\b(" + "|".join(BANNED) + r")\b", re.IGNORECASE)
_KINDS = {".py", ".ts", ".tsx", ".mjs", ".css", ".js", ".md", ".ipynb", ".toml"}
#: The page that lists the words not to use; what users named things, which the tests of hostile names repeat.
_EXEMPT = {"docs/contributing.md"}
GENERATED = "# Generated "


def sources() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in listed.splitlines() if name not in _EXEMPT]
    return [
        path for path in paths if path.suffix in _KINDS and path.exists() and "contract/seeds" not in path.as_posix()
    ]


def test_no_file_uses_a_banned_word() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in sources()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for match in _WORDS.finditer(line)
    ]
    assert found == []


def test_public_class_names_are_unique() -> None:
    places = defaultdict(list)
    for path in sorted((ROOT / "loops_nb").rglob("*.py")):
        text = path.read_text("utf-8")
        if text.startswith(GENERATED):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(str(path.relative_to(ROOT)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}
