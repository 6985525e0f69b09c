"""Candidates for Tab completion: ids with name and state, checkpoint names, recorded keys and tags, files.

Most come from the completion cache.  What only the service knows is requested in the background, and waited for once,
for a fraction of a second, so that a slow service does not block Tab.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from loops_nb.api.uri import KIND_OF_TARGET
from loops_nb.errors import TrackingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loops_nb.magics.context import MagicContext
    from loops_nb.magics.grammar import Argument
    from loops_nb.tracking import ExperimentRow

    #: A text, and the annotation that a front end shows beside it.
    Candidate = tuple[str, str]

_MAX_EXPERIMENTS = 200
_MAX_ENTRIES = 2000
#: Experiments whose metric keys are offered if the line names none.
_RECENT = 8
_SCHEME = "bt://loops:"
# The unfinished name at the end of a filter expression, and what stands before a new one.
_LAST_NAME = re.compile(r"(?P<quote>`?)(?<![\w./:@-])(?P<name>(?:[^\W\d][\w./:@-]*)?)$")
_BEFORE_NAME = re.compile(r"(?i)(?:\b(?:and|or|not)\s+|[(!&|]\s*)$")
_PLAIN_NAME = re.compile(r"[^\W\d](?:[\w./:@-]*\w)?")


@dataclass(frozen=True)
class PartialLine:
    """The part of a line before the cursor.

    Parameters
    ----------
    word : str
        The start of the word to complete, without quotes.
    positional : sequence of str
        Complete words that are not options.
    options : dict of str
        Values of options, by name.
    """

    word: str = ""
    positional: Sequence[str] = ()
    options: dict[str, str] = field(default_factory=dict)


class Candidates:
    """Candidates for each kind of argument.

    Parameters
    ----------
    context : MagicContext
        Provides cache and connection.
    """

    def __init__(self, context: MagicContext) -> None:
        self._context = context
        self._cache = context.cache

    def of(self, taken: Argument, typed: PartialLine) -> list[Candidate]:
        """Return the candidates for an argument or an option; empty for free text."""
        if taken.choices:
            return [(choice, "value") for choice in taken.choices]
        words = [(word, "value") for word in taken.keywords]
        if taken.completes in KINDS:
            words += KINDS[taken.completes](self, typed)
        return words

    def listed(self, kind: str) -> list[Candidate]:
        """Return the ids or names of a kind that are in the cache."""
        self._cache.wait_briefly()
        return [
            (identity, self._cache.description(identity) or kind.replace("_", " "))
            for identity in self._cache.known(kind)
        ]

    def runs(self, _typed: PartialLine) -> list[Candidate]:
        """Return ids of runs, then unique names of runs."""
        return [
            *self.listed("run"),
            *((name, f"run {identity}") for name, identity in self._cache.run_names().items()),
        ]

    def logged(self, typed: PartialLine) -> list[Candidate]:
        """Return what has log lines: runs, then deployments and samplers."""
        return [*self.runs(typed), *self.listed("deployment"), *self.listed("sampler")]

    def uris(self, typed: PartialLine) -> list[Candidate]:
        """Return URIs of checkpoints: those listed before, and those of the run in an unfinished URI."""
        run, slash, _ = typed.word.removeprefix(_SCHEME).partition("/")
        found: list[Candidate] = []
        if slash and typed.word.startswith(_SCHEME):
            for name, target in self._saved(run):
                found.append((f"{_SCHEME}{run}/{KIND_OF_TARGET.get(target, 'sampler_weights')}/{name}", target))
        return found + self.listed("uri")

    def checkpoints(self, typed: PartialLine) -> list[Candidate]:
        """Return checkpoint names after ``--run RUN`` and ``RUN/``; else ids, URIs, and runs followed by a slash."""
        if typed.word.startswith("bt:"):
            return self.uris(typed)
        target = typed.options.get("target")
        if (run := typed.options.get("run_id")) is not None:
            return [(name, about) for name, about in self._names_of(run, target) if "/" not in name]
        of_run = self._run_before_slash(typed.word)
        if of_run:
            return [(f"{of_run}/{name}", about) for name, about in self._names_of(of_run, target)]
        listed = [*self.listed("uri"), *self.listed("checkpoint"), *self.listed("name")]
        return [*listed, *((f"{run}/", f"checkpoints of {about}") for run, about in self.runs(typed))]

    def _run_before_slash(self, word: str) -> str:
        """Return the run id or name before the checkpoint; a run's name can contain slashes."""
        known = {*self._cache.known("run"), *self._cache.run_names()}
        parts = word.split("/")
        heads = ["/".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)] or [""]
        return next((head for head in heads if head in known), heads[-1])

    def _names_of(self, run: str, target: str | None) -> list[Candidate]:
        """Return the checkpoint names of a run; a name saved for both targets also with its target before it."""
        saved = [(name, own) for name, own in self._saved(run) if target in {None, own}]
        counts = Counter(name for name, _ in saved)
        unique = [(name, own) for name, own in saved if counts[name] == 1]
        qualified = [
            (f"{KIND_OF_TARGET.get(own, 'sampler_weights')}/{name}", own) for name, own in saved if counts[name] > 1
        ]
        both = [(name, "trainer and sampler") for name, count in counts.items() if count > 1]
        return [*unique, *qualified, *both]

    def _saved(self, run: str) -> list[Candidate]:
        return self._cache.checkpoints_of(self._cache.run_names().get(run, run), self._context.connection.current)

    def named(self, kind: str, _typed: PartialLine) -> list[Candidate]:
        """Return what only the service knows of a deployment: instance types, secrets or models."""
        return self._cache.names_of(kind, self._context.connection.current)

    def model_deployments(self, typed: PartialLine) -> list[Candidate]:
        """Return the deployments of the model before them, each with its state."""
        if not typed.positional:
            return []
        return self._cache.deployments_of(typed.positional[0], self._context.connection.current)

    def sampled(self, typed: PartialLine) -> list[Candidate]:
        """Return what completions can be compared with."""
        return [*self.listed("sampler"), *self.runs(typed), *self.checkpoints(typed)]

    def samplers_and_runs(self, typed: PartialLine) -> list[Candidate]:
        """Return samplers, and runs for their samplers."""
        return [*self.listed("sampler"), *self.runs(typed)]

    def compared(self, typed: PartialLine) -> list[Candidate]:
        """Return checkpoints, and experiments for their curves."""
        return [*self.checkpoints(typed), *self.experiments(typed)]

    def experiments(self, typed: PartialLine) -> list[Candidate]:
        """Return names and ids of recorded experiments, then runs of the service."""
        found: list[Candidate] = []
        for row in _rows():
            state = row.name
            if row.archived:
                state += ", archived"
            found += [
                (row.name, f"experiment {row.run_id or row.id}"),
                *((text, state) for text in (row.run_id, row.id) if text),
            ]
        self._cache.add("experiment", [text for text, _ in found])
        return [*found, *self.runs(typed)]

    def watched(self, typed: PartialLine) -> list[Candidate]:
        """Return what can follow the keyword of a panel: experiments with samples, or runs."""
        if typed.positional[:1] == ["samples"]:
            return [(name, about) for name, about in self.experiments(typed) if about.startswith("experiment ")]
        if typed.positional[:1] in (["logs"], ["system"]):
            return self.logged(typed)
        return self.runs(typed)

    def functions(self, typed: PartialLine) -> list[Candidate]:
        """Return the functions of the notebook."""
        del typed
        return [
            (name, "function")
            for name, value in self._context.shell.user_ns.items()
            if name not in self._context.shell.user_ns_hidden and not name.startswith("_") and callable(value)
        ]

    def executors(self, typed: PartialLine) -> list[Candidate]:
        """Return the executors of the notebook, and the clients of clusters."""
        del typed
        from loops_nb.checkpoints.executors import is_executor  # only for this option

        return [
            (name, type(value).__name__)
            for name, value in self._context.shell.user_ns.items()
            if name not in self._context.shell.user_ns_hidden and not name.startswith("_") and is_executor(value)
        ]

    def metrics(self, typed: PartialLine) -> list[Candidate]:
        """Return the metric keys of the experiments on the line, else of the newest ones."""
        rows = _rows()
        named = [row for row in rows if {row.id, row.name, row.run_id} & set(typed.positional)]
        from loops_nb.tracking import ExperimentStore

        keys: dict[str, str] = {}
        try:
            with ExperimentStore(read_only=True) as store:
                for row in named or rows[:_RECENT]:
                    keys |= {key.key: "metric" for key in store.keys(row.id) if key.key not in keys}
        except TrackingError:
            return []
        self._cache.add("metric", keys)
        return list(keys.items())

    def metric_lists(self, typed: PartialLine) -> list[Candidate]:
        """Return metric keys to append to a comma-separated list."""
        before, comma, _ = typed.word.rpartition(",")
        given = before.split(",")
        return [(f"{before}{comma}{key}", about) for key, about in self.metrics(typed) if not comma or key not in given]

    def teams(self, _typed: PartialLine) -> list[Candidate]:
        """Return names of teams, then their ids."""
        return [*self.listed("team_name"), *self.listed("team")]

    def gpu_types(self, typed: PartialLine) -> list[Candidate]:
        """Return GPU types to append to a comma-separated list."""
        before, comma, _ = typed.word.rpartition(",")
        given = before.split(",")
        # What runs now, and what there is.
        types = dict([*self.listed("gpu_type"), *self._cache.names_of("gpu_type", self._context.connection.current)])
        return [(f"{before}{comma}{gpu}", about) for gpu, about in types.items() if gpu not in given]

    def tags(self, typed: PartialLine) -> list[Candidate]:
        """Return the tags of experiments."""
        del typed
        return [(tag, "tag") for row in _rows() for tag in row.tags]

    def parameters(self, _typed: PartialLine) -> list[Candidate]:
        """Return the names of recorded parameters, nested ones with dots."""
        from loops_nb.tracking.params import flat_params  # only for experiments

        names = dict.fromkeys(name for row in _rows() for name in flat_params(row.params))
        return [(name, "parameter") for name in names if not any(letter.isspace() for letter in name)]

    def projects(self, typed: PartialLine) -> list[Candidate]:
        """Return the projects of experiments."""
        del typed
        return [(row.project, "project") for row in _rows() if row.project]

    def authors(self, typed: PartialLine) -> list[Candidate]:
        """Return those who began experiments."""
        del typed
        return [(author, "author") for author in dict.fromkeys(row.author for row in _rows()) if author]

    def leaderboard_columns(self, typed: PartialLine) -> list[Candidate]:
        """Return what experiments can be sorted by, with the hyphen of a descending order if it is typed."""
        hyphen = "-" if typed.word.startswith("-") else ""
        return [(f"{hyphen}{name}", about) for name, about in _leaderboard_names()]

    def filters(self, typed: PartialLine) -> list[Candidate]:
        """Return the expressions that complete the last name of an unfinished one."""
        found = _LAST_NAME.search(typed.word)
        if found is None or any(typed.word.count(quote) % 2 for quote in "'\""):
            return []
        before = typed.word[: found.start()]
        if not found["name"] and before.strip() and not _BEFORE_NAME.search(before):
            return []
        return [
            (f"{before}`{name}`" if found["quote"] or not _PLAIN_NAME.fullmatch(name) else f"{before}{name}", about)
            for name, about in _leaderboard_names()
        ]

    def files(self, typed: PartialLine) -> list[Candidate]:
        """Return files and folders."""
        return _paths(typed.word)

    def folders(self, typed: PartialLine) -> list[Candidate]:
        """Return folders."""
        return [(path, kind) for path, kind in _paths(typed.word) if kind == "folder"]

    def variables(self, typed: PartialLine) -> list[Candidate]:
        """Return variables of the notebook."""
        del typed
        return [
            (name, "name") for name in self._context.shell.user_ns if name.isidentifier() and not name.startswith("_")
        ]


def _listed(kind: str) -> Callable[[Candidates, PartialLine], list[Candidate]]:
    return lambda candidates, _typed: candidates.listed(kind)


#: Candidates of each kind that `Argument.completes` can name.
KINDS: dict[str, Callable[[Candidates, PartialLine], list[Candidate]]] = {
    **{kind: _listed(kind) for kind in ("run_name", "sampler", "deployment", "session", "base_model")},
    "run": Candidates.runs,
    "logged": Candidates.logged,
    "team": Candidates.teams,
    "gpu_types": Candidates.gpu_types,
    "uri": Candidates.uris,
    "checkpoint": Candidates.checkpoints,
    "compared": Candidates.compared,
    "sampled": Candidates.sampled,
    "sampler_or_run": Candidates.samplers_and_runs,
    "experiment": Candidates.experiments,
    "metric": Candidates.metrics,
    "metrics": Candidates.metric_lists,
    "tag": Candidates.tags,
    "project": Candidates.projects,
    "author": Candidates.authors,
    "parameter": Candidates.parameters,
    "leaderboard_column": Candidates.leaderboard_columns,
    "filter": Candidates.filters,
    "file": Candidates.files,
    "folder": Candidates.folders,
    "variable": Candidates.variables,
    "function": Candidates.functions,
    "executor": Candidates.executors,
    "watched": Candidates.watched,
    "model": lambda candidates, typed: candidates.named("model", typed),
    "model_deployment": Candidates.model_deployments,
    "instance_type": lambda candidates, typed: candidates.named("instance_type", typed),
    "secret": lambda candidates, typed: candidates.named("secret", typed),
}


def _leaderboard_names() -> list[Candidate]:
    from loops_nb.tracking import ExperimentStore
    from loops_nb.tracking.leaderboard import usable_names  # needs pandas

    try:
        with ExperimentStore(read_only=True) as store:
            return usable_names(store)
    except TrackingError:
        return []


def _rows() -> list[ExperimentRow]:
    from loops_nb.tracking import ExperimentStore  # only for experiments

    try:
        with ExperimentStore(read_only=True) as store:
            return store.experiments(archived=True)[:_MAX_EXPERIMENTS]
    except TrackingError:
        # The verb itself reports what is wrong with the file.
        return []


def _paths(word: str) -> list[Candidate]:
    head, slash, tail = word.rpartition("/")
    folder = os.path.expanduser(head) if head else slash or "."  # noqa: PTH111 - the form that does not raise without a home
    found: list[Candidate] = []
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, _MAX_ENTRIES):
                path = f"{head}{slash}{entry.name}"
                if entry.name.startswith(".") and not tail.startswith("."):
                    continue
                if entry.is_dir():
                    found.append((f"{path}/", "folder"))
                else:
                    found.append((path, "file"))
    except (OSError, ValueError):
        return []
    return sorted(found, key=lambda offer: (offer[1] != "folder", offer[0]))
