"""The settings: names, defaults and help, and the project files that may override them.

Independent of IPython.  ``%config LoopsMagics`` shows and sets the same names; ``[tool.loops_nb]`` in a
``pyproject.toml`` of the working folder or a folder above it overrides the defaults::

    [tool.loops_nb]
    row_limit = 50
    time_zone = "Europe/Berlin"

An API key is not a setting: such a file is shared.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

FILE = "pyproject.toml"
_MENTION = re.compile(
    rb"""(?m)^\s*\[\s*tool\s*\.\s*["']?loops_nb["']?\s*(?:[\].]|$)|^\s*(?:tool\s*\.\s*)?["']?loops_nb["']?\s*[.=]"""
)


class Setting(NamedTuple):
    """One setting.

    Parameters
    ----------
    name : str
        As in ``%config LoopsMagics.<name>`` and in ``[tool.loops_nb]``.
    default : object
        Its default.
    help : str
        One sentence for users.
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
            "Seconds between two polls while something changes; up to 5 times as long when nothing does (0.5 to 3600).",
        ),
        Setting("row_limit", 20, "Rows of a listing that are shown; 0 shows all. The DataFrame always has all."),
        Setting(
            "time_zone",
            "local",
            "Zone in which times are shown: 'local', 'UTC' or e.g. 'Europe/Berlin'. DataFrames keep UTC.",
        ),
        Setting(
            "capture_environment",
            default=True,
            help="Whether an experiment records git commit, package versions, host and command line, without keys.",
        ),
        Setting("train_rate", 0.0, "Your rate in US dollars for a million tokens trained, for %loops cost; 0: none."),
        Setting("sample_rate", 0.0, "Your rate in US dollars for a million tokens sampled, for %loops cost; 0: none."),
        Setting(
            "tracking",
            "",
            "Where experiments are recorded: postgresql://USER@HOST/DATABASE of a team; empty: this machine's file.",
        ),
        Setting("timeout", 60.0, "Seconds without a byte of an answer, or with a very slow one (1 to 3600)."),
    )
}


def project_files(folder: Path) -> list[tuple[Path, bytes]]:
    """Return each ``pyproject.toml`` from a folder upwards that seems to have the table, nearest first.

    Most projects have none, so only a regular expression is run then: loading the extension stays fast.
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
