"""Which names of a listing can be files here; pure functions.

A name is the service's word.  It is checked for every system, not only this one: a folder of checkpoints is copied elsewhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from loops_nb.downloads.marks import OURS

MOST_PART_BYTES = 255
_DRIVE = re.compile(r"[A-Za-z]:")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?")
#: They let a name be read otherwise than it is.
_TURNS_TEXT_ROUND = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_DOTS = {"": "it has an empty part", ".": "it has a part that is only a dot", "..": "it leads out of its folder"}
_WORDS_OF_CATEGORY = {"Cc": "a control character", "Cs": "half a character", "Zl": "a line separator", "Zp": "a paragraph separator"}


def what_is_wrong(name: str) -> str:
    """Return why a relative name cannot be a file's, in words; empty if it can."""
    if not name:
        return "it is empty"
    for character in name:
        said = _WORDS_OF_CATEGORY.get(unicodedata.category(character))
        if said is None and character in _TURNS_TEXT_ROUND:
            said = "a character that turns text round"
        if said is not None:
            return f"it holds {said}"
    if "\\" in name:
        return "it holds a backslash"
    if name.startswith("/"):
        return "it is an absolute path"
    if ":" in name:
        return "it begins with a drive" if _DRIVE.match(name) else "it holds a colon, which names a drive or a hidden stream on Windows"
    return next((said for said in map(_wrong_part, name.split("/")) if said), "")


def collisions(names: Iterable[str]) -> dict[str, str]:
    """Return the names that cannot be there together, with why.

    Systems fold names: two that differ in case or in how an accent is written are one file on some.
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


def _wrong_part(part: str) -> str:
    if part in _DOTS:
        return _DOTS[part]
    if part.endswith((".", " ")):
        return "a part of it ends with a dot or a space"
    if _RESERVED.fullmatch(part):
        return "a part of it is a device on Windows"
    if part.casefold().startswith(OURS):
        return f"a part of it begins with {OURS}, which marks files of ours"
    if len(part.encode("utf-8")) > MOST_PART_BYTES:
        return f"a part of it has more than {MOST_PART_BYTES} bytes"
    return ""


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
