"""What the environment says about the network: proxies, hosts that need none, and certificates.

All of it is checked here, once for the API and for files, so that a variable that cannot be used is an error that names it.  The text of a
proxy variable is never shown: it may hold a password.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import ipaddress
import os
import re
import ssl
import threading
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from loops_nb.config.loopback import is_loopback
from loops_nb.errors import ConfigError

CERT_FILE, CERT_DIR, KEY_LOG = "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"
#: Variables by which other libraries find certificates, and this one does not.
_OTHER_CERT_FILES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_SYSTEM = "the proxy settings of this system"
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_WATCHED = re.compile(r"(?i).*_proxy|SSL_CERT_FILE|SSL_CERT_DIR|SSLKEYLOGFILE")
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that the environment names.

    Parameters
    ----------
    variable
        The variable that names it.
    scheme, host, port
        Where it is.
    username, password
        What to say to it; empty for nothing.
    """

    variable: str
    scheme: str
    host: str
    port: int
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """Its address without user name and password."""
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}"

    def way_out(self, host: str) -> str:
        """Return what to change when it cannot be used to reach a host."""
        return f"Correct or remove {self.variable}, or name {host} in NO_PROXY to go there without a proxy; then run it again."


def proxy_for(scheme: str, host: str, port: int) -> Proxy | None:
    """Return the proxy to reach an address through; None when there is none, and for this machine.

    Raises
    ------
    ConfigError
        If the environment names one that cannot be used.
    """
    # A proxy must not see what is sent to this machine.
    if is_loopback(host):
        return None
    known = urllib.request.getproxies()
    kind = next((kind for kind in (scheme, "all") if known.get(kind)), None)
    if kind is None or _needs_none(host, port, known.get("no", "")):
        return None
    return _parsed(known[kind], _variable_of(kind), host)


def variables_in_use() -> list[str]:
    """Return the variables about the network that are set: proxies with their address, and the others with their text."""
    lines = []
    for name in sorted(name for name, text in os.environ.items() if text and _WATCHED.fullmatch(name)):
        if name.lower().endswith("_proxy") and name.lower() != "no_proxy":
            try:
                lines.append(f"{name}={_parsed(os.environ[name], name, 'the host').shown}")
            except ConfigError:
                lines.append(f"{name} (not usable)")
        else:
            lines.append(f"{name}={os.environ[name]}")
    return lines


def fingerprint() -> int:
    """Return a number that changes with the variables that this module reads."""
    return hash(tuple(sorted((name, text) for name, text in os.environ.items() if _WATCHED.fullmatch(name))))


def ssl_context() -> ssl.SSLContext:
    """Return the one SSL context of this process; loading the certificates takes longer than most requests.

    Raises
    ------
    ConfigError
        If the environment names certificates that cannot be used.
    """
    with _lock:
        return _ssl_context(*(os.environ.get(name, "") for name in (CERT_FILE, CERT_DIR, KEY_LOG)))


def certificate_hint(reason: str) -> str:
    """Return what to change when a certificate is not trusted.

    Parameters
    ----------
    reason
        What OpenSSL said of it.
    """
    if "expired" in reason or "not yet valid" in reason:
        return f"Check the clock of this machine, which says {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, then the certificate of the server."
    for name in (CERT_FILE, CERT_DIR):
        if os.environ.get(name):
            return (
                f"{name} names {os.environ[name]}, and only the certificates there are trusted: "
                f"add that of the authority, such as a company proxy, or remove {name}; then run it again."
            )
    for name in _OTHER_CERT_FILES:
        if os.environ.get(name):
            return f"{name} is set, but only {CERT_FILE} counts here: set {CERT_FILE} to {os.environ[name]} as well, then run it again."
    return f"Behind a company proxy, set {CERT_FILE} to its certificate."


@lru_cache(maxsize=1)
def _ssl_context(file: str, folder: str, key_log: str) -> ssl.SSLContext:
    import certifi  # noqa: PLC0415 - only for https

    if file and not Path(file).exists():
        raise _unusable(CERT_FILE, file, "there is no such file")
    if folder and not any(Path(one).is_dir() for one in folder.split(os.pathsep)):
        raise _unusable(CERT_DIR, folder, "there is no such folder")
    try:
        return ssl.create_default_context(cafile=file or (None if folder else certifi.where()), capath=folder or None)
    except (OSError, ValueError) as error:
        # OpenSSL opens the log of keys in the same call, and only Python's own errors name their file.
        name, path = (KEY_LOG, key_log) if key_log and getattr(error, "filename", None) == key_log else (CERT_FILE, file)
        if not path:
            text = f"The certificates that come with certifi cannot be loaded ({_reason(error)})."
            raise ConfigError(text, hint="%pip install -U certifi") from None
        raise _unusable(name, path, _reason(error)) from None


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "it holds no certificate in PEM form that can be read"
    return str(getattr(error, "strerror", None) or error)


def _unusable(name: str, path: str, why: str) -> ConfigError:
    return ConfigError(
        f"{name} names {path}, which cannot be used: {why}. Nothing was sent.",
        hint=f"Correct {name} in the environment, or remove it; then run it again.",
    )


def _variable_of(kind: str) -> str:
    wanted = f"{kind}_proxy"
    # urllib lets the lower case win.
    spelt = [wanted, wanted.upper(), *(name for name in os.environ if name.lower() == wanted)]
    return next((name for name in spelt if os.environ.get(name)), _SYSTEM)


def _parsed(text: str, variable: str, host: str) -> Proxy:
    parts = _split(text)
    if parts is None:
        raise ConfigError(
            f"{variable} cannot be used: it is no proxy address such as http://proxy.example:3128 "
            "(its text is not shown, for it may hold a password). Nothing was sent.",
            hint=f"Correct or remove {variable}, or name {host} in NO_PROXY; then run it again.",
        )
    proxy = Proxy(
        variable,
        parts.scheme,
        (parts.hostname or "").encode("idna").decode("ascii"),
        parts.port or _PORTS[parts.scheme],
        unquote(parts.username or ""),
        unquote(parts.password or ""),
    )
    if proxy.scheme.startswith("socks") and importlib.util.find_spec("socksio") is None:
        raise ConfigError(
            f"{variable} names a SOCKS proxy ({proxy.shown}), for which the package socksio is needed. Nothing was sent.",
            hint=f"%pip install socksio, or set {variable} to an http proxy, or name {host} in NO_PROXY; then run it again.",
        )
    return proxy


def _split(text: str) -> SplitResult | None:
    """Return the parts of a proxy's address, or None when it is none."""
    text = text.strip()
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = (parts.hostname or "").encode("idna"), parts.port
    except ValueError:
        return None
    is_fine = text.isprintable() and " " not in text and parts.scheme in _PORTS and bool(host) and port != 0
    return parts if is_fine and not {"/", "\\", "@"} & set(parts.hostname or "") else None


def _needs_none(host: str, port: int, named: str) -> bool:
    """Tell whether a host is to be reached without a proxy, by ``NO_PROXY`` or by the settings of the system."""
    name = host.strip("[]").rstrip(".").lower()
    if any(_names(entry, name, port) for entry in re.split(r"[,\s]+", named.lower()) if entry):
        return True
    if urllib.request.getproxies_environment():
        return False
    try:
        return bool(urllib.request.proxy_bypass(name))
    except (OSError, ValueError):
        return False


def _names(entry: str, host: str, port: int) -> bool:
    """Tell whether an entry of ``NO_PROXY`` names a host: as a name, a domain, an address or a range, with or without a port."""
    entry = entry.rpartition("://")[2]
    address = _address(host)
    if address is not None and "/" in entry:
        network = _network(entry)
        return network is not None and address.version == network.version and address in network
    if _address(entry) is None:
        found = re.fullmatch(r"(\[[^\]]*\]|[^:]*):([0-9]{1,5})", entry)
        if found is not None and int(found[2]) != port:
            return False
        entry = found[1] if found is not None else entry
    listed = _address(entry)
    if address is not None or listed is not None:
        return address is not None and (address == listed or entry == "*")
    domain = entry.removeprefix("*.").strip(".")
    if "*" in domain:
        return fnmatch.fnmatchcase(host, domain)
    return bool(domain) and (host == domain or host.endswith(f".{domain}"))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
