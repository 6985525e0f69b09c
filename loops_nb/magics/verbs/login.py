"""``%loops login``."""

from __future__ import annotations

import getpass
import os
import warnings

from loops_nb.config.credentials import ENV_KEY
from loops_nb.config.local_services import own_service
from loops_nb.errors import AuthenticationError, CredentialsError, LoopsError, PermissionDeniedError
from loops_nb.magics.connection import check_connection
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb

_PLACES = {"keyring": "the system keyring", "file": "a file that only you can read"}


def _run(context: MagicContext, _values: Values) -> None:
    from loops_nb.config.credentials import checked_key, has_keyring_package, store_key

    url = context.connection.key_url()
    if own_service(url) is not None:
        # A local service accepts its own token only; with --any-key it would confirm any text as a valid key.
        raise CredentialsError(
            f"{url} is your local service, which needs no key.",
            hint=(
                "To store a key for the hosted service, unset LOOPS_BASE_URL (or %config LoopsMagics.base_url = '') "
                "first."
            ),
        )
    key = checked_key(_prompt(context), "What you typed").reveal()
    checked = _check(context, key, url)
    place = store_key(key)
    context.connection.select(None)
    context.say(f"{checked} It is stored in {_PLACES[place]}; %loops logout removes it.")
    if place == "file" and not has_keyring_package():
        context.say('To store it in the system keyring: %pip install "loops_nb[keyring]", then %loops login again.')
    if os.environ.get(ENV_KEY, "").strip():
        context.say(f"Note: {ENV_KEY} is set and takes precedence over the stored key. Unset it to use the new one.")
    else:
        context.say("Next: %loops")


def _prompt(context: MagicContext) -> str:
    try:
        with warnings.catch_warnings():
            # Where the terminal cannot hide the input, getpass would warn and show it.
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass("Baseten API key (what you type is not shown): ")
    except (EOFError, NotImplementedError, getpass.GetPassWarning) as error:
        where = "environment" if context.is_shell else "environment of the kernel"
        raise CredentialsError(
            "This session cannot prompt for a key, so nothing was changed.",
            hint=f"Set {ENV_KEY} in the {where} instead.",
        ) from error


def _check(context: MagicContext, key: str, url: str) -> str:
    """Check the key with the service, and return the result as a sentence; raise if the key is rejected."""
    from loops_nb.client.retry import RetryPolicy
    from loops_nb.resources.loops import Loops

    with Loops(
        api_key=key,
        base_url=url,
        auth_scheme=context.settings.auth_scheme,
        timeout=min(context.settings.timeout, 15.0),
        retry=RetryPolicy(attempts=1),
    ) as loops:
        try:
            check_connection(loops)
        except AuthenticationError:
            raise CredentialsError(
                f"{url} does not accept this key, so it was not stored.",
                hint="Copy the whole key from your Baseten workspace (Settings, API keys) and type %loops login again.",
            ) from None
        except PermissionDeniedError:
            return f"The key is valid at {url}, but lacks access to Loops: ask your workspace admin."
        except LoopsError as error:
            return f"The key could not be checked ({error.message.rstrip('.')})."
    return f"The key works at {url}."


VERB = Verb(
    name="login",
    summary="store an API key for the hosted service; prompts for it, never shows it",
    run=_run,
    secret_warning=(
        "An API key on the line is saved in the history (and with a notebook), so it was not used.",
        "Delete the line, make a new key in your workspace, then run %loops login alone: it prompts for the key.",
    ),
    notes="The key is checked with the service, then stored in the system keyring, or without one in a file that "
    "only you can read. It is never saved in the notebook. In scripts, set BASETEN_API_KEY.",
    examples=("%loops login",),
)
