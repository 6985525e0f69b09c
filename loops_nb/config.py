"""The settings of the notebook side: their names, defaults and bounds, and where a project may write them down.

Independent of IPython.  ``%config LoopsMagics`` shows and sets the same names; ``[tool.loops_nb]`` in a ``pyproject.toml`` of the working
folder or of a folder above gives other defaults::

    [tool.loops_nb]
    row_limit = 50
    time_zone = "Europe/Berlin"

An API key is no setting: such a file is shared.
"""

from __future__ import annotations

import difflib
import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from loops_nb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo
    from pathlib import Path

AUTH_SCHEMES = ("Bearer", "Api-Key")
LOCAL_ZONE = "local"
_FILE = "pyproject.toml"
_TABLE = "tool.loops_nb"
_LONGEST_URL = 2000
_MENTION = re.compile(rb"""(?m)^\s*\[\s*tool\s*\.\s*["']?loops_nb["']?\s*[\].]|^\s*(?:tool\s*\.\s*)?["']?loops_nb["']?\s*[.=]""")
_LOOKS_LIKE_A_KEY = ("api_key", "apikey", "key", "token", "secret", "password", "baseten_api_key")


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
    check
        Takes a value, returns it in its usual form, or raises `ConfigError`.
    """

    name: str
    default: Any
    help: str
    check: Callable[[Any], Any]


class ProjectSettings(NamedTuple):
    """What a project's file says.

    Parameters
    ----------
    path
        The file; None when there is none.
    values
        Checked values by the setting's name.
    """

    path: Path | None
    values: dict[str, Any]


def check_setting(name: str, value: Any) -> Any:
    """Return a setting's value in its usual form.

    Raises
    ------
    ConfigError
        If there is no such setting, or the value cannot be used; the text says what can.
    """
    if name not in SETTINGS:
        if name.lower().replace("-", "_") in _LOOKS_LIKE_A_KEY:
            raise ConfigError(
                f"{name} is not a setting: settings are shared and saved in the clear, so an API key must not be among them.",
                hint="Remove it, make a new key if the file was shared, and type %loops login",
            )
        close = difflib.get_close_matches(name, SETTINGS, n=1)
        raise ConfigError(
            f"There is no setting {name!r}.",
            hint=f"Did you mean {close[0]}?" if close else f"The settings are {', '.join(SETTINGS)}.",
        )
    return SETTINGS[name].check(value)


def project_settings(folder: Path) -> ProjectSettings:
    """Read ``[tool.loops_nb]`` of the nearest ``pyproject.toml`` that has it, from a folder upwards.

    Raises
    ------
    ConfigError
        If the file is not TOML, has a key that is no setting, or a value that cannot be used; the text names the file.
    """
    for place in (folder, *folder.parents):
        path = place / _FILE
        try:
            body = path.read_bytes()
        except OSError:
            continue
        # Most projects have no such table; parsing would cost every start more than looking.
        if _MENTION.search(body) is None:
            continue
        values = _table(body, path)
        if values is not None:
            return ProjectSettings(path, _checked(values, path))
    return ProjectSettings(None, {})


def display_zone(name: str) -> tzinfo | None:
    """Return the time zone in which times are shown; None is the machine's own zone.

    Raises
    ------
    ConfigError
        If there is no zone of that name.
    """
    if name == LOCAL_ZONE:
        return None
    if name == "UTC":
        from datetime import UTC  # noqa: PLC0415 - this module is imported at every start

        return UTC
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        from zoneinfo import available_timezones  # noqa: PLC0415

        zones = {zone.lower(): zone for zone in available_timezones()}
        cities = {zone.rsplit("/", 1)[-1]: zone for zone in zones}
        word = name.lower().strip().replace(" ", "_")
        close = difflib.get_close_matches(word, [*zones, *cities], n=1, cutoff=0.7)
        hint = f"Did you mean {zones[cities.get(close[0], close[0])]}?" if close else "For example Europe/Berlin, UTC, or local."
        raise ConfigError(f"time_zone: there is no time zone {name!r}.", hint=hint) from None


def _table(body: bytes, path: Path) -> dict[str, Any] | None:
    import tomllib  # noqa: PLC0415 - only when a file mentions us

    try:
        document = tomllib.loads(body.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}.", hint="Mend the file, then run the line again.") from None
    tools = document.get("tool")
    table = tools.get("loops_nb") if isinstance(tools, dict) else None
    if table is not None and not isinstance(table, dict):
        raise ConfigError(f"{path}: {_TABLE} must be a table.", hint=f"Write it as [{_TABLE}] with one line a setting.")
    return table


def _checked(values: dict[str, Any], path: Path) -> dict[str, Any]:
    checked = {}
    for name, value in values.items():
        try:
            checked[name] = check_setting(name, value)
        except ConfigError as error:
            raise ConfigError(f"{path}, [{_TABLE}]: {error.message}", hint=error.hint) from None
    return checked


def _base_url(value: Any) -> str:
    from urllib.parse import urlsplit  # noqa: PLC0415

    if not isinstance(value, str):
        raise ConfigError("base_url must be a text.", hint="For example 'https://api.baseten.co'; '' goes back to the default.")
    text = value.strip().rstrip("/")
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    usable = parts.scheme in {"http", "https"} and parts.hostname and port != 0 and text.isprintable() and " " not in text
    if not usable or len(text) > _LONGEST_URL:
        raise ConfigError(
            f"base_url must be a web address, not {text[:80]!r}.", hint="For example https://api.baseten.co or http://127.0.0.1:8787"
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError(
            "base_url must be only the address: no user, password, ? or # part.", hint="A key is given with %loops login, never in a URL."
        )
    return text


def _auth_scheme(value: Any) -> str:
    for scheme in AUTH_SCHEMES:
        if isinstance(value, str) and value.strip().lower() == scheme.lower():
            return scheme
    raise ConfigError("auth_scheme must be 'Bearer' or 'Api-Key': the word before the key in the Authorization header.")


def _number(name: str, low: float, high: float, unit: str, *, whole: bool = False) -> Callable[[Any], Any]:
    kind = "a whole number" if whole else "a number"

    def check(value: Any) -> Any:
        right = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
        if not right or not math.isfinite(value) or not low <= value <= high:
            raise ConfigError(f"{name} must be {kind} of {unit} from {low:g} to {high:g}, not {str(value)[:40]!r}.")
        return value if whole else float(value)

    return check


def _time_zone(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ConfigError("time_zone must be 'local', 'UTC' or a name such as 'Europe/Berlin'.")
    text = value.strip()
    for own in (LOCAL_ZONE, "UTC"):
        if text.lower() == own.lower():
            return own
    display_zone(text)
    return text


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting(
            "base_url",
            "",
            "Address of the Loops service; empty: LOOPS_BASE_URL, else the hosted service, else a running local one.",
            _base_url,
        ),
        Setting("auth_scheme", "Bearer", "How the API key is sent: 'Bearer' or 'Api-Key'.", _auth_scheme),
        Setting(
            "poll_interval", 10.0, "Seconds between two looks at what is live (1 to 3600).", _number("poll_interval", 1, 3600, "seconds")
        ),
        Setting(
            "row_limit",
            20,
            "Rows of a listing that are shown; 0 shows all. The DataFrame always has all.",
            _number("row_limit", 0, 100_000, "rows", whole=True),
        ),
        Setting(
            "time_zone",
            LOCAL_ZONE,
            "Zone in which times are shown: 'local', 'UTC' or e.g. 'Europe/Berlin'. DataFrames keep UTC.",
            _time_zone,
        ),
        Setting("timeout", 60.0, "Seconds that a request may take (1 to 3600).", _number("timeout", 1, 3600, "seconds")),
    )
}
