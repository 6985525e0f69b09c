"""File names: which names of a listing are safe here, and the names of the package's own files beside them.

A name comes from the service.  It is checked for every operating system, not only this one: a folder of checkpoints may
be copied elsewhere.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

#: Prefix of the package's own files; no file of a checkpoint may begin with it.
OURS = ".loops-"
MANIFEST = ".loops-manifest.json"
JOURNAL = ".loops-journal.jsonl"
LOCK = ".loops-lock"
MAX_PART_BYTES = 255
_PARTIAL_SUFFIX = ".part"
_LOG_SUFFIX = ".state"
_HASH_LETTERS = 20
#: Each path is asked for again and again while its file is downloaded.
_CACHED_PATHS = 1024
_NAMED = 5
_PROBLEMS = (
    (re.compile(r"\\"), "it holds a backslash"),
    (re.compile(r"\A/"), "it is an absolute path"),
    (re.compile(r"\A[A-Za-z]:"), "it begins with a drive"),
    (re.compile(r":"), "it holds a colon, which names a drive or a hidden stream on Windows"),
)
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?")
#: Bidirectional controls, which make a name look like another one.
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_DOTS = {"": "it has an empty part", ".": "it has a part that is only a dot", "..": "it leads out of its folder"}
_CATEGORIES = {
    "Cc": "a control character",
    "Cs": "half a character",
    "Zl": "a line separator",
    "Zp": "a paragraph separator",
}


@lru_cache(_CACHED_PATHS)
def part_path(path: Path) -> Path:
    """Return where a file is while it is partial: beside its destination, under a name of fixed length."""
    return path.with_name(_own_name(path) + _PARTIAL_SUFFIX)


@lru_cache(_CACHED_PATHS)
def state_path(path: Path) -> Path:
    """Return where the resume log of a partial file is."""
    return path.with_name(_own_name(path) + _LOG_SUFFIX)


def name_problem(name: str) -> str:
    """Return why a relative name cannot be a file's; empty if it can."""
    if not name:
        return "it is empty"
    for character in name:
        problem = _CATEGORIES.get(unicodedata.category(character))
        if problem is None and character in _BIDI:
            problem = "a character that turns text round"
        if problem is not None:
            return f"it holds {problem}"
    for pattern, problem in _PROBLEMS:
        if pattern.search(name):
            return problem
    return next((problem for problem in map(_part_problem, name.split("/")) if problem), "")


def collisions(names: Iterable[str]) -> dict[str, str]:
    """Return the names that cannot exist together, with the reason.

    File systems fold names: two that differ in case or in how an accent is encoded are one file on some.
    """
    listed = list(names)
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for name in listed:
        folded = _folded(name)
        files.setdefault(folded, name)
        parts = folded.split("/")
        for depth in range(1, len(parts)):
            folders.setdefault("/".join(parts[:depth]), name)
    wrong: dict[str, str] = {}
    seen: set[str] = set()
    for name in listed:
        folded = _folded(name)
        if name in seen:
            wrong[name] = "it is listed twice, for example by two nodes"
        elif files[folded] != name:
            wrong[name] = f"it is the same file as {files[folded]!r} on some systems"
        elif folded in folders:
            wrong[name] = f"it is a file, and {folders[folded]!r} needs a folder of that name"
        seen.add(name)
    return wrong


def quoted_problems(wrong: Mapping[str, str]) -> str:
    """Return the first names with their problems, and how many more there are."""
    some = "; ".join(f"{name!r}: {problem}" for name, problem in list(wrong.items())[:_NAMED])
    return some + (f"; and {len(wrong) - _NAMED:,} more" if len(wrong) > _NAMED else "")


def _own_name(path: Path) -> str:
    return OURS + hashlib.sha256(path.name.encode("utf-8", "surrogateescape")).hexdigest()[:_HASH_LETTERS]


def _part_problem(part: str) -> str:
    if part in _DOTS:
        return _DOTS[part]
    if part.endswith((".", " ")):
        return "a part of it ends with a dot or a space"
    if _RESERVED.fullmatch(part):
        return "a part of it is a device on Windows"
    if part.casefold().startswith(OURS):
        return f"a part of it begins with {OURS}, which marks files of ours"
    if len(part.encode("utf-8")) > MAX_PART_BYTES:
        return f"a part of it has more than {MAX_PART_BYTES} bytes"
    return ""


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
