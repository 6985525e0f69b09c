"""What can stand in a place of a line: ids with name and state, names of checkpoints, recorded keys and tags, files.

Most is answered from memory.  What only the service knows is asked for in the background, and waited for a fraction of a second once; a
service that is slow or dead costs no more than that.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from loops_nb.errors import TrackingError
from loops_nb.uri import KIND_OF_TARGET

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loops_nb.magics.desk import Desk
    from loops_nb.magics.grammar import Takes
    from loops_nb.tracking import ExperimentRow

    #: A text, and what a front end shows beside it.
    Offer = tuple[str, str]

_MOST = 200
_MOST_ENTRIES = 2000
#: Experiments whose keys are offered where none is named.
_RECENT = 8
_SCHEME = "bt://loops:"


@dataclass(frozen=True)
class Typed:
    """What of a line is there already.

    Parameters
    ----------
    word
        The beginning of the word that is completed, without quotes.
    loose
        The finished words that are no options.
    options
        The values of options, by their names.
    """

    word: str = ""
    loose: Sequence[str] = ()
    options: dict[str, str] = field(default_factory=dict)


class Candidates:
    """What is known for each kind that an argument can take.

    Parameters
    ----------
    desk
        Whose knowledge and connection are used.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._knowledge = desk.knowledge

    def of(self, taken: Takes, typed: Typed) -> list[Offer]:
        """Return what an argument or an option can take; empty for free text."""
        if taken.choices:
            return [(choice, "value") for choice in taken.choices]
        words = [(word, "value") for word in taken.words]
        make = KINDS.get(taken.knows)
        return words if make is None else [*words, *make(self, typed)]

    def _listed(self, kind: str) -> list[Offer]:
        self._knowledge.wait_once()
        return [(identity, self._knowledge.about(identity) or kind.replace("_", " ")) for identity in self._knowledge.known(kind)]

    def runs(self, _typed: Typed) -> list[Offer]:
        """Return ids of runs, then the names that only one run has."""
        return [*self._listed("run"), *((name, f"run {identity}") for name, identity in self._knowledge.names().items())]

    def run_names(self, _typed: Typed) -> list[Offer]:
        """Return names of runs."""
        return self._listed("run_name")

    def samplers(self, _typed: Typed) -> list[Offer]:
        """Return ids of samplers."""
        return self._listed("sampler")

    def deployments(self, _typed: Typed) -> list[Offer]:
        """Return ids of Loops deployments."""
        return self._listed("deployment")

    def sessions(self, _typed: Typed) -> list[Offer]:
        """Return ids of sessions."""
        return self._listed("session")

    def teams(self, _typed: Typed) -> list[Offer]:
        """Return ids of teams."""
        return self._listed("team")

    def base_models(self, _typed: Typed) -> list[Offer]:
        """Return names of base models."""
        return self._listed("base_model")

    def uris(self, typed: Typed) -> list[Offer]:
        """Return URIs of checkpoints: those that were listed, and those of the run whose URI is being typed."""
        run, slash, _ = typed.word.removeprefix(_SCHEME).partition("/")
        own = self._uris_of(run) if slash and typed.word.startswith(_SCHEME) else []
        return [*own, *self._listed("uri")]

    def _uris_of(self, run: str) -> list[Offer]:
        return [(f"{_SCHEME}{run}/{KIND_OF_TARGET.get(target, 'sampler_weights')}/{name}", target) for name, target in self._saved(run)]

    def checkpoints(self, typed: Typed) -> list[Offer]:
        """Return names behind ``--run RUN`` and ``RUN/``; else ids, URIs, and the runs whose checkpoints can be named."""
        if typed.word.startswith("bt:"):
            return self.uris(typed)
        target = typed.options.get("target")
        if (run := typed.options.get("run_id")) is not None:
            return [(name, about) for name, about in self._names_of(run, target) if "/" not in name]
        of_run = self._run_before_slash(typed.word)
        if of_run:
            return [(f"{of_run}/{name}", about) for name, about in self._names_of(of_run, target)]
        listed = [*self._listed("uri"), *self._listed("checkpoint"), *self._listed("name")]
        return [*listed, *((f"{run}/", f"checkpoints of {about}") for run, about in self.runs(typed))]

    def _run_before_slash(self, word: str) -> str:
        """Return the id or the name of the run whose checkpoint is being typed; a name may hold slashes itself."""
        known = {*self._knowledge.known("run"), *self._knowledge.names()}
        parts = word.split("/")
        heads = ["/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]
        return next((head for head in heads if head in known), heads[-1] if heads else "")

    def _names_of(self, run: str, target: str | None) -> list[Offer]:
        """Return how the checkpoints of a run are named behind it; with their kind where one name was saved for both targets."""
        saved = [(name, own) for name, own in self._saved(run) if target in {None, own}]
        names = [name for name, _ in saved]
        once = [(name, own) for name, own in saved if names.count(name) == 1]
        twice = [(f"{KIND_OF_TARGET.get(own, 'sampler_weights')}/{name}", own) for name, own in saved if names.count(name) > 1]
        plain = [(name, "trainer and sampler") for name in dict.fromkeys(name for name in names if names.count(name) > 1)]
        return [*once, *twice, *plain]

    def _saved(self, run: str) -> list[Offer]:
        return self._knowledge.saved_by(self._knowledge.names().get(run, run), self._desk.connection.live)

    def sampled(self, typed: Typed) -> list[Offer]:
        """Return what can be asked beside a sampler."""
        return [*self._listed("sampler"), *self.runs(typed), *self.checkpoints(typed)]

    def samplers_and_runs(self, typed: Typed) -> list[Offer]:
        """Return samplers, and runs that have one."""
        return [*self._listed("sampler"), *self.runs(typed)]

    def compared(self, typed: Typed) -> list[Offer]:
        """Return checkpoints, and runs whose curves can be compared."""
        return [*self.checkpoints(typed), *self.experiments(typed)]

    def experiments(self, typed: Typed) -> list[Offer]:
        """Return names and ids of what is recorded on this machine, then the runs of the service."""
        found: list[Offer] = []
        for row in _rows():
            state = f"{row.name}{', archived' if row.archived else ''}"
            found += [(row.name, f"experiment {row.run_id or row.id}"), *((text, state) for text in (row.run_id, row.id) if text)]
        self._knowledge.add("experiment", [text for text, _ in found])
        return [*found, *self.runs(typed)]

    def metrics(self, typed: Typed) -> list[Offer]:
        """Return the recorded keys of the experiments on the line, else of the newest."""
        rows = _rows()
        named = [row for row in rows if {row.id, row.name, row.run_id} & set(typed.loose)]
        from loops_nb.tracking import Store  # noqa: PLC0415

        keys: dict[str, str] = {}
        try:
            with Store(read_only=True) as store:
                for row in named or rows[:_RECENT]:
                    keys |= {key.key: "metric" for key in store.keys(row.id) if key.key not in keys}
        except TrackingError:
            return []
        self._knowledge.add("metric", keys)
        return list(keys.items())

    def metric_lists(self, typed: Typed) -> list[Offer]:
        """Return recorded keys behind those that are there already, separated by commas."""
        before, comma, _ = typed.word.rpartition(",")
        given = before.split(",")
        return [(f"{before}{comma}{key}", about) for key, about in self.metrics(typed) if not comma or key not in given]

    def tags(self, typed: Typed) -> list[Offer]:
        """Return the tags that experiments have."""
        del typed
        return [(tag, "tag") for row in _rows() for tag in row.tags]

    def files(self, typed: Typed) -> list[Offer]:
        """Return files and folders."""
        return _paths(typed.word)

    def folders(self, typed: Typed) -> list[Offer]:
        """Return folders."""
        return [(path, kind) for path, kind in _paths(typed.word) if kind == "folder"]

    def variables(self, typed: Typed) -> list[Offer]:
        """Return names of the notebook."""
        del typed
        return [(name, "name") for name in self._desk.shell.user_ns if name.isidentifier() and not name.startswith("_")]


#: For every kind that an argument may name, how its candidates are found.
KINDS: dict[str, Callable[[Candidates, Typed], list[Offer]]] = {
    "run": Candidates.runs,
    "run_name": Candidates.run_names,
    "sampler": Candidates.samplers,
    "deployment": Candidates.deployments,
    "session": Candidates.sessions,
    "team": Candidates.teams,
    "base_model": Candidates.base_models,
    "uri": Candidates.uris,
    "checkpoint": Candidates.checkpoints,
    "compared": Candidates.compared,
    "sampled": Candidates.sampled,
    "sampler_or_run": Candidates.samplers_and_runs,
    "experiment": Candidates.experiments,
    "metric": Candidates.metrics,
    "metrics": Candidates.metric_lists,
    "tag": Candidates.tags,
    "file": Candidates.files,
    "folder": Candidates.folders,
    "variable": Candidates.variables,
}


def _rows() -> list[ExperimentRow]:
    from loops_nb.tracking import Store  # noqa: PLC0415 - only for what is recorded

    try:
        with Store(read_only=True) as store:
            return store.experiments(archived=True)[:_MOST]
    except TrackingError:
        # The line that is being typed says what is wrong with the file.
        return []


def _paths(word: str) -> list[Offer]:
    head, slash, tail = word.rpartition("/")
    folder = os.path.expanduser(head) if head else slash or "."  # noqa: PTH111 - the form that does not raise without a home
    found: list[Offer] = []
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, _MOST_ENTRIES):
                if not entry.name.startswith(".") or tail.startswith("."):
                    is_folder = entry.is_dir()
                    found.append((f"{head}{slash}{entry.name}{'/' if is_folder else ''}", "folder" if is_folder else "file"))
    except (OSError, ValueError):
        return []
    return sorted(found, key=lambda offer: (offer[1] != "folder", offer[0]))
