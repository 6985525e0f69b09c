"""Resolves user input (id, URI, ``run/name``, name) to checkpoint references."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from loops_nb.api.models import CHECKPOINT_TARGETS, Checkpoint
from loops_nb.api.references import CheckpointRef
from loops_nb.api.uri import KIND_OF_TARGET, format_uri, is_run_id, parse_uri
from loops_nb.client.checks import identifier, is_identifier
from loops_nb.client.operations import checkpoints, runs
from loops_nb.client.run_names import run_named
from loops_nb.errors import InvalidArgumentError, NotFoundError
from loops_nb.render.formatting import first_few

if TYPE_CHECKING:
    from loops_nb.api.models import Run
    from loops_nb.client.transport import Transport

#: How a checkpoint can be named.
Named: TypeAlias = str | Checkpoint | CheckpointRef
_SHOWN = 4


class CheckpointResolver:
    """Finds checkpoints by what the user typed; each listing is fetched at most once.

    Parameters
    ----------
    transport : Transport
        The connection.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._of_run: dict[str, list[CheckpointRef]] = {}
        self._everything: list[CheckpointRef] | None = None
        self._listed_runs: list[Run] | None = None

    def resolve(
        self, named: Sequence[Named], *, run_id: str | None = None, target: str | None = None
    ) -> list[CheckpointRef]:
        """Return the named checkpoints in the order given, without duplicates (``GET /v1/loops/checkpoints``).

        Parameters
        ----------
        named : sequence of str, Checkpoint or CheckpointRef
            Ids, ``bt://`` URIs, ``run/name``, ``run/weights/name``, saved names, or objects of a listing.  A run is
            named by its id, or by its name where that is unique.
        run_id : str, optional
            Id or name of a run: names are those of this run.  Without any name, all that it has saved.
        target : {"trainer", "sampler"}, optional
            Only these.

        Raises
        ------
        InvalidArgumentError
            If nothing is named, or a name is ambiguous; the text lists the checkpoints.
        NotFoundError
            If there is no such checkpoint or run.
        """
        if target is not None and target not in CHECKPOINT_TARGETS:
            raise InvalidArgumentError(
                f"target must be {' or '.join(CHECKPOINT_TARGETS)}, not {target!r}.", argument="target"
            )
        if not named:
            if run_id is None:
                raise InvalidArgumentError(
                    "No checkpoint was named.",
                    argument="checkpoints",
                    hint="Name one by its id, its bt:// URI or as run/name, or give run_id for all of a run.",
                )
            found = [ref for ref in self._saved_by(run_id) if target in {None, ref.target}]
            if not found:
                raise NotFoundError(f"Run {run_id} has saved no {_kind(target)} yet.", status=404)
            return found
        return list({ref.id: ref for ref in [self._one(one, run_id, target) for one in named]}.values())

    def _one(self, one: Named, run_id: str | None, target: str | None) -> CheckpointRef:
        if isinstance(one, CheckpointRef):
            return one
        if isinstance(one, Checkpoint):
            return CheckpointRef.of(one)
        if not isinstance(one, str) or not one.strip():
            given = "an empty string"
            if one:
                given = type(one).__name__
            raise InvalidArgumentError(
                f"A checkpoint is named by a string or is an object of a listing, not {given}.", argument="checkpoints"
            )
        word = one.strip()
        if word.startswith("bt:"):
            return self._at(str(parse_uri(word, argument="checkpoint")))
        # The name of a run may hold slashes itself; that of a checkpoint holds none.
        run, slash, name = word.strip("/").rpartition("/")
        if not slash:
            return self._named(word, run_id, target) if run_id is not None else self._anywhere(word, target)
        of_run, slash, kind = run.rpartition("/")
        if slash and kind in KIND_OF_TARGET.values():
            return self._of_kind(of_run, kind, name)
        return self._named(name, run, target)

    def _of_kind(self, run: str, kind: str, name: str) -> CheckpointRef:
        if is_run_id(run):
            uri = str(parse_uri(f"bt://loops:{run}/{kind}/{name}", argument="checkpoint"))
            try:
                return self._at(uri)
            except NotFoundError:
                if run_named(run, self._every_run()) is None:
                    raise
        return self._named(name, run, next(target for target, said in KIND_OF_TARGET.items() if said == kind))

    def _at(self, uri: str) -> CheckpointRef:
        found = self._list(checkpoint_path=uri)
        if not found:
            run_id = parse_uri(uri).run_id
            raise NotFoundError(
                f"There is no checkpoint {uri}.",
                status=404,
                hint=f"%loops checkpoints {run_id} lists what that run has saved.",
            )
        return CheckpointRef.of(found[0])

    def _named(self, name: str, run_id: str, target: str | None) -> CheckpointRef:
        saved = self._saved_by(run_id)
        found = [ref for ref in saved if name in {ref.id, ref.name} and target in {None, ref.target}]
        if not found:
            names = ", ".join(dict.fromkeys(str(ref.name) for ref in saved[:_SHOWN]))
            hint = "It has saved none yet."
            if names:
                hint = f"Its newest are {names}; %loops checkpoints {run_id} lists all."
            raise NotFoundError(f"Run {run_id} has saved no {_kind(target)} {name!r}.", status=404, hint=hint)
        return _only(name, found)

    def _anywhere(self, word: str, target: str | None) -> CheckpointRef:
        """Return the checkpoint with this id, or the only one with this name.

        There is no route from an id to what it belongs to, so the caller's own checkpoints are listed.  An id of
        another user's is in no listing, and still valid for the file routes.
        """
        if self._everything is None:
            models = dict.fromkeys(run.base_model for run in self._every_run() if run.base_model)
            self._everything = []
            for model in models:
                self._everything += map(CheckpointRef.of, self._list(base_model=model))
        found = [ref for ref in self._everything if ref.id == word]
        if not found:
            found = [ref for ref in self._everything if ref.name == word and target in {None, ref.target}]
        if not found and (run := run_named(word, self._every_run(), argument="checkpoint")) is not None:
            which = "id" if run.id == word else "name"
            raise NotFoundError(
                f"{word} is the {which} of a run, and of no checkpoint.",
                status=404,
                hint=f"One that it has saved is {word}/NAME; all of them are --run {word} (run_id= in Python).",
            )
        if not found:
            return CheckpointRef(word)
        return _only(word, found)

    def _saved_by(self, run_id: str) -> list[CheckpointRef]:
        if run_id not in self._of_run:
            self._of_run[run_id] = self._listed(run_id)
        return self._of_run[run_id]

    def _listed(self, word: str) -> list[CheckpointRef]:
        """Return what a run has saved: the one with this id, else the only one with this name."""
        if not is_identifier(word):
            # A name with spaces or slashes; where there is none, the error is that of an id.
            named = run_named(word, self._every_run()) if word.strip() else None
            return self._saved_by(identifier("run_id", word) if named is None else named.id)
        try:
            found = [CheckpointRef.of(listed) for listed in self._list(run_id=word)]
            if not found:
                # An unknown run and one without checkpoints may list the same; fetching the run tells them apart.
                self._transport.send(runs.get(word))
        except NotFoundError:
            named = run_named(word, self._every_run())
            if named is None:
                raise
            return self._saved_by(named.id)
        return found

    def _list(self, **filters: str) -> list[Checkpoint]:
        return self._transport.send(checkpoints.list_(**filters))

    def _every_run(self) -> list[Run]:
        if self._listed_runs is None:
            self._listed_runs = self._transport.send(runs.list_())
        return self._listed_runs


def _kind(target: str | None) -> str:
    return f"{target or ''} checkpoint".lstrip()


def _only(word: str, found: Iterable[CheckpointRef]) -> CheckpointRef:
    refs = list(found)
    if len(refs) > 1:
        which = [_uri(ref) for ref in refs]
        targets = [ref.target for ref in refs if ref.target in CHECKPOINT_TARGETS]
        or_target = ""
        if len(set(targets)) == len(refs):
            or_target = f"; or say the target: --target {targets[0]}"
        raise InvalidArgumentError(
            f"{word} is the name of {len(refs)} checkpoints.",
            argument="checkpoint",
            hint=f"Say which: {first_few(which, _SHOWN)}{or_target}",
        )
    return refs[0]


def _uri(ref: CheckpointRef) -> str:
    target = "sampler"
    if ref.target in KIND_OF_TARGET:
        target = ref.target
    return format_uri(str(ref.run_id), target, str(ref.name))
