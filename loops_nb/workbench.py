"""What is done with checkpoints: bring them home, open them at a distance, compare them; for the client, for frames and for lines alike."""

from __future__ import annotations

import os
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from loops_nb.client.checks import text
from loops_nb.client.choosing import Chooser, Named
from loops_nb.drawing.wording import many, size
from loops_nb.errors import InvalidArgumentError, VerificationError
from loops_nb.home import user_path
from loops_nb.models import Checkpoint
from loops_nb.references import CheckpointRef

if TYPE_CHECKING:
    import pandas as pd

    from loops_nb.client.exchange import Exchange
    from loops_nb.client.transport import Transport
    from loops_nb.comparing import By, Comparison
    from loops_nb.downloads import Download, Plan, Progress, Verification
    from loops_nb.storage import Storage
    from loops_nb.tensors import RemoteCheckpoint

#: One checkpoint, or several: ids, URIs, ``run/name``, objects of a listing, or a frame of checkpoints.
Chosen: TypeAlias = "Named | Iterable[Named] | pd.DataFrame | None"

FOLDER = "checkpoints"
#: What becomes of a download that is stopped.
KEPT = "What has come is kept; the same line again fetches only what is missing."
CONNECTIONS = 16
MOST_CONNECTIONS = 64
#: For single tensors of one checkpoint.
_FEW = 4
#: Modules, or tensors, at a time: most of the time goes by waiting for the network.
_WORKERS = 8
#: What modules are summed up by; ``module`` sums up nothing.
BY = ("module", "layer", "module_type", "checkpoint")

#: Where set, takes in what is opened, so that who works for somebody else in a thread can be stopped.
OPENED: ContextVar[list[Storage] | None] = ContextVar("loops_nb_opened", default=None)


class Workbench:
    """Works on checkpoints over one connection.

    Parameters
    ----------
    transport
        The connection.
    """

    def __init__(self, transport: Transport) -> None:
        from loops_nb.client.resources import Checkpoints, Runs  # noqa: PLC0415 - the words of a line are read without a network

        self._exchange: Exchange = transport.exchange
        self._checkpoints = Checkpoints(transport)
        self._runs = Runs(transport)

    def choose(self, chosen: Chosen, *, run_id: str | None = None, target: str | None = None) -> list[CheckpointRef]:
        """Return the checkpoints that are meant; errors as in `Chooser.choose`."""
        named = _named(chosen)
        if chosen is not None and not named:
            raise InvalidArgumentError(
                "There is no checkpoint in what was given: it is empty. Nothing was asked for.", argument="checkpoints"
            )
        return Chooser(self._checkpoints, self._runs).choose(named, run_id=run_id, target=target)

    def of_run(self, run_id: str, target: str | None = None) -> list[CheckpointRef]:
        """Return what a run has saved; without a target those for the sampler, or for the trainer if there are no others."""
        found = self.choose(None, run_id=text("run_id", run_id), target=target)
        wanted = target or ("sampler" if any(ref.target == "sampler" for ref in found) else None)
        return [ref for ref in found if wanted in {None, ref.target}]

    def plan(self, refs: Sequence[CheckpointRef], into: str | os.PathLike[str], include: Patterns, exclude: Patterns) -> Plan:
        """Return what a download would do; nothing is fetched."""
        with self.storage() as storage:
            return _planned(storage, refs, into, include, exclude)

    def download(
        self,
        refs: Sequence[CheckpointRef],
        into: str | os.PathLike[str],
        include: Patterns,
        exclude: Patterns,
        *,
        connections: int,
        quiet: bool,
    ) -> Download:
        """Bring checkpoints home."""
        from loops_nb import downloads  # noqa: PLC0415

        if isinstance(connections, bool) or not isinstance(connections, int) or not 1 <= connections <= MOST_CONNECTIONS:
            raise InvalidArgumentError(
                f"connections must be a whole number from 1 to {MOST_CONNECTIONS}, not {connections!r}.", argument="connections"
            )
        with self.storage(connections) as storage:
            plan = _planned(storage, refs, into, include, exclude)
            progress = None if quiet else downloads.progress_here()
            return downloads.carry_out(storage, plan, connections=connections, progress=progress)

    def open(
        self, refs: Sequence[CheckpointRef], storage: Storage, *, with_optimizer: bool = False, shown: Progress | None = None
    ) -> list[RemoteCheckpoint]:
        """Open checkpoints at a distance: their headers are read, or known from before."""
        from loops_nb import tensors  # noqa: PLC0415
        from loops_nb.downloads import Reading  # noqa: PLC0415

        def told(what: str, done: int, total: int) -> None:
            if shown is not None:
                shown.show(Reading(f"{done:,} of {total:,} {what} of {many(len(refs), 'checkpoint')}"))

        cache = tensors.HeaderCache.of_user(self._exchange.address.url)
        return tensors.open_many(storage, refs, cache=cache, with_optimizer=with_optimizer, progress=told)

    def open_one(self, ref: CheckpointRef) -> RemoteCheckpoint:
        """Open a checkpoint whose tensors can be read as long as somebody holds it."""
        storage = self.new_storage(_FEW)
        try:
            (found,) = self.open([ref], storage, with_optimizer=True)
        except BaseException:
            storage.close()
            raise
        weakref.finalize(found, storage.close)
        return found

    def new_storage(self, connections: int = CONNECTIONS) -> Storage:
        """Return a new access to the files behind presigned URLs."""
        from loops_nb.storage import Storage  # noqa: PLC0415

        made = Storage(self._checkpoints, connections=connections)
        opened = OPENED.get()
        if opened is not None:
            opened.append(made)
        return made

    @contextmanager
    def storage(self, connections: int = CONNECTIONS) -> Iterator[Storage]:
        """Use an access to files and close it."""
        with self.new_storage(connections) as storage:
            yield storage

    @contextmanager
    def reading(self) -> Iterator[tuple[Storage, Progress]]:
        """Use an access to files, and show how it goes on, where somebody looks and it takes long."""
        from loops_nb.downloads import progress_here  # noqa: PLC0415

        with self.storage() as storage, progress_here() as shown:
            yield storage, shown

    def tensors(self, refs: Sequence[CheckpointRef]) -> pd.DataFrame:
        """List the tensors of checkpoints."""
        from loops_nb.frames.tensors import tensors_frame  # noqa: PLC0415
        from loops_nb.tensors import fetched_sentence  # noqa: PLC0415

        with self.reading() as (storage, shown):
            opened = self.open(refs, storage, with_optimizer=True, shown=shown)
            return _with_notes(tensors_frame(opened), [fetched_sentence(opened)])

    def changes(self, refs: Sequence[CheckpointRef]) -> pd.DataFrame:
        """List the tensors that are not the same as in the first checkpoint, going by their headers."""
        from loops_nb import comparing  # noqa: PLC0415
        from loops_nb.frames.comparing import changes_frame  # noqa: PLC0415

        with self.reading() as (storage, shown):
            first, *others = self.open(_pair(refs), storage, shown=shown)
            found = changes_frame(change for other in others for change in comparing.changes(first, other))
        return _with_notes(
            found, [], empty="All tensors have the same names, shapes and dtypes; compare() tells whether their numbers differ."
        )

    def compare(self, refs: Sequence[CheckpointRef], by: str) -> pd.DataFrame:
        """Compare checkpoints with the first of them."""
        from loops_nb import comparing  # noqa: PLC0415
        from loops_nb.frames.comparing import compare_frame  # noqa: PLC0415
        from loops_nb.tensors import fetched_sentence  # noqa: PLC0415

        grouped = _grouped(by)
        with self.reading() as (storage, shown):
            opened = self.open(_pair(refs), storage, shown=shown)
            found = comparing.compare(opened, workers=_WORKERS, progress=_teller(shown, opened))
            notes = [*_changed_words(found), *found.notes, fetched_sentence(opened)]
            return _with_notes(compare_frame(found, by=grouped), notes)

    def drift(self, refs: Sequence[CheckpointRef], by: str) -> pd.DataFrame:
        """Follow checkpoints along their steps."""
        from loops_nb import comparing  # noqa: PLC0415
        from loops_nb.frames.comparing import drift_frame  # noqa: PLC0415
        from loops_nb.tensors import fetched_sentence  # noqa: PLC0415

        grouped = _grouped(by)
        with self.reading() as (storage, shown):
            opened = self.open(refs, storage, shown=shown)
            found = comparing.drift(opened, workers=_WORKERS, progress=_teller(shown, opened))
            return _with_notes(drift_frame(found, by=grouped), [*found.notes, fetched_sentence(opened)])

    def duplicates(self, refs: Sequence[CheckpointRef]) -> pd.DataFrame:
        """Find checkpoints with the same weights."""
        from loops_nb import comparing  # noqa: PLC0415
        from loops_nb.frames.comparing import duplicates_frame  # noqa: PLC0415

        with self.reading() as (storage, shown):
            opened = self.open(refs, storage, shown=shown)
            found = comparing.duplicates(opened, workers=_WORKERS, progress=_teller(shown, opened, reads_all=False))
        read = f"Read {size(found.bytes_read)} of {size(found.total_bytes)} of weights in {many(len(refs), 'checkpoint')}."
        empty = f"No two of {many(len(refs), 'checkpoint')} hold the same weights."
        return _with_notes(duplicates_frame(found), [read], empty=empty)


def _teller(shown: Progress, opened: Sequence[RemoteCheckpoint], *, reads_all: bool = True) -> Callable[[int, int], None]:
    """Return what tells a display how much of the weights is read, whatever part of the work is done."""
    from loops_nb.downloads import Reading  # noqa: PLC0415

    before = sum(one.bytes_fetched for one in opened)
    total = sum(info.nbytes for one in opened for info in one.infos) if reads_all else None
    what = f"Weights of {many(len(opened), 'checkpoint')}"

    def told(_done: int, _of: int) -> None:
        read = sum(one.bytes_fetched for one in opened) - before
        shown.show(Reading(what, read, total, read))

    return told


Patterns: TypeAlias = str | Sequence[str]


def patterns(argument: str, given: Patterns) -> tuple[str, ...]:
    """Return patterns for names of files, checked.

    Raises
    ------
    InvalidArgumentError
        If one is no text, or empty.
    """
    found = (given,) if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    for pattern in found:
        if not isinstance(pattern, str) or not pattern:
            raise InvalidArgumentError(f"{argument} takes patterns such as '*.json', not {pattern!r}.", argument=argument)
    return found


def verify_all(folder: str | os.PathLike[str]) -> list[Verification]:
    """Check the folder of a checkpoint, or all that lie below a folder, against the manifests of their downloads.

    Raises
    ------
    VerificationError
        If a file is missing or is not what was downloaded; with all differences of all folders.
    InvalidArgumentError
        If there is no manifest in or below the folder.
    """
    from loops_nb import downloads  # noqa: PLC0415
    from loops_nb.downloads.marks import MANIFEST  # noqa: PLC0415

    top = user_path(folder, argument="folder", kind="folder").absolute()
    if not top.is_dir():
        what = "is a file, and no folder" if top.exists() else "is not there"
        raise InvalidArgumentError(f"{top} {what}.", argument="folder", hint="%loops verify takes a folder that %loops download made.")
    found = sorted(path.parent for path in top.rglob(MANIFEST))
    if not found:
        raise InvalidArgumentError(
            f"{top} has no checkpoint that was downloaded: there is no {MANIFEST} in it or below it.",
            argument="folder",
            hint="%loops download writes one at its end; an interrupted download has none until it is finished.",
        )
    checked = [downloads.verify(one) for one in found]
    differences = {str((one.folder / name).relative_to(top)): what for one in checked for name, what in one.differences.items()}
    if differences:
        raise VerificationError(
            f"{many(len(differences), 'file')} below {top} {'is' if len(differences) == 1 else 'are'} not as downloaded.",
            differences=differences,
            hint="The same %loops download fetches what is missing or was changed again.",
        )
    return checked


def _planned(storage: Storage, refs: Sequence[CheckpointRef], into: Any, include: Patterns, exclude: Patterns) -> Plan:
    from loops_nb import downloads  # noqa: PLC0415 - who lists needs none of it

    folder = user_path(into, argument="into", kind="folder")
    return downloads.plan(storage, refs, folder, include=patterns("include", include), exclude=patterns("exclude", exclude))


def _pair(refs: Sequence[CheckpointRef]) -> Sequence[CheckpointRef]:
    if len(refs) < 2:  # noqa: PLR2004 - a pair
        raise InvalidArgumentError(
            f"It takes two different checkpoints to compare; only {refs[0].label} was named." if refs else "No checkpoint was named.",
            argument="checkpoints",
            hint="For example: %loops compare k4q95w5/step-50 k4q95w5/step-100",
        )
    return refs


def _grouped(by: str) -> By | None:
    if by not in BY:
        raise InvalidArgumentError(f"by must be {', '.join(BY[:-1])} or {BY[-1]}, not {by!r:.40}.", argument="by")
    return None if by == "module" else cast("By", by)


def _changed_words(found: Comparison) -> list[str]:
    """Return how many tensors are not the same going by the headers, in a sentence; none if all are."""
    counts = Counter(change.change for change in found.changes)
    if not counts:
        return []
    said = ", ".join(f"{count:,} with another {what}" if what not in _HAPPENED else f"{count:,} {what}" for what, count in counts.items())
    return [f"Tensors that are not the same by their headers: {said}; changes() lists them."]


def _with_notes(frame: pd.DataFrame, notes: Sequence[str], *, empty: str = "") -> pd.DataFrame:
    from loops_nb.frames.derived import EMPTY_ATTR, NOTES_ATTR  # noqa: PLC0415

    frame.attrs[NOTES_ATTR] = list(notes)
    if empty and not len(frame):
        frame.attrs[EMPTY_ATTR] = empty
    return frame


_HAPPENED = ("appeared", "vanished")


def _named(chosen: Chosen) -> list[Named]:
    if chosen is None:
        return []
    if isinstance(chosen, str | Checkpoint | CheckpointRef):
        return [chosen]
    if type(chosen).__name__ == "DataFrame":
        return list(refs_of(chosen))
    if isinstance(chosen, Iterable):
        return list(cast("Iterable[Named]", chosen))
    raise InvalidArgumentError(
        f"Checkpoints are given by texts, by objects of a listing or by a DataFrame, not by {type(chosen).__name__}.",
        argument="checkpoints",
    )


def refs_of(frame: Any) -> list[CheckpointRef]:
    """Return the checkpoints of a frame's rows.

    Raises
    ------
    InvalidArgumentError
        If the frame has no column ``id``, or a row none.
    """
    if "id" not in frame:
        raise InvalidArgumentError(
            "This DataFrame has no column 'id', which names the checkpoints.",
            argument="checkpoints",
            hint="Keep it when selecting columns.",
        )
    columns = {"run_id": "run_id", "name": "checkpoint_id", "target": "target", "base_model": "base_model", "sync_status": "sync_status"}
    rows: list[dict[str, Any]] = [{} for _ in range(len(frame))]
    for field, column in {"id": "id", "size_bytes": "size_bytes", **columns}.items():
        if column not in frame:
            continue
        for row, value in zip(rows, frame[column].astype(object).where(frame[column].notna(), None).tolist(), strict=True):
            row[field] = value
    if any(not isinstance(row["id"], str) or not row["id"] for row in rows):
        raise InvalidArgumentError("A row of this DataFrame has no id, so it names no checkpoint.", argument="checkpoints")
    return [CheckpointRef(**row) for row in rows]
