"""Per-shell context passed to every verb: connection, settings, completion cache, output and questions."""

from __future__ import annotations

import logging
import shutil
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

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
from loops_nb.magics.suggest import did_you_mean, safe_repr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import pandas as pd

    from loops_nb.api.models import Run
    from loops_nb.errors import ConfigError
    from loops_nb.frames.listing_rows import ListingRows
    from loops_nb.magics.completion_cache import CompletionCache
    from loops_nb.magics.connection import SharedClient
    from loops_nb.panels.widget import LiveWidget
    from loops_nb.resources.loops import Loops

    Rows = TypeVar("Rows", pd.DataFrame, ListingRows)

_logger = logging.getLogger(__name__)
# Names of runs are resolved from a listing of at most this age; a deactivation always fetches a new one.
_LISTING_MAX_AGE_SECONDS = 5.0
# What ends the text of a live panel; in a terminal a shell shows it live as well.
_HOW_TO_SEE_LIVE = "To see it live, type in a notebook: "


class MagicSettings(Protocol):
    """Settings of ``%loops``; `LoopsMagics` has them as traits."""

    auth_scheme: Any
    poll_interval: Any
    row_limit: Any
    sample_rate: Any
    time_zone: Any
    timeout: Any
    train_rate: Any
    project_file: Path | None
    project_error: ConfigError | None

    def read_project(self) -> None:
        """Read the settings of the project's ``pyproject.toml`` again."""


class MagicContext:
    """What every verb needs; one per shell.

    Parameters
    ----------
    shell : InteractiveShell
        The IPython shell.
    settings : MagicSettings
        Current settings.
    connection : SharedClient
        Connection to the service, shared by all verbs.
    cache : CompletionCache
        Ids and names for completion and suggestions.
    """

    #: Whether it is of ``loops-nb``: a shell without variables, cells and panels.
    is_shell = False

    def __init__(self, shell: Any, settings: MagicSettings, connection: SharedClient, cache: CompletionCache) -> None:
        self.shell = shell
        self.settings = settings
        self.connection = connection
        self.cache = cache
        #: Set by a verb that says what is wrong without failing; a shell then ends with a status that says so.
        self.found_problem = False
        #: Whether a frame will be made of the answer to the next request.
        self.preload_with_request: bool = False
        self._listed: tuple[Loops, float, list[Run]] | None = None

    @property
    def loops(self) -> Loops:
        """The connected client.

        Raises
        ------
        CredentialsError
            If there is no service to connect to.
        """
        client = self.connection.client()
        if self.preload_with_request:
            self.preload_with_request = False
            preload_pandas()
        return client

    def say(self, text: str) -> None:
        """Print a message about the work; in a shell to the standard error."""
        console.say(text)

    def answer(self, text: str) -> None:
        """Print what the line asked for, in words; in a shell to the standard output."""
        console.say(text)

    def show_words(self, panel: LiveWidget, words: Callable[[int], str]) -> None:
        """Print what a panel shows, in so many columns, and close it; a terminal of ``loops-nb`` updates it first."""
        try:
            text, how, line = words(shutil.get_terminal_size().columns).rpartition(_HOW_TO_SEE_LIVE)
            if how and line.startswith("%loops watch"):
                line = " ".join(line.split())
                how = "To see it live, in a notebook: "
                line += f"\nor in a shell: loops-nb {line.removeprefix('%loops ')}"
            self.answer(f"{text}{how}{line}")
        finally:
            panel.close()

    def print_row(self, row: Mapping[str, str | None], text: str) -> None:  # noqa: ARG002 - a notebook prints texts
        """Print one row of a listing that has no end, given its fields and its text."""
        self.print_lines(text)

    def print_lines(self, text: str) -> None:
        """Print lines of data as they are; in a shell to the standard output."""
        console.say(text)

    def listing(self, kind: str, frame: Rows, *, nothing: str, filters: str = "", no_match: str = "") -> Rows:
        """Return a fetched listing, with a message to display if it is empty; remember its ids for completion.

        Parameters
        ----------
        kind : str
            Kind of the frame.
        frame : DataFrame or ListingRows
            The listing; a `ListingRows` becomes a DataFrame when it is returned to the user.
        nothing : str
            Message if there is nothing at all.
        filters : str, default ""
            The filters of the line; empty without filters.
        no_match : str, default ""
            What to do if nothing matches the filters.
        """
        from loops_nb.frames.attributes import EMPTY_ATTR
        from loops_nb.frames.listing_rows import ListingRows

        if isinstance(frame, ListingRows):
            self.cache.add_listing(frame)
        else:
            self.cache.add_frame(kind, frame)
        if not len(frame):
            message = nothing
            if filters:
                message = f"No {kind} match {filters}. {no_match}".strip()
            frame.attrs[EMPTY_ATTR] = message
        return frame

    def suggest(self, *wanted: tuple[str, str | None]) -> str:
        """Return "Did you mean ...?" for the first of several (kind, word) that resembles a known one, or nothing."""
        for kind, word in wanted:
            if not word:
                continue
            known = self.cache.known(kind)
            suggestion = did_you_mean(word, known)
            if suggestion and word not in known:
                return suggestion
        return ""

    def confirm(self, question: str, *, sure: bool) -> bool:
        """Ask for confirmation of something that cannot be undone.

        Raises
        ------
        InvalidArgumentError
            If there is no terminal or front end to ask in.
        """
        if sure:
            return True
        try:
            answer = input(console.encodable(f"{question} [y/N] "))
        except (EOFError, NotImplementedError) as error:
            raise InvalidArgumentError(
                "This session cannot ask for confirmation, so nothing was changed.",
                hint="Add -y to the line if you are sure.",
            ) from error
        return answer.strip().lower() in {"y", "yes"}

    def resolve_run_id(self, word: str, *, exact: bool = False) -> str:
        """Return the id of a run given by id or name.

        Parameters
        ----------
        word : str
            An id, or a name that only one run has.  An id takes precedence over a name.
        exact : bool, default False
            Whether the case of the name must match, and the name is looked up in a new listing: for what cannot be
            undone.

        Returns
        -------
        str
            The id; the word itself if no run has such a name, because it may be the id of a colleague's run.

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

    def resolve_sampler_id(self, word: str) -> str:
        """Return the id of a sampler given by its id, or by the name of the run that it is paired with."""
        return self._resolve_by_run("sampler", word, lambda run: getattr(run.sampler, "id", None))

    def resolve_deployment_id(self, word: str) -> str:
        """Return the id of a Loops deployment given by its id, or by the name of its run."""
        return self._resolve_by_run("deployment", word, lambda run: run.deployment_id)

    def _resolve_by_run(self, kind: str, word: str, id_of: Callable[[Run], str | None]) -> str:
        if word in self.cache.known(kind):
            return word
        run = self._run_named(word)
        found = None
        if run is not None and run.id != word:
            found = id_of(run)
        if found is None:
            self._check_can_be_an_id(kind, word)
        return found or word

    def list_runs(self, *, fresh: bool = False) -> list[Run]:
        """Return the user's runs, from a listing of the last seconds unless ``fresh``; empty if listing is denied."""
        loops = self.loops
        if not fresh and self._listed is not None:
            client, listed_at, runs = self._listed
            if client is loops and time.monotonic() - listed_at < _LISTING_MAX_AGE_SECONDS:
                return runs
        try:
            runs = loops.runs.list()
        except APIError as error:
            if isinstance(error, AuthenticationError):
                raise
            # The word may still be an id; the route that the line is about has the more precise error.
            return []
        self.cache.add_runs(runs)
        self._listed = (loops, time.monotonic(), runs)
        return runs

    def _run_named(self, word: str, *, exact: bool = False) -> Run | None:
        from loops_nb.client.run_names import run_named  # parsing a line needs no client

        if word in self.cache.known("run"):
            _, _, runs = self._listed or (None, 0.0, [])
            return next((run for run in runs if run.id == word), None)
        cached = self._listed
        found = run_named(word, self.list_runs(fresh=exact), argument="run", exact=exact)
        if found is None and cached is not None and self._listed is cached:
            # It may have been created since that listing.
            found = run_named(word, self.list_runs(fresh=True), argument="run", exact=exact)
        return found

    def _check_can_be_an_id(self, kind: str, word: str) -> None:
        from loops_nb.client.checks import is_identifier

        if not is_identifier(word):
            known = [*self.cache.known("run_name"), *self.cache.known(kind)]
            hint = did_you_mean(word, known, otherwise=f"{_LIST_OF[kind]} lists what there is.")
            raise NotFoundError(f"There is no {kind} with the id or name {safe_repr(word)}.", status=404, hint=hint)

    @contextmanager
    def explain_unknown_id(self, kind: str, word: str) -> Iterator[None]:
        """Add similar ids to the error for an unknown id."""
        try:
            yield
        except NotFoundError as error:
            from loops_nb.magics.completion_cache import refresh

            if word not in self.cache.known(kind):
                refresh(self.cache, self.loops, kind)
            if word in self.cache.known(kind):
                # It exists: something else on the line does not, and the error says what.
                raise
            raise with_hint(error, self._hint_for_unknown_id(kind, word)) from None

    def _hint_for_unknown_id(self, kind: str, word: str) -> str:
        for other, line in _VERB_OF.items():
            if other != kind and word in self.cache.known(other):
                return f"That is the id of a {other}: {line} {word}"
        known = self.cache.known(kind)
        if kind in _NAMED_BY_RUNS:
            known += self.cache.known("run_name")
        return did_you_mean(word, known, otherwise=f"{_LIST_OF[kind]} lists what there is.")

    @contextmanager
    def explain_unreachable(self) -> Iterator[None]:
        """Add to the error for an unreachable service how to start, or connect to, the local service."""
        try:
            yield
        except ServiceUnreachableError as error:
            live = self.connection.current
            if live is not None and live.is_local and live.base_url in error.message and error.nobody_listens:
                moved = self.connection.follow_local()
                if moved is not None:
                    raise with_hint(error, f"The local service now runs on {moved}: run the line again.") from None
                # It may be started again on another port: the next line looks for it, unless the address itself
                # was chosen.
                self.connection.drop()
                raise with_hint(
                    error, "If it is the local service, type %loops local start to start it again (its data is kept)."
                ) from None
            if live is not None and not live.is_local and _local_service_runs():
                raise with_hint(
                    error, f"{error.hint} A local service runs on this machine: %loops connect local"
                ) from None
            raise


def _local_service_runs() -> bool:
    from loops_nb.local import launcher

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


def preload_pandas() -> None:
    """Import pandas in the background while a line waits for the network.

    The import takes a fifth of a second or more.  Not done by ``%load_ext``: not every session needs it.  Nor before
    the first request is ready: two threads that import take turns, and the request would be sent later.
    """
    if "pandas" not in sys.modules:
        threading.Thread(target=_import_pandas, name="loops-nb-import", daemon=True).start()


def _import_pandas() -> None:
    try:
        # Nothing of this package: two threads that import parts of each other's packages can meet halfway, and one of
        # them fails.
        import pandas as pd  # noqa: F401
    except Exception:
        _logger.debug("pandas could not be imported ahead of its use.", exc_info=True)
