"""``%loops login``."""

from __future__ import annotations

import getpass
import os
import warnings
from typing import TYPE_CHECKING

from loops_nb.credentials import ENV_KEY
from loops_nb.errors import AuthenticationError, CredentialsError, LoopsError, PermissionDeniedError
from loops_nb.magics.connection import ask
from loops_nb.magics.grammar import Verb
from loops_nb.tokens import own_service

if TYPE_CHECKING:
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk

_PLACES = {"keyring": "the system keyring", "file": "a file that only you can read"}


def _run(desk: Desk, _values: SimpleNamespace) -> None:
    from loops_nb.credentials import checked_key, store_key  # noqa: PLC0415

    url = desk.connection.key_url()
    if own_service(url) is not None:
        # A key of the hosted service has no business there, and one that any service takes would be kept as a good one.
        raise CredentialsError(
            f"{url} is your local service, which needs no key, so none was asked for.",
            hint="To keep a key for the hosted service, unset LOOPS_BASE_URL (or %config LoopsMagics.base_url = '') first.",
        )
    key = checked_key(_asked(), "What you typed").reveal()
    checked = _check(desk, key, url)
    where = _PLACES[store_key(key)]
    desk.connection.choose(None)
    desk.say(f"{checked} It is kept in {where}; %loops logout removes it.")
    if os.environ.get(ENV_KEY, "").strip():
        desk.say(f"Note: {ENV_KEY} is set and wins over the stored key. Remove it from the environment to use the new one.")
    else:
        desk.say("Next: %loops")


def _asked() -> str:
    try:
        with warnings.catch_warnings():
            # Where the terminal cannot hide what is typed, getpass would go on and show it.
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass("Baseten API key (what you type is not shown): ")
    except (EOFError, NotImplementedError, getpass.GetPassWarning) as error:
        raise CredentialsError(
            "Nobody can be asked for a key here, so nothing was changed.", hint=f"Set {ENV_KEY} in the environment of the kernel instead."
        ) from error


def _check(desk: Desk, key: str, url: str) -> str:
    """Return what to say of the key; a key that the service refuses is not kept."""
    from loops_nb.client.retry import RetryPolicy  # noqa: PLC0415
    from loops_nb.loops import Loops  # noqa: PLC0415

    with Loops(
        api_key=key,
        base_url=url,
        auth_scheme=desk.settings.auth_scheme,
        timeout=min(desk.settings.timeout, 15.0),
        retry=RetryPolicy(attempts=1),
    ) as loops:
        try:
            ask(loops)
        except AuthenticationError:
            raise CredentialsError(
                f"{url} does not accept this key, so it was not kept.",
                hint="Copy the whole key from your Baseten workspace (Settings, API keys) and type %loops login again.",
            ) from None
        except PermissionDeniedError:
            return f"The key is known at {url}, but may not list runs: ask for access to Loops."
        except LoopsError as error:
            return f"The key could not be checked ({error.message.rstrip('.')})."
    return f"The key works at {url}."


VERB = Verb(
    name="login",
    summary="keep an API key for the hosted service; it is asked for, never shown",
    run=_run,
    instead_of_secrets=(
        "An API key on the line is saved in the notebook and in the history, so it was not used.",
        "Delete the line, make a new key in your Baseten workspace, then type %loops login alone: it asks for the key.",
    ),
    notes="The key is checked with the service, then kept in the system keyring, or where there is none in a file that only you can read. "
    "It never stands in the notebook. Where nobody can be asked, set BASETEN_API_KEY.",
    examples=("%loops login",),
)
