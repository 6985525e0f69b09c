"""Checks of the values of settings."""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING, Any

from loops_nb.config import SETTINGS
from loops_nb.config.postgres_address import EXAMPLE, PostgresAddress
from loops_nb.config.time_zone import LOCAL_ZONE, display_zone
from loops_nb.config.trusted_hosts import ascii_host, is_plain_http_to_network
from loops_nb.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

AUTH_SCHEMES = ("Bearer", "Api-Key")
_LONGEST_URL = 2000
_LOOKS_LIKE_A_KEY = ("api_key", "apikey", "key", "token", "secret", "password", "baseten_api_key")


def check_setting(name: str, value: Any) -> Any:
    """Return the value of a setting in its normal form.

    Raises
    ------
    ConfigError
        If there is no such setting, or the value cannot be used.
    """
    if name not in SETTINGS:
        if name.lower().replace("-", "_") in _LOOKS_LIKE_A_KEY:
            raise ConfigError(
                f"{name} is not a setting: settings are shared and saved in the clear, so an API key must not be "
                f"among them.",
                hint="Remove it, make a new key if the file was shared, and type %loops login",
            )
        close = difflib.get_close_matches(name, SETTINGS, n=1)
        raise ConfigError(
            f"There is no setting {name!r}.",
            hint=f"Did you mean {close[0]}?" if close else f"The settings are {', '.join(SETTINGS)}.",
        )
    return _CHECKS[name](value)


def _base_url(value: Any) -> str:
    from urllib.parse import urlsplit

    if not isinstance(value, str):
        raise ConfigError(
            "base_url must be a string.", hint="For example 'https://api.baseten.co'; '' goes back to the default."
        )
    text = value.strip().rstrip("/")
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        port = parts.port
        ascii_host(parts.hostname or "")
    except ValueError:
        parts, port = urlsplit(""), None
    usable = (
        parts.scheme in {"http", "https"} and parts.hostname and port != 0 and text.isprintable() and " " not in text
    )
    if not usable or len(text) > _LONGEST_URL:
        raise ConfigError(
            f"base_url must be a web address, not {text[:80]!r}.",
            hint="For example https://api.baseten.co or http://127.0.0.1:8787",
        )
    if parts.username is not None or parts.query or parts.fragment:
        raise ConfigError(
            "base_url must be only the address: no user, password, ? or # part.",
            hint="A key is given with %loops login, never in a URL.",
        )
    if is_plain_http_to_network(parts.scheme, parts.hostname or ""):
        raise ConfigError(
            f"base_url is plain http to another machine ({parts.hostname}): the API key would cross the network in "
            f"the clear.",
            hint="Use https://, or an address of this machine.",
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


def _flag(name: str) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        if not isinstance(value, bool):
            raise ConfigError(f"{name} must be true or false, not {str(value)[:40]!r}.")
        return value

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


def _tracking(value: Any) -> str:
    if not isinstance(value, str):
        raise ConfigError(
            "tracking must be a string.", hint=f"For example {EXAMPLE!r}; '' is the file of this machine."
        )
    return str(PostgresAddress.parse(value)) if value.strip() else ""


_CHECKS: dict[str, Callable[[Any], Any]] = {
    "base_url": _base_url,
    "capture_environment": _flag("capture_environment"),
    "auth_scheme": _auth_scheme,
    "poll_interval": _number("poll_interval", 0.5, 3600, "seconds"),
    "row_limit": _number("row_limit", 0, 100_000, "rows", whole=True),
    "sample_rate": _number("sample_rate", 0, 1_000_000, "US dollars"),
    "time_zone": _time_zone,
    "tracking": _tracking,
    "train_rate": _number("train_rate", 0, 1_000_000, "US dollars"),
    "timeout": _number("timeout", 1, 3600, "seconds"),
}
