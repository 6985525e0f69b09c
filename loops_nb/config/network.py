"""Network settings of the environment: proxies, ``NO_PROXY`` and certificates, for the API and for files.

A variable that cannot be used is an error that names it.  The value of a proxy variable is never shown: it may hold a
password.
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

from loops_nb.config.trusted_hosts import is_loopback
from loops_nb.errors import ConfigError

CERT_FILE, CERT_DIR, KEY_LOG = "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"
#: Variables with certificates for other libraries, which this package does not read.
_OTHER_CERT_FILES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_SYSTEM = "the proxy settings of this system"
_PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
_READ = re.compile(r"(?i).*_proxy|SSL_CERT_FILE|SSL_CERT_DIR|SSLKEYLOGFILE")
_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that the environment names.

    Parameters
    ----------
    variable : str
        Name of the environment variable.
    scheme, host : str
        Its address.
    port : int
        Its port.
    username, password : str, default ""
        Its credentials.
    """

    variable: str
    scheme: str
    host: str
    port: int
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def shown(self) -> str:
        """Address without user name and password."""
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}"

    def hint_for(self, host: str) -> str:
        """Return the hint for a proxy that cannot be used to reach a host."""
        return (
            f"Correct or remove {self.variable}, or name {host} in NO_PROXY to go there without a proxy; then run "
            f"it again."
        )


def proxy_for(scheme: str, host: str, port: int) -> Proxy | None:
    """Return the proxy for an address; None if there is none, and for this machine.

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
    if kind is None or _is_excluded(host, port, known.get("no", "")):
        return None
    return _parsed(known[kind], _variable_of(kind), host)


def variables_in_use() -> list[str]:
    """Return the network variables that are set: proxies with their address, others with their value."""
    lines = []
    for name in sorted(name for name, text in os.environ.items() if text and _READ.fullmatch(name)):
        if name.lower().endswith("_proxy") and name.lower() != "no_proxy":
            try:
                lines.append(f"{name}={_parsed(os.environ[name], name, 'the host').shown}")
            except ConfigError:
                lines.append(f"{name} (not usable)")
        else:
            lines.append(f"{name}={os.environ[name]}")
    return lines


def fingerprint() -> int:
    """Return a hash of the variables that this module reads."""
    return hash(tuple(sorted((name, text) for name, text in os.environ.items() if _READ.fullmatch(name))))


def ssl_context() -> ssl.SSLContext:
    """Return the SSL context of this process; loading the certificates takes longer than most requests.

    Raises
    ------
    ConfigError
        If the environment names certificates that cannot be used.
    """
    with _lock:
        return _ssl_context(*(os.environ.get(name, "") for name in (CERT_FILE, CERT_DIR, KEY_LOG)))


def certificate_hint(reason: str) -> str:
    """Return the hint for a certificate that is not trusted.

    Parameters
    ----------
    reason : str
        The message of OpenSSL.
    """
    if "expired" in reason or "not yet valid" in reason:
        return (
            f"Check the clock of this machine, which says {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, then the "
            f"certificate of the server."
        )
    for name in (CERT_FILE, CERT_DIR):
        if os.environ.get(name):
            return (
                f"{name} names {os.environ[name]}, and only the certificates there are trusted: "
                f"add that of the authority, such as a company proxy, or remove {name}; then run it again."
            )
    for name in _OTHER_CERT_FILES:
        if os.environ.get(name):
            return (
                f"{name} is set, but only {CERT_FILE} counts here: set {CERT_FILE} to {os.environ[name]} as well, "
                f"then run it again."
            )
    return f"Behind a company proxy, set {CERT_FILE} to its certificate."


@lru_cache(maxsize=1)
def _ssl_context(file: str, folder: str, key_log: str) -> ssl.SSLContext:
    import certifi  # only for https

    if file and not Path(file).exists():
        raise _unusable(CERT_FILE, file, "there is no such file")
    if folder and not any(Path(one).is_dir() for one in folder.split(os.pathsep)):
        raise _unusable(CERT_DIR, folder, "there is no such folder")
    try:
        return ssl.create_default_context(cafile=file or (None if folder else certifi.where()), capath=folder or None)
    except (OSError, ValueError) as error:
        # The same call opens the key log, and only Python's own errors name their file.
        name, path = (
            (KEY_LOG, key_log) if key_log and getattr(error, "filename", None) == key_log else (CERT_FILE, file)
        )
        if not path:
            text = f"The certificates that come with certifi cannot be loaded ({_reason(error)})."
            raise ConfigError(text, hint="%pip install -U certifi") from None
        raise _unusable(name, path, _reason(error)) from None


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "it has no readable certificate in PEM format"
    return str(getattr(error, "strerror", None) or error)


def _unusable(name: str, path: str, why: str) -> ConfigError:
    return ConfigError(
        f"{name} names {path}, which cannot be used: {why}. Nothing was sent.",
        hint=f"Correct {name} in the environment, or remove it; then run it again.",
    )


def _variable_of(kind: str) -> str:
    wanted = f"{kind}_proxy"
    # In urllib the lower-case name wins.
    spelt = [wanted, wanted.upper(), *(name for name in os.environ if name.lower() == wanted)]
    return next((name for name in spelt if os.environ.get(name)), _SYSTEM)


def _parsed(text: str, variable: str, host: str) -> Proxy:
    parts = _split(text)
    if parts is None:
        raise ConfigError(
            f"{variable} cannot be used: it is not a proxy address such as http://proxy.example:3128 "
            "(its value is not shown, as it may hold a password). Nothing was sent.",
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
            f"{variable} names a SOCKS proxy ({proxy.shown}), for which the package socksio is needed. Nothing was "
            f"sent.",
            hint=(
                f"%pip install socksio, or set {variable} to an http proxy, or name {host} in NO_PROXY; then run it "
                f"again."
            ),
        )
    return proxy


def _split(text: str) -> SplitResult | None:
    """Return the parts of a proxy's address; None if it is not one."""
    text = text.strip()
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = (parts.hostname or "").encode("idna"), parts.port
    except ValueError:
        return None
    is_fine = text.isprintable() and " " not in text and parts.scheme in _PORTS and bool(host) and port != 0
    return parts if is_fine and not {"/", "\\", "@"} & set(parts.hostname or "") else None


def _is_excluded(host: str, port: int, named: str) -> bool:
    """Tell whether ``NO_PROXY`` or the settings of the system exclude a host from the proxy."""
    name = host.strip("[]").rstrip(".").lower()
    if any(_matches(entry, name, port) for entry in re.split(r"[,\s]+", named.lower()) if entry):
        return True
    if urllib.request.getproxies_environment():
        return False
    try:
        return bool(urllib.request.proxy_bypass(name))
    except (OSError, ValueError):
        return False


def _matches(entry: str, host: str, port: int) -> bool:
    """Tell whether an entry of ``NO_PROXY`` (name, domain, address or range; port optional) matches a host."""
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
