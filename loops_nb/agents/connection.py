"""The connection of the tools, made as in a shell when the first tool needs it, and what guards every call."""

from __future__ import annotations

import logging
from functools import cache, wraps
from threading import Lock
from typing import TYPE_CHECKING, Any, ParamSpec

from loops_nb.agents.answers import failure
from loops_nb.cli.context import ShellContext
from loops_nb.cli.wording import in_shell
from loops_nb.errors import LoopsError
from loops_nb.faults import HINT, record
from loops_nb.frames.listing_rows import ListingRows
from loops_nb.magics.call import call_verb
from loops_nb.magics.grammar import Values, Verb
from loops_nb.resources.frames import frame_of
from loops_nb.resources.metrics import RecordedMetrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from loops_nb.resources.loops import Loops

P = ParamSpec("P")
_logger = logging.getLogger(__name__)
_connecting = Lock()


class ToolError(Exception):
    """A tool failed; the text is for the agent."""


class AgentContext(ShellContext):
    """The context of a verb whose texts are collected, and which is confirmed beforehand or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def say(self, text: str) -> None:
        """Collect a message."""
        self.texts += in_shell(text).splitlines()

    answer = print_lines = say

    def confirm(self, question: str, *, sure: bool) -> bool:
        """Return whether it was confirmed beforehand; collect the question if it was not."""
        if not sure:
            self.say(question)
        return sure


@cache
def _shared() -> AgentContext:
    return AgentContext()


def shared_context() -> AgentContext:
    """Return the context of all tools, and with it the connection."""
    with _connecting:
        context = _shared()
        if context.settings.project_error is not None:
            # The file may have been corrected since.
            context.settings.read_project()
        return context


def connected() -> Loops:
    """Return the connected client.

    Raises
    ------
    CredentialsError
        If there is no service to connect to, or no key for it.
    """
    context = shared_context()
    with _connecting:
        return context.loops


def experiments() -> RecordedMetrics:
    """Return the experiments of this machine; needs no connection."""
    return RecordedMetrics()


def verb_texts(verb: Verb, **given: Any) -> tuple[Any, list[str]]:
    """Return what a verb returns and its lines of text; arguments that are not given have their defaults."""
    defaults = {one.name: () if one.repeated else one.default for one in (*verb.arguments, *verb.options)}
    context = AgentContext()
    # A connection of its own would begin with another handshake.
    context.connection = shared_context().connection
    result = call_verb(context, verb, Values(**(defaults | given)))
    return frame_of(result) if isinstance(result, ListingRows) else result, context.texts


def agent_tool(function: Callable[P, str]) -> Callable[P, str]:
    """Make a function a tool: the API key is in no answer, and every error is a `ToolError` that says what to do."""

    @wraps(function)
    def call(*args: P.args, **named: P.kwargs) -> str:
        try:
            with shared_context().explain_unreachable():
                return _without_key(function(*args, **named))
        except LoopsError as error:
            failed = error
        except Exception as error:  # noqa: BLE001 - reported, and logged with its traceback
            failed = LoopsError(record(_logger, f"answering {function.__name__}", error).reason, hint=HINT)
        raise ToolError(_without_key(failure(failed)))

    return call


def _without_key(text: str) -> str:
    # Keys of the environment are left out with all other secrets; this one may be of the keyring or a file.
    client = shared_context().connection.current
    return text if client is None else client.config.key.secret.redact(text)
