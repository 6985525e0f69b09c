"""``%loops logout``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from loops_nb.credentials import ENV_KEY
from loops_nb.magics.grammar import Verb

if TYPE_CHECKING:
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk


def _run(desk: Desk, _values: SimpleNamespace) -> None:
    from loops_nb.credentials import forget_key  # noqa: PLC0415

    had = forget_key()
    desk.connection.choose(None)
    desk.knowledge.forget()
    desk.say(
        "The stored key is removed. It is still valid: revoke it in your Baseten workspace if it was exposed."
        if had
        else "No key was stored."
    )
    if os.environ.get(ENV_KEY, "").strip():
        desk.say(f"{ENV_KEY} is set in the environment and goes on being used.")


VERB = Verb(name="logout", summary="remove the stored API key from this machine", run=_run, examples=("%loops logout",))
