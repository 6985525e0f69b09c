"""The settings of the notebook side: their names, defaults and bounds, and where a project may write them down.

Independent of IPython.  ``%config LoopsMagics`` shows and sets the same names; ``[tool.loops_nb]`` in a ``pyproject.toml`` of the working
folder or of a folder above gives other defaults::

    [tool.loops_nb]
    row_limit = 50
    time_zone = "Europe/Berlin"

An API key is no setting: such a file is shared.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

FILE = "pyproject.toml"
_MENTION = re.compile(rb"""(?m)^\s*\[\s*tool\s*\.\s*["']?loops_nb["']?\s*(?:[\].]|$)|^\s*(?:tool\s*\.\s*)?["']?loops_nb["']?\s*[.=]""")


class Setting(NamedTuple):
    """One setting.

    Parameters
    ----------
    name
        As in ``%config LoopsMagics.<name>`` and in ``[tool.loops_nb]``.
    default
        Its value when nobody set it.
    help
        One sentence for people.
    """

    name: str
    default: Any
    help: str


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting(
            "base_url",
            "",
            "Address of the Loops service; empty: LOOPS_BASE_URL, else the hosted service, else a running local one.",
        ),
        Setting("auth_scheme", "Bearer", "How the API key is sent: 'Bearer' or 'Api-Key'."),
        Setting(
            "poll_interval",
            2.0,
            "Seconds between two looks while something changes; up to 5 times as long when all is still (0.5 to 3600).",
        ),
        Setting("row_limit", 20, "Rows of a listing that are shown; 0 shows all. The DataFrame always has all."),
        Setting("time_zone", "local", "Zone in which times are shown: 'local', 'UTC' or e.g. 'Europe/Berlin'. DataFrames keep UTC."),
        Setting("timeout", 60.0, "Seconds that a request may be silent, or its answer come at a crawl (1 to 3600)."),
    )
}


def files_that_mention_us(folder: Path) -> list[tuple[Path, bytes]]:
    """Return each ``pyproject.toml`` from a folder upwards that seems to have our table, with its content, the nearest first.

    Most projects have none: looking is all that a start of the extension shall cost then, not parsing.
    """
    found = []
    for place in (folder, *folder.parents):
        try:
            body = (place / FILE).read_bytes()
        except OSError:
            continue
        if _MENTION.search(body) is not None:
            found.append((place / FILE, body))
    return found
