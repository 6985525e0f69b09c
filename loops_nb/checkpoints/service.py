"""`CheckpointService`: resolve, download, open and compare checkpoints over one connection.

Behind ``loops.checkpoints``, ``df.loops`` and the ``%loops`` verbs alike.
"""

from __future__ import annotations

import os
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias, cast

from loops_nb.api.models import CHECKPOINT_TARGETS, Checkpoint, Run
from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.file_routes import DebugRoutes, FileRoutes
from loops_nb.checkpoints.resolver import CheckpointResolver, Named
from loops_nb.client.checks import text
from loops_nb.client.run_names import run_named
from loops_nb.config.paths import user_path
from loops_nb.console import say
from loops_nb.errors import DownloadIncompleteError, InvalidArgumentError, NotFoundError, VerificationError, with_hint
from loops_nb.render import status
from loops_nb.render.formatting import is_or_are, many, size

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import pandas as pd

    from loops_nb.checkpoints.bucket.path import BucketPath
    from loops_nb.checkpoints.compare import By, Comparison
    from loops_nb.checkpoints.deletion import DeletionPlan
    from loops_nb.checkpoints.executors import TaskRunner
    from loops_nb.checkpoints.http import Storage
    from loops_nb.checkpoints.tensors import FetchedCheckpoint
    from loops_nb.checkpoints.transfer import Download, DownloadPlan, Verification
    from loops_nb.client.transport import Transport
    from loops_nb.render.status import ProgressDisplay

#: One checkpoint, or several: ids, URIs, ``run/name``, objects of a listing, or a frame of checkpoints.
CheckpointSelection: TypeAlias = "Named | BucketPath | Iterable[Named | BucketPath] | pd.DataFrame | None"
#: One run, or several: ids, names that only one run has, objects of a listing, or a frame of runs.
RunSelection: TypeAlias = "str | Run | Iterable[str | Run] | pd.DataFrame"

FOLDER = "checkpoints"
#: Of an interrupted download.
KEPT = "What was downloaded is kept; the same line again fetches only what is missing."
CONNECTIONS = 16
MOST_CONNECTIONS = 64
#: For single tensors of one checkpoint.
_FEW = 4
#: Modules, or tensors, at a time: most of the time is spent waiting for the network.
_WORKERS = 8
#: What modules are summed up by; ``module`` sums up nothing.
BY = ("module", "layer", "module_type", "checkpoint")


class CheckpointService:
    """Resolve, download, open and compare checkpoints over one connection.

    Parameters
    ----------
    transport : Transport
        The connection.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._opened: weakref.WeakSet[Storage] = weakref.WeakSet()
        self._cancelled = False
        self._runner: TaskRunner | None = None

    def with_executor(
        self, executor: Executor | None, *, share_urls: bool = False, reads: CheckpointSelection = None
    ) -> Self:
        """Have an executor of the user do the work, and return this service.

        Parameters
        ----------
        executor, share_urls
            As of ``loops.checkpoints.compare``.
        reads : optional
            The checkpoints that will be read; those in buckets need no key of the service.

        Raises
        ------
        InvalidArgumentError, ExecutorError
            If it cannot do the work; no request was made.
        """
        if executor is None:
            if share_urls:
                raise InvalidArgumentError(
                    "share_urls hands presigned URLs to the workers of an executor, and there is none.",
                    argument="share_urls",
                    hint="Pass executor= as well.",
                )
            return self
        config = self._transport.config
        named = _named(reads)
        url = "" if named and all(map(_is_copy, named)) else config.address.url
        self._runner = checked_runner(executor, url, config.scheme, share_urls=share_urls)
        return self

    def cancel(self) -> None:
        """Close all connections to files from another thread; downloads then fail soon and keep what they have."""
        self._cancelled = True
        if self._runner is not None:
            self._runner.cancel()
        for storage in list(self._opened):
            storage.close()

    def resolve(
        self, selection: CheckpointSelection, *, run_id: str | None = None, target: str | None = None
    ) -> list[CheckpointRef]:
        """Return the selected checkpoints; parameters and errors as in `CheckpointResolver.resolve`."""
        named = _checked_names(selection)
        copy = next(filter(_is_copy, named), None)
        if copy is not None:
            raise InvalidArgumentError(
                f"{_address(copy)} is in a bucket, and this takes checkpoints of the service. Nothing was changed.",
                argument="checkpoints",
                hint="What is in a bucket can be opened, compared and verified there.",
            )
        return CheckpointResolver(self._transport).resolve(named, run_id=run_id, target=target)

    def resolve_readable(
        self, selection: CheckpointSelection, run_id: str | None, target: str | None
    ) -> list[CheckpointRef]:
        """Return the selected checkpoints for what only reads: copies in buckets may be among them."""
        found: list[CheckpointRef] = []
        resolver = CheckpointResolver(self._transport)
        named = _checked_names(selection)
        if not any(map(_is_copy, named)):
            return resolver.resolve(named, run_id=run_id, target=target)
        for is_copy, group in groupby(named, _is_copy):
            if is_copy:
                found += [ref for one in group for ref in _copies(one) if target in {None, ref.target}]
            else:
                found += resolver.resolve(list(group), run_id=run_id, target=target)
        return found

    def resolve_one(self, selection: CheckpointSelection, run_id: str | None, target: str | None) -> CheckpointRef:
        """Return the one selected checkpoint."""
        refs = self.resolve_readable(selection, run_id, target)
        if len(refs) != 1:
            raise InvalidArgumentError(
                f"One checkpoint is opened at a time; {len(refs)} were given.",
                argument="checkpoint",
                hint="loops.checkpoints.tensors takes several.",
            )
        return refs[0]

    def resolve_run(self, run_id: str, *, target: str | None = None) -> list[CheckpointRef]:
        """Return what a run saved; without a target its sampler checkpoints, else those of the trainer."""
        found = self.resolve(None, run_id=text("run_id", run_id), target=target)
        wanted = target or ("sampler" if any(ref.target == "sampler" for ref in found) else None)
        return [ref for ref in found if wanted in {None, ref.target}]

    def plan(
        self, refs: Sequence[CheckpointRef], into: str | os.PathLike[str], include: Patterns, exclude: Patterns
    ) -> DownloadPlan:
        """Return what a download would do; nothing is downloaded."""
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
        """Download checkpoints."""
        from loops_nb.checkpoints import transfer

        if (
            isinstance(connections, bool)
            or not isinstance(connections, int)
            or not 1 <= connections <= MOST_CONNECTIONS
        ):
            raise InvalidArgumentError(
                f"connections must be a whole number from 1 to {MOST_CONNECTIONS}, not {connections!r}.",
                argument="connections",
            )
        with self.storage(connections) as storage:
            plan = _planned(storage, refs, into, include, exclude)
            progress = None if quiet else status.progress_display()
            return transfer.execute_plan(storage, plan, connections=connections, progress=progress)

    def export_adapter(
        self, refs: Sequence[CheckpointRef], into: str | os.PathLike[str], **options: Any
    ) -> pd.DataFrame:
        """Export checkpoints as adapters; options as of `ExportOptions`."""
        from loops_nb.checkpoints.export.exporter import ExportOptions, export_adapters
        from loops_nb.checkpoints.export.frames import exports_frame

        return exports_frame(export_adapters(self, refs, into, ExportOptions(**options)))

    def debug_archive(self, deployment_id: str, into: str | os.PathLike[str], *, quiet: bool) -> pd.DataFrame:
        """Download the debug archive of a deployment as of now into a new folder; return its files."""
        from loops_nb.checkpoints import transfer
        from loops_nb.checkpoints.http import Storage
        from loops_nb.checkpoints.transfer.frames import archive_frame

        # An archive is of one moment: files of two must not be mixed.
        folder = user_path(into, argument="into", kind="folder") / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}"
        with Storage(DebugRoutes(self._transport), connections=_FEW) as storage:
            self._opened.add(storage)
            plan = _planned(storage, [CheckpointRef(id=deployment_id)], folder, (), ())
            progress = None if quiet else status.progress_display()
            try:
                transfer.execute_plan(storage, plan, connections=_FEW, progress=progress)
            except DownloadIncompleteError as error:
                # What is missing of it would be of another moment.
                raise with_hint(error, "Download the archive again: it gets a folder of its own.") from None
        return archive_frame(plan)

    def plan_deletion(self, refs: Sequence[CheckpointRef]) -> DeletionPlan:
        """Return what a deletion of checkpoints would do."""
        from loops_nb.checkpoints import deletion

        return deletion.plan_checkpoints(self._transport, refs)

    def delete(
        self,
        selection: CheckpointSelection | DeletionPlan,
        *,
        run_id: str | None = None,
        target: str | None = None,
        workers: int,
    ) -> pd.DataFrame:
        """Delete the selected checkpoints, or those of a plan; return what became of each."""
        from loops_nb.checkpoints import deletion

        plan = selection
        if not isinstance(plan, deletion.DeletionPlan):
            plan = deletion.plan_without_uses(self.resolve(plan, run_id=run_id, target=target))
        return deletion.deletions_frame(deletion.execute(self._transport, plan, workers=workers))

    def plan_pruning(self, run_id: str, *, target: str | None, **rules: Any) -> DeletionPlan:
        """Return the plan to delete the checkpoints of a run that the rules do not keep."""
        from loops_nb.checkpoints import pruning
        from loops_nb.client.operations import checkpoints

        if target not in {None, *CHECKPOINT_TARGETS}:
            raise InvalidArgumentError(
                f"target must be {' or '.join(CHECKPOINT_TARGETS)}, not {target!r:.40}.", argument="target"
            )
        wanted = pruning.PruneRules(**rules)
        (run,) = self._runs(run_id)
        saved = self._transport.send(checkpoints.list_(run_id=run.id))
        chosen = [one for one in saved if target in {None, one.target}]
        return pruning.plan_pruning(self._transport, chosen, run.id, wanted)

    def plan_run_deletion(self, selection: RunSelection) -> DeletionPlan:
        """Return what a deletion of runs would do."""
        from loops_nb.checkpoints import deletion

        return deletion.plan_runs(self._transport, self._runs(selection))

    def delete_runs(self, selection: RunSelection | DeletionPlan, *, workers: int) -> pd.DataFrame:
        """Delete the selected runs, or those of a plan; return what became of each and of its checkpoints."""
        from loops_nb.checkpoints import deletion

        plan = selection
        if not isinstance(plan, deletion.DeletionPlan):
            plan = self.plan_run_deletion(plan)
        return deletion.deletions_frame(deletion.execute(self._transport, plan, workers=workers))

    def _runs(self, selection: RunSelection) -> list[Run]:
        from loops_nb.client.operations import runs

        named = _named_runs(selection)
        if not named:
            raise InvalidArgumentError(
                "There is no run in what was given: it is empty. No request was made.", argument="runs"
            )
        listed = self._transport.send(runs.list_())
        found, gone = [], None
        for one in named:
            run = run_named(one, listed, exact=True)
            try:
                # One of another user is in no listing.
                found.append(run or self._transport.send(runs.get(one)))
            except NotFoundError as error:
                # Rows of a listing were there once: what is gone since needs no deletion.
                if type(selection).__name__ != "DataFrame":
                    raise
                gone = error
        if gone is not None and not found:
            raise gone
        return found

    def open(
        self,
        refs: Sequence[CheckpointRef],
        storage: Storage,
        *,
        with_optimizer: bool = False,
        shown: ProgressDisplay | None = None,
    ) -> list[FetchedCheckpoint]:
        """Open remote checkpoints: their headers are read, or taken from the cache."""
        from loops_nb.checkpoints import tensors
        from loops_nb.checkpoints.transfer import ReadProgress

        def show(what: str, done: int, total: int) -> None:
            if shown is not None:
                shown.update(ReadProgress(f"{done:,} of {total:,} {what} of {many(len(refs), 'checkpoint')}"))

        cache = tensors.HeaderCache.of_user(self._transport.config.address.url)
        of_service = [ref for ref in refs if ref.place is None]
        copies = iter(tensors.open_buckets([ref for ref in refs if ref.place], with_optimizer=with_optimizer))
        remote = iter(tensors.open_many(storage, of_service, cache=cache, with_optimizer=with_optimizer, progress=show))
        return [next(copies if ref.place else remote) for ref in refs]

    def open_one(self, ref: CheckpointRef) -> FetchedCheckpoint:
        """Open a remote checkpoint whose connections are closed when it is deleted."""
        storage = self.new_storage(_FEW)
        try:
            (found,) = self.open([ref], storage, with_optimizer=True)
        except BaseException:
            storage.close()
            raise
        weakref.finalize(found, storage.close)
        return found

    def new_storage(self, connections: int = CONNECTIONS) -> Storage:
        """Return a new reader of the files behind presigned URLs."""
        from loops_nb.checkpoints.http import Storage

        storage = Storage(FileRoutes(self._transport), connections=connections)
        self._opened.add(storage)
        if self._cancelled:
            storage.close()
        return storage

    @contextmanager
    def storage(self, connections: int = CONNECTIONS) -> Iterator[Storage]:
        """Open a reader of files and close it at the end."""
        with self.new_storage(connections) as storage:
            yield storage

    @contextmanager
    def reading(self) -> Iterator[tuple[Storage, ProgressDisplay]]:
        """Open a reader of files, with a progress line that appears when it takes long."""
        with self.storage() as storage, status.progress_display() as shown:
            yield storage, shown

    def tensors(self, refs: Sequence[CheckpointRef]) -> pd.DataFrame:
        """List the tensors of checkpoints."""
        from loops_nb.checkpoints.tensors import fetched_sentence
        from loops_nb.checkpoints.tensors.frames import tensors_frame

        with self.reading() as (storage, shown):
            opened = self.open(refs, storage, with_optimizer=True, shown=shown)
            return _with_notes(tensors_frame(opened), [fetched_sentence(opened)])

    def changes(self, refs: Sequence[CheckpointRef]) -> pd.DataFrame:
        """List the tensors that are not the same as in the first checkpoint, going by their headers."""
        from loops_nb.checkpoints import compare
        from loops_nb.checkpoints.compare.frames import changes_frame

        with self.reading() as (storage, shown):
            pair = _pair(refs)
            # Workers open those of the service; a few headers in a bucket are read here.
            if self._runner is None or any(ref.place for ref in pair):
                first, *others = self.open(pair, storage, shown=shown)
                rows = [*chain.from_iterable(compare.changes(first, other) for other in others)]
            else:
                rows = compare.changes_on_executor(
                    self._runner,
                    storage,
                    pair,
                    service=self._transport.config.address.url,
                    progress=_count_callback(shown, "checkpoints compared"),
                )
        return _with_notes(
            changes_frame(rows),
            self._runner.notes if self._runner else [],
            empty="All tensors have the same names, shapes and dtypes; compare() shows whether their numbers differ.",
        )

    def compare(self, refs: Sequence[CheckpointRef], by: str) -> pd.DataFrame:
        """Compare checkpoints with the first of them."""
        from loops_nb.checkpoints import compare
        from loops_nb.checkpoints.compare.frames import compare_frame
        from loops_nb.checkpoints.tensors import fetched_sentence

        grouped = _grouped(by)
        with self.reading() as (storage, shown):
            opened = self.open(_pair(refs), storage, shown=shown)
            found = compare.compare(
                opened, workers=_WORKERS, progress=_progress_callback(shown, opened), executor=self._runner
            )
            notes = [*_changed_words(found), *found.notes, fetched_sentence(opened)]
            return _with_notes(compare_frame(found, by=grouped), notes)

    def drift(self, refs: Sequence[CheckpointRef], by: str) -> pd.DataFrame:
        """Follow checkpoints along their steps."""
        from loops_nb.checkpoints import compare
        from loops_nb.checkpoints.compare.frames import drift_frame
        from loops_nb.checkpoints.tensors import fetched_sentence

        grouped = _grouped(by)
        with self.reading() as (storage, shown):
            opened = self.open(refs, storage, shown=shown)
            found = compare.drift(
                opened, workers=_WORKERS, progress=_progress_callback(shown, opened), executor=self._runner
            )
            return _with_notes(drift_frame(found, by=grouped), [*found.notes, fetched_sentence(opened)])

    def duplicates(self, refs: Sequence[CheckpointRef]) -> pd.DataFrame:
        """Find checkpoints with the same weights."""
        from loops_nb.checkpoints import compare
        from loops_nb.checkpoints.compare.frames import duplicates_frame

        with self.reading() as (storage, shown):
            opened = self.open(refs, storage, shown=shown)
            found = compare.duplicates(
                opened,
                workers=_WORKERS,
                progress=_progress_callback(shown, opened, reads_all=False),
                executor=self._runner,
            )
        read = (
            f"Read {size(found.bytes_read)} of {size(found.total_bytes)} of weights in {many(len(refs), 'checkpoint')}."
        )
        empty = f"No two of {many(len(refs), 'checkpoint')} hold the same weights."
        return _with_notes(duplicates_frame(found), [read, *found.notes], empty=empty)


def _progress_callback(
    shown: ProgressDisplay, opened: Sequence[FetchedCheckpoint], *, reads_all: bool = True
) -> Callable[[int, int], None]:
    """Return a callback that shows how many bytes of the weights were read."""
    from loops_nb.checkpoints.transfer import ReadProgress

    before = sum(one.bytes_fetched for one in opened)
    total = None
    if reads_all:
        total = sum(sum(info.nbytes for info in one.infos) for one in opened)
    what = f"Weights of {many(len(opened), 'checkpoint')}"

    def show(_done: int, _of: int) -> None:
        read = sum(one.bytes_fetched for one in opened) - before
        shown.update(ReadProgress(what, read, total, read))

    return show


def _count_callback(shown: ProgressDisplay, what: str) -> Callable[[int, int], None]:
    from loops_nb.checkpoints.transfer import ReadProgress

    return lambda done, total: shown.update(ReadProgress(f"{done:,} of {total:,} {what}"))


def checked_runner(executor: Any, url: str = "", scheme: str = "", *, share_urls: bool = False) -> TaskRunner:
    """Return the runner of an executor that is able to work.

    Parameters
    ----------
    executor : concurrent.futures.Executor
        The user's.
    url, scheme : str, optional
        Root of the API that its workers will read from, and how the key is sent.
    share_urls : bool, default False
        Whether workers get presigned URLs and need no key.

    Raises
    ------
    InvalidArgumentError, ExecutorError
        If it cannot do the work.
    """
    from loops_nb.checkpoints.executors import TaskRunner

    runner = TaskRunner(executor, share_urls=share_urls)
    check_runner(runner, url, scheme)
    return runner


def check_runner(runner: TaskRunner, url: str = "", scheme: str = "") -> None:
    """Check a runner as `TaskRunner.check` does; while a worker is waited for, a progress line says so."""
    from loops_nb.checkpoints.transfer import ReadProgress

    with status.progress_display() as shown:
        runner.check(url, scheme, waiting=lambda: shown.update(ReadProgress("Waiting for a worker of the executor")))


Patterns: TypeAlias = str | Sequence[str]


def patterns(argument: str, given: Patterns) -> tuple[str, ...]:
    """Return patterns for names of files, checked.

    Raises
    ------
    InvalidArgumentError
        If one is not a string, or empty.
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        given = (given,)
    found = tuple(given)
    for pattern in found:
        if not isinstance(pattern, str) or not pattern:
            raise InvalidArgumentError(
                f"{argument} takes patterns such as '*.json', not {pattern!r}.", argument=argument
            )
    return found


def verify_all(folder: str | os.PathLike[str], *, executor: Executor | None = None) -> list[Verification]:
    """Check the folder of a checkpoint, or all that lie below a folder, against the manifests of their downloads.

    Parameters
    ----------
    folder : str or path-like
        The folder.
    executor : concurrent.futures.Executor, optional
        Reads the files in place of threads; its workers have to reach the folder under the same path.

    Raises
    ------
    ExecutorError
        If the executor cannot do the work.
    VerificationError
        If a file is missing or is not what was downloaded; with all differences of all folders.
    InvalidArgumentError
        If there is no manifest in or below the folder.
    """
    from loops_nb.checkpoints import transfer
    from loops_nb.checkpoints.transfer.filenames import MANIFEST
    from loops_nb.checkpoints.transfer.places import folders_with_manifest, place_of

    runner = None if executor is None else checked_runner(executor)
    top = place_of(folder, argument="folder")
    if isinstance(top, Path) and not top.is_dir():
        what = "is a file, not a folder" if top.exists() else "does not exist"
        raise InvalidArgumentError(
            f"{top} {what}.", argument="folder", hint="%loops verify takes a folder that %loops download made."
        )
    found = folders_with_manifest(top)
    if not found:
        raise InvalidArgumentError(
            f"{top} has no checkpoint that was downloaded: there is no {MANIFEST} in it or below it.",
            argument="folder",
            hint="%loops download writes one at its end; an interrupted download has none until it is finished.",
        )
    if runner is None:
        checked = [transfer.verify(one) for one in found]
    else:
        with status.progress_display() as shown:
            what = f"Files of {many(len(found), 'checkpoint')}"
            checked = transfer.verify_on_executor(
                runner, found, lambda done, total: shown.update(transfer.ReadProgress(what, done, total, done))
            )
        for note in runner.notes:
            say(note)
    differences: dict[str, str] = {}
    for one in checked:
        below = str(one.folder)[len(str(top)) :].strip("/\\")
        differences |= {f"{below}/{name}".lstrip("/"): what for name, what in one.differences.items()}
    if differences:
        raise VerificationError(
            f"{many(len(differences), 'file')} below {top} {is_or_are(len(differences))} not as downloaded.",
            differences=differences,
            hint="The same %loops download fetches what is missing or was changed again.",
        )
    return checked


def _planned(
    storage: Storage, refs: Sequence[CheckpointRef], into: Any, include: Patterns, exclude: Patterns
) -> DownloadPlan:
    from loops_nb.checkpoints import transfer  # a listing needs none of it

    return transfer.plan(
        storage, refs, into, include=patterns("include", include), exclude=patterns("exclude", exclude)
    )


def _pair(refs: Sequence[CheckpointRef]) -> Sequence[CheckpointRef]:
    if len(refs) < 2:  # noqa: PLR2004 - a pair
        problem = "No checkpoint was named."
        if refs:
            problem = f"It takes two different checkpoints to compare; only {refs[0].label} was named."
        raise InvalidArgumentError(
            problem,
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
    said = ", ".join(
        f"{count:,} with another {what}" if what not in _HAPPENED else f"{count:,} {what}"
        for what, count in counts.items()
    )
    return [f"Tensors that are not the same by their headers: {said}; changes() lists them."]


def _with_notes(frame: pd.DataFrame, notes: Sequence[str], *, empty: str = "") -> pd.DataFrame:
    from loops_nb.frames.attributes import EMPTY_ATTR, NOTES_ATTR

    frame.attrs[NOTES_ATTR] = list(notes)
    if empty and not len(frame):
        frame.attrs[EMPTY_ATTR] = empty
    return frame


_HAPPENED = ("appeared", "vanished")


def _named(chosen: CheckpointSelection) -> list[Named]:
    if chosen is None:
        return []
    if isinstance(chosen, str | Checkpoint | CheckpointRef) or _is_copy(chosen):
        return [cast("Named", chosen)]
    if type(chosen).__name__ == "DataFrame":
        return list(refs_of(chosen))
    if isinstance(chosen, Iterable):
        return list(cast("Iterable[Named]", chosen))
    raise InvalidArgumentError(
        f"Checkpoints are given as strings, objects of a listing or a DataFrame, not as {type(chosen).__name__}.",
        argument="checkpoints",
    )


def _checked_names(selection: CheckpointSelection) -> list[Named]:
    named = _named(selection)
    if selection is not None and not named:
        raise InvalidArgumentError(
            "There is no checkpoint in what was given: it is empty. No request was made.", argument="checkpoints"
        )
    return named


def _is_copy(named: object) -> bool:
    """Return whether a checkpoint is named by its address in a bucket."""
    from loops_nb.checkpoints.bucket.path import is_bucket

    return named.place is not None if isinstance(named, CheckpointRef) else is_bucket(named)


def _address(named: object) -> str:
    return str(named.place) if isinstance(named, CheckpointRef) else str(named)


def _copies(named: object) -> list[CheckpointRef]:
    return [named] if isinstance(named, CheckpointRef) else refs_in_bucket(str(named))


def check_target(into: object) -> None:
    """Refuse what cannot be the target of a download; nothing is requested.  Errors as in `transfer.places`."""
    from loops_nb.checkpoints.transfer.places import check_place  # a listing needs none of it

    check_place(into)


def refs_in_bucket(address: str) -> list[CheckpointRef]:
    """Return the checkpoints at an address of a bucket and below it; errors as in `tensors.refs_at`."""
    from loops_nb.checkpoints.tensors import refs_at  # a listing needs none of it

    return refs_at(address)


def _named_runs(chosen: RunSelection) -> list[str]:
    if isinstance(chosen, str | Run):
        chosen = [chosen]
    if type(chosen).__name__ == "DataFrame":
        frame: Any = chosen
        if "id" not in frame:
            raise InvalidArgumentError(
                "This DataFrame has no column 'id', which names the runs.",
                argument="runs",
                hint="Keep it when selecting columns.",
            )
        chosen = frame["id"].tolist()
    if not isinstance(chosen, Iterable):
        raise InvalidArgumentError(
            f"Runs are given as strings, objects of a listing or a DataFrame, not as {type(chosen).__name__}.",
            argument="runs",
        )
    named = [one.id if isinstance(one, Run) else one for one in chosen]
    if any(not isinstance(one, str) or not one.strip() for one in named):
        raise InvalidArgumentError("A run is named by its id, and one of those given is none.", argument="runs")
    return list(dict.fromkeys(cast("list[str]", named)))


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
    columns = {
        "run_id": "run_id",
        "name": "checkpoint_id",
        "target": "target",
        "base_model": "base_model",
        "sync_status": "sync_status",
    }
    rows: list[dict[str, Any]] = [{} for _ in range(len(frame))]
    for field, column in {"id": "id", "size_bytes": "size_bytes", **columns}.items():
        if column not in frame:
            continue
        for row, value in zip(
            rows, frame[column].astype(object).where(frame[column].notna(), None).tolist(), strict=True
        ):
            row[field] = value
    if any(not isinstance(row["id"], str) or not row["id"] for row in rows):
        raise InvalidArgumentError(
            "A row of this DataFrame has no id, so it names no checkpoint.", argument="checkpoints"
        )
    return [CheckpointRef(**row) for row in rows]
