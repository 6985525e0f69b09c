"""Which texts are secrets, and their removal: names of keys, presigned URLs, passwords in URLs, keys by their shape.

Each rule is here once.  Over-redaction is the safe side: what is left out can be read in the notebook, what is stored
is exported and shared.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

#: Stands for a secret that is not stored.
HIDDEN = "<not kept>"
#: No secret is shorter; shorter values are ordinary words.
SHORTEST_SECRET = 8
_SECRET_NAME = re.compile(
    r"(?i)(?:^|[_.-])(?:api[_-]?key|secret|password|passwd|access[_-]?token|auth[_-]?token|credentials?)$"
)
# Names of environment variables and options, in capital letters with underscores.
_SECRET_VARIABLE = re.compile(
    r"SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY"
    r"|(?:^|_)(?:KEY|TOKEN|PASS|PAT|AUTH|PROXY)(?:_|$)"
)
# A presigned URL works without a key, so its signature is a secret.
_SIGNED = re.compile(r"(?i)([?&](?:x-amz-[a-z-]+|x-goog-[a-z-]+|signature|sig|token|awsaccesskeyid)=)[^&\s\"']+")
_URL_WITH_QUERY = re.compile(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>]+")
_URL_WITH_PASSWORD = re.compile(r"://[^/@\s]+:[^/@\s]+@")

_URL_WITH_USER = re.compile(r"(?<![\w+.-])([A-Za-z][\w+.-]*://)[^/@\s]+@")
_SCHEME_AND_KEY = re.compile(r"(?i)\b(bearer|basic|api-key|token)(\s+)(?!<)[\w.~+/=-]{6,}")
# A name, a colon or an equals sign, and a value: in a header, a query, JSON or a configuration.
_NAMED_VALUE = re.compile(r"(?<![\w.-])([A-Za-z_][\w.-]*)([\"']?\s*[:=]\s*[\"']?)([^\s\"',;&{}\[\]]+)")
_KEY_SHAPES = re.compile(
    r"""(?x)-----BEGIN[ A-Z]*PRIVATE\ KEY-----.*
    | (?<![A-Za-z0-9])(?:
        (?:sk|pk|rk)-[\w-]{16,} | (?:sk|pk|rk)_(?:live|test)_\w{8,} | hf_\w{10,} | gh[opsur]_\w{10,}
      | github_pat_\w{10,} | glpat-[\w-]{10,} | xox[a-z]-[\w-]{8,} | npm_\w{16,} | pypi-[\w-]{16,} | wandb_v\d_\w{10,}
      | A[KS]IA[A-Z0-9]{12,} | AIza[\w-]{20,} | ya29\.[\w-]{10,} | eyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?
      | [A-Za-z0-9]{6,12}\.[A-Za-z0-9]{24,}(?![A-Za-z0-9])
    )""",
    re.DOTALL,
)
_LONG_RUN = re.compile(r"[\w+=-]{20,}")
_LETTERS_AND_DIGITS = re.compile(r"[A-Za-z0-9]{20,}")
_CLASS_CHANGE = re.compile(r"[a-z](?=[A-Z0-9])|[A-Z](?=[a-z0-9])|[0-9](?=[A-Za-z])")
#: Share of characters of a random key that another class of characters follows, at least; in words it is lower.
_KEY_CHANGES = 0.4
_HEX_RUN = re.compile(r"(?<![\w/\\-])[0-9a-fA-F]{32,}(?![\w/\\-])")
# Names of options whose value is a hash, but no key.
_HASH_NAME = re.compile(r"(?i)(?:revision|rev|commit|sha\d*|hash|digest|checksum|ref)$")
# In the middle of the name of an option these words are about something else: --token-budget 4096.
_ENDS_WITH_SECRET = re.compile(r"(?:KEY|TOKEN|PASS|PAT|AUTH)$")
_PLAIN_VALUE = re.compile(r"(?i)[+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:e[+-]?\d+)?|true|false|none|null")
_SETTING = re.compile(r"[+~]*[A-Za-z_][\w./-]*")
_MOST_WORDS, _LONGEST_WORD = 200, 1_000


def is_secret_name(name: str) -> bool:
    """Return whether a name is that of a secret parameter: ``api_key``, ``db.password``, ``auth-token``."""
    return _SECRET_NAME.search(name) is not None


def is_secret_variable(name: str) -> bool:
    """Return whether an environment variable holds a key, a token or a password, or names a proxy."""
    return _SECRET_VARIABLE.search(name.upper()) is not None


def has_password(text: str) -> bool:
    """Return whether a text has a URL with a password."""
    return _URL_WITH_PASSWORD.search(text) is not None


def without_signatures(text: str) -> str:
    """Return a text without the signatures of presigned URLs; the other parts of their queries stay."""
    return _SIGNED.sub(rf"\1{HIDDEN}", text) if "=" in text else text


def without_queries(text: str) -> str:
    """Return a text without the whole queries of URLs."""
    return _URL_WITH_QUERY.sub(r"\1?<signature>", text)


def redact_command(words: Sequence[str], variables: Mapping[str, str] | None = None) -> list[str]:
    """Return the words of a command line without what looks like a secret.

    Left out are values of options and settings with the name of a secret (``--api-key X``, ``--token=X``,
    ``db.password=X``, headers, JSON), queries of URLs, users and passwords in URLs, values that have the form of a key,
    and the values of environment variables with the name of a secret.

    Parameters
    ----------
    words : sequence of str
        ``sys.argv``.
    variables : mapping of str to str, optional
        Environment variables; by default those of this process.

    Returns
    -------
    list of str
        At most 200 words and a note of how many more there were; a word of more than 1,000 characters is replaced.

    Examples
    --------
    >>> redact_command(["train.py", "--lr", "1e-4", "--api-key", "abc", "https://x.example/f?sig=def"], {})
    ['train.py', '--lr', '1e-4', '--api-key', '<not kept>', 'https://x.example/f?<signature>']
    """
    found = list(_redacted_words(words[:_MOST_WORDS], os.environ if variables is None else variables))
    if len(words) > _MOST_WORDS:
        found.append(f"<{len(words) - _MOST_WORDS:,} more>")
    return found


def value_redactor(variables: Mapping[str, str] | None = None) -> Callable[[str, str], str]:
    """Return a function from a text and its name to the text without secrets, as `redact_command` leaves them out.

    The text is a line of a log, a note, the value of a parameter.  The name is what it is the value of, or empty: that
    of ``api_key`` is left out, and that of ``commit`` may be a hash.

    Parameters
    ----------
    variables : mapping of str to str, optional
        Environment variables; by default those of this process, as they are now.

    Returns
    -------
    callable
        The function.

    Examples
    --------
    >>> value_redactor({})("GET https://x.example/f?sig=def", "")
    'GET https://x.example/f?<signature>'
    """
    secrets = _secrets_of(os.environ if variables is None else variables)
    return lambda value, name: _redacted_value(value, name, secrets)


def _secrets_of(variables: Mapping[str, str]) -> list[str]:
    secrets = [
        value.strip()
        for name, value in variables.items()
        if is_secret_variable(name) and len(value.strip()) >= SHORTEST_SECRET
    ]
    # The longest first: one may be a part of another.
    return sorted(secrets, key=len, reverse=True)


def _redacted_words(words: Sequence[str], variables: Mapping[str, str]) -> Iterator[str]:
    secrets = _secrets_of(variables)
    #: The option whose value comes next, and whether it takes several.
    option, takes_several = "", False
    for word in words:
        if len(word) > _LONGEST_WORD:
            yield f"<{len(word):,} characters>"
            option = option if takes_several else ""
            continue
        name, equals, value = word.partition("=")
        is_secret = bool(option) and _names_secret(option, word)
        # A key may begin with a hyphen.
        if _is_option(word) and not (is_secret and word[1] != "-" and len(word) >= SHORTEST_SECRET):
            option = "" if equals else name
            takes_several = not equals and name.endswith("s")
            if equals:
                yield f"{name}={_redacted_value(value, name, secrets)}"
            else:
                yield _redacted(word, secrets)
            continue
        if equals and not is_secret and _SETTING.fullmatch(name):
            yield f"{name}={_redacted_value(value, name, secrets)}"
        else:
            yield _redacted_value(word, option, secrets)
        option = option if takes_several else ""


def _is_option(word: str) -> bool:
    return word.startswith("-") and len(word) > 1 and _PLAIN_VALUE.fullmatch(word) is None


def _redacted_value(value: str, name: str, secrets: Sequence[str]) -> str:
    """Return the value of an option without secrets."""
    if value and _names_secret(name, value):
        return HIDDEN
    return _redacted(value, secrets, keeps_hashes=_HASH_NAME.search(name) is not None)


def _names_secret(name: str, value: str) -> bool:
    # `--api-keys` and `--apiKey` are the same name.
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip("-+"))
    plain = re.sub(r"\W+", "_", parts).upper()
    if is_secret_name(parts) or is_secret_name(parts.removesuffix("s")):
        return True
    if not is_secret_variable(plain) and not (plain.endswith("KEYS") and is_secret_variable(plain.removesuffix("S"))):
        return False
    return _ENDS_WITH_SECRET.search(plain) is not None or _PLAIN_VALUE.fullmatch(value) is None


def _redacted(text: str, secrets: Sequence[str], *, keeps_hashes: bool = False) -> str:
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    text = _URL_WITH_USER.sub(rf"\1{HIDDEN}@", without_queries(text))
    text = _NAMED_VALUE.sub(_without_named_value, text)
    text = _SCHEME_AND_KEY.sub(rf"\1\2{HIDDEN}", text)
    text = _KEY_SHAPES.sub(HIDDEN, text)
    text = _LONG_RUN.sub(_without_key, text)
    return text if keeps_hashes else _HEX_RUN.sub(HIDDEN, text)


def _without_named_value(found: re.Match[str]) -> str:
    name, sign, value = found.groups()
    if value.startswith("//") or HIDDEN.startswith(value) or not _names_secret(name, value):
        return found[0]
    return f"{name}{sign}{HIDDEN}"


def _without_key(found: re.Match[str]) -> str:
    """Return a run of letters and digits, or what stands for it if it has the mixture of a random key."""
    text = found[0]
    if _is_mixed(text) and len(_CLASS_CHANGE.findall(text)) >= _KEY_CHANGES * len(text):
        return HIDDEN
    return HIDDEN if any(map(_is_mixed, _LETTERS_AND_DIGITS.findall(text))) else text


def _is_mixed(text: str) -> bool:
    digits = sum(character.isdigit() for character in text)
    return digits > 1 and any(map(str.islower, text)) and any(map(str.isupper, text))
