"""``%loops connect [URL]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.errors import LocalServiceError
from loops_nb.magics.connection import LOCAL
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Argument, Values, Verb
from loops_nb.magics.status import key_source_text

if TYPE_CHECKING:
    from loops_nb.resources.loops import Loops


def _run(context: MagicContext, values: Values) -> Loops:
    url = values.url
    if url == "local":
        from loops_nb.local import launcher

        running = launcher.status()
        if running is None:
            raise LocalServiceError("No local service is running.", hint="Type %loops local start")
        loops = context.connection.connect(running.url, because=LOCAL)
    else:
        loops = context.connection.connect(url)
    context.say(f"Connected to {loops.base_url} ({context.connection.because}), {key_source_text(loops)}.")
    return loops


VERB = Verb(
    name="connect",
    summary="connect to a service, or show the connection; returns the Python client",
    run=_run,
    arguments=(
        Argument(
            "url",
            "URL",
            "address of the service, or 'local' for the local service; default from the settings",
            keywords=("local",),
            free_text=True,
        ),
    ),
    notes=(
        "The connection changes only if the service responds. The API key is never part of the line: set "
        "BASETEN_API_KEY or use %loops login."
    ),
    examples=("%loops connect", "%loops connect http://127.0.0.1:8787", "loops = %loops connect"),
)
