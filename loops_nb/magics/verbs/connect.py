"""``%loops connect [URL]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.errors import LocalServiceError
from loops_nb.magics.connection import LOCAL
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Argument, InShell, Values, Verb
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
    context.answer(f"Connected to {loops.base_url} ({context.connection.because}), {key_source_text(loops)}.")
    if context.is_shell and url is not None:
        context.say(f"It was for this command only. For those that follow: export LOOPS_BASE_URL={loops.base_url}")
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
    shell=InShell(
        summary="check the connection to a service",
        notes="Each command connects by itself: to LOOPS_BASE_URL, to the address in pyproject.toml, to the hosted "
        "service if there is an API key, else to the local service that runs.",
    ),
    notes=(
        "The connection changes only if the service responds. The API key is never part of the line: set "
        "BASETEN_API_KEY or use %loops login."
    ),
    examples=("%loops connect", "%loops connect http://127.0.0.1:8787", "loops = %loops connect"),
)
