"""``%loops connect [URL]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.errors import LocalServiceError
from loops_nb.magics.connection import LOCAL
from loops_nb.magics.grammar import Takes, Verb
from loops_nb.magics.phrases import key_words

if TYPE_CHECKING:
    from types import SimpleNamespace

    from loops_nb.loops import Loops
    from loops_nb.magics.desk import Desk


def _run(desk: Desk, values: SimpleNamespace) -> Loops:
    url = values.url
    if url == "local":
        from loops_nb.local import launcher  # noqa: PLC0415

        running = launcher.status()
        if running is None:
            raise LocalServiceError("No local service is running.", hint="Type %loops local start")
        loops = desk.connection.connect(running.url, because=LOCAL)
    else:
        loops = desk.connection.connect(url)
    desk.say(f"Connected to {loops.base_url} ({desk.connection.because}), {key_words(loops)}.")
    return loops


VERB = Verb(
    name="connect",
    summary="go to a service, or show where you are; gives the Python client",
    run=_run,
    arguments=(
        Takes(
            name="url",
            metavar="URL",
            words=("local",),
            free=True,
            help="address of the service, or 'local' for the local one; without it the settings say where",
        ),
    ),
    notes="The service is asked before anything changes. The key is never part of the line: BASETEN_API_KEY, or %loops login.",
    examples=("%loops connect", "%loops connect http://127.0.0.1:8787", "loops = %loops connect"),
)
