"""What every verb works with: the connection, what is known, and a way to speak and to ask."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from loops_nb import console
from loops_nb.errors import InvalidArgumentError, LoopsError, NotFoundError, ServiceUnreachableError, with_hint
from loops_nb.magics.grammar import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from loops_nb.loops import Loops
    from loops_nb.magics.connection import Connection
    from loops_nb.magics.knowledge import Knowledge
    from loops_nb.magics.magic import LoopsMagics


class Desk:
    """One per shell.

    Parameters
    ----------
    shell
        The IPython shell.
    magics
        The settings.
    connection, knowledge
        Shared by all verbs.
    """

    def __init__(self, shell: Any, magics: LoopsMagics, connection: Connection, knowledge: Knowledge) -> None:
        self.shell = shell
        self.settings = magics
        self.connection = connection
        self.knowledge = knowledge

    @property
    def loops(self) -> Loops:
        """The client.

        Raises
        ------
        CredentialsError
            If there is nowhere to connect to.
        """
        return self.connection.client()

    def say(self, text: str) -> None:
        """Print a text below the cell."""
        console.say(text)

    def listing(self, kind: str, frame: pd.DataFrame, *, nothing: str, filters: str = "", no_match: str = "") -> pd.DataFrame:
        """Return a listing that was fetched, and learn from it.

        Parameters
        ----------
        kind
            The frame's kind.
        frame
            The listing.
        nothing
            What to say when there is nothing at all, and what to do about it.
        filters
            The conditions that were asked for, for people; empty when there were none.
        no_match
            What to do when nothing meets them.
        """
        self.knowledge.learn(kind, frame)
        if not len(frame):
            from loops_nb.frames.derived import EMPTY_ATTR  # noqa: PLC0415 - pandas is there when a frame is there

            frame.attrs[EMPTY_ATTR] = f"No {kind} match {filters}. {no_match}".strip() if filters else nothing
        return frame

    def near(self, *wanted: tuple[str, str | None]) -> str:
        """Return "Did you mean ...?" for the first filter that is nearly something known, with its kind; empty if none is."""
        for kind, word in wanted:
            known = self.knowledge.known(kind) if word else []
            if word and word not in known and (said := did_you_mean(word, known)):
                return said
        return ""

    def confirm(self, question: str, *, sure: bool) -> bool:
        """Ask before something that cannot be taken back.

        Raises
        ------
        InvalidArgumentError
            If nobody can be asked here.
        """
        if sure:
            return True
        try:
            answer = input(console.encodable(f"{question} [y/N] "))
        except (EOFError, NotImplementedError) as error:
            raise InvalidArgumentError(
                "Nobody can be asked here, so nothing was changed.", hint="Add -y to the line if you are sure."
            ) from error
        return answer.strip().lower() in {"y", "yes"}

    @contextmanager
    def naming(self, kind: str, word: str) -> Iterator[None]:
        """Make the error for an unknown id offer the ids that are nearly the same."""
        try:
            yield
        except NotFoundError as error:
            from loops_nb.magics.knowledge import refresh  # noqa: PLC0415

            if word not in self.knowledge.known(kind):
                refresh(self.knowledge, self.loops, kind)
            if word in self.knowledge.known(kind):
                # It is there: something else of the line is not, and the error says what.
                raise
            other = [k for k in ("run", "sampler", "deployment", "session", "checkpoint") if k != kind and word in self.knowledge.known(k)]
            hint = (
                f"That is the id of a {other[0]}: {_VERB_OF[other[0]]} {word}" if other else did_you_mean(word, self.knowledge.known(kind))
            )
            raise with_hint(error, hint or f"{_LIST_OF[kind]} lists what there is.") from None

    @contextmanager
    def local_hint(self) -> Iterator[None]:
        """Make the error of a local service that is not there say how to start it."""
        try:
            yield
        except ServiceUnreachableError as error:
            live = self.connection.live
            if live is not None and live.is_local and live.base_url in error.message and error.nobody_listens:
                moved = self.connection.follow_local()
                if moved is not None:
                    raise with_hint(error, f"The local service now runs on {moved}: run the line again.") from None
                # It may be started again elsewhere: the next line looks where it is, unless the address itself was chosen.
                self.connection.drop()
                raise with_hint(
                    error, "If it is the local service, type %loops local start to start it again (its data is kept)."
                ) from None
            if live is not None and not live.is_local and _local_service_runs():
                raise with_hint(error, f"{error.hint} A local service runs on this machine: %loops connect local") from None
            raise


def _local_service_runs() -> bool:
    from loops_nb.local import launcher  # noqa: PLC0415

    try:
        return launcher.status() is not None
    except LoopsError:
        return False


_VERB_OF = {
    "run": "%loops run",
    "sampler": "%loops sampler",
    "deployment": "%loops deployment",
    "session": "%loops sessions",
    "checkpoint": "%loops files",
}
_LIST_OF = {
    "run": "%loops runs",
    "sampler": "%loops samplers",
    "deployment": "%loops deployments",
    "session": "%loops runs (its column session_id)",
    "checkpoint": "%loops checkpoints RUN",
}
