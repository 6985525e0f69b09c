"""What every verb works with: the connection, what is known, and a way to speak and to ask."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from loops_nb import console
from loops_nb.errors import (
    APIError,
    AuthenticationError,
    InvalidArgumentError,
    LoopsError,
    NotFoundError,
    ServiceUnreachableError,
    with_hint,
)
from loops_nb.magics.grammar import did_you_mean, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from loops_nb.loops import Loops
    from loops_nb.magics.connection import Connection
    from loops_nb.magics.knowledge import Knowledge
    from loops_nb.magics.magic import LoopsMagics
    from loops_nb.models import Run

# A listing this old still tells which run has a name; what cannot be taken back asks for a new one.
_SECONDS_OF_A_LISTING = 5.0


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
        self._listed: tuple[Loops, float, list[Run]] | None = None

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

    def run_id(self, word: str, *, exact: bool = False) -> str:
        """Return the id of the run that a word of a line means.

        Parameters
        ----------
        word
            An id, or a name that only one run has.  An id always wins over a name.
        exact
            For what cannot be taken back: the name must be the same in upper and lower case, and is looked up in a new listing.

        Returns
        -------
        str
            The id; the word itself where no run has such a name, for it may be the id of a colleague's run.

        Raises
        ------
        InvalidArgumentError
            If several runs have the name.
        NotFoundError
            If no run has the name, and the word cannot be an id.
        """
        found = self._run_named(word, exact=exact)
        if found is not None:
            return found.id
        self._check_can_be_an_id("run", word)
        return word

    def sampler_id(self, word: str) -> str:
        """Return the id of the sampler that a word means: its own id, or the name of the only run that it is paired with."""
        if word in self.knowledge.known("sampler"):
            return word
        run = self._run_named(word)
        if run is None or run.id == word or run.sampler is None:
            self._check_can_be_an_id("sampler", word)
            return word
        return run.sampler.id

    def deployment_id(self, word: str) -> str:
        """Return the id of the Loops deployment that a word means: its own id, or the name of the only run on it."""
        if word in self.knowledge.known("deployment"):
            return word
        run = self._run_named(word)
        if run is None or run.id == word or run.deployment_id is None:
            self._check_can_be_an_id("deployment", word)
            return word
        return run.deployment_id

    def runs(self, *, is_new: bool = False) -> list[Run]:
        """Return the caller's runs, as they were listed a moment ago or are now; empty where they may not be listed."""
        loops = self.loops
        kept = self._listed
        if kept is not None and not is_new and kept[0] is loops and time.monotonic() - kept[1] < _SECONDS_OF_A_LISTING:
            return kept[2]
        try:
            runs = loops.runs.list()
        except APIError as error:
            if isinstance(error, AuthenticationError):
                raise
            # An id is still good for the route that the line is about, whose error says more.
            return []
        self.knowledge.meet(runs)
        self._listed = (loops, time.monotonic(), runs)
        return runs

    def _run_named(self, word: str, *, exact: bool = False) -> Run | None:
        from loops_nb.client.run_names import run_named  # noqa: PLC0415 - the words of a line are read without a client

        if word in self.knowledge.known("run"):
            kept = self._listed[2] if self._listed is not None else []
            return next((run for run in kept if run.id == word), None)
        return run_named(word, self.runs(is_new=exact), argument="run", exact=exact)

    def _check_can_be_an_id(self, kind: str, word: str) -> None:
        from loops_nb.client.checks import is_identifier  # noqa: PLC0415

        if not is_identifier(word):
            known = [*self.knowledge.known("run_name"), *self.knowledge.known(kind)]
            near = did_you_mean(word, known, otherwise=f"{_LIST_OF[kind]} lists what there is.")
            raise NotFoundError(f"There is no {kind} {shown(word)}, neither by its id nor by its name.", status=404, hint=near)

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
            known = [*self.knowledge.known(kind), *(self.knowledge.known("run_name") if kind in _NAMED_BY_RUNS else ())]
            hint = f"That is the id of a {other[0]}: {_VERB_OF[other[0]]} {word}" if other else did_you_mean(word, known)
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


_NAMED_BY_RUNS = ("run", "sampler", "deployment")
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
