"""``%loops logout``."""

from __future__ import annotations

import os

from loops_nb.config.credentials import ENV_KEY
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb


def _run(context: MagicContext, _values: Values) -> None:
    from loops_nb.config.credentials import forget_key

    removed = forget_key()
    context.connection.select(None)
    context.cache.clear()
    if removed:
        context.say(
            "The stored key is removed. It is still valid: revoke it in your Baseten workspace if it was exposed."
        )
    else:
        context.say("No key was stored.")
    if os.environ.get(ENV_KEY, "").strip():
        context.say(f"{ENV_KEY} is set in the environment and is still used.")


VERB = Verb(name="logout", summary="remove the stored API key from this machine", run=_run, examples=("%loops logout",))
