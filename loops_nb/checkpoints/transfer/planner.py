"""Makes the plan of a download: lists and selects files, refuses unsafe names, looks at what is on disk."""

from __future__ import annotations

from collections.abc import Sequence

from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.http import Storage, StoredFile
from loops_nb.checkpoints.transfer.destination import FOREIGN, ExistingFile, FileState
from loops_nb.checkpoints.transfer.filenames import collisions, name_problem, quoted_problems
from loops_nb.checkpoints.transfer.parallel import map_in_threads
from loops_nb.checkpoints.transfer.places import place_of, target_of
from loops_nb.checkpoints.transfer.plans import CheckpointPlan, DownloadPlan, FilePlan, State
from loops_nb.checkpoints.transfer.selection import Selection
from loops_nb.checkpoints.transfer.target import Place, TargetFolder
from loops_nb.errors import DownloadError, InvalidArgumentError, UnsafeNameError
from loops_nb.render.formatting import first_and_more, many

_LISTED_AT_A_TIME = 8
_NAMED = 5
_STATES: dict[FileState, State] = {
    FileState.COMPLETE: "there",
    FileState.UNVERIFIED: "there",
    FileState.NOT_MOVED: "partial",
    FileState.PARTIAL: "partial",
}


def plan(
    storage: Storage,
    refs: Sequence[CheckpointRef],
    into: Place,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> DownloadPlan:
    """Return what a download will do; fetches listings only, and changes nothing.

    Parameters
    ----------
    storage : Storage
        Where the files are.
    refs : sequence of CheckpointRef
        The checkpoints; one that is given twice counts once.
    into : Path or BucketPath
        The folder of all checkpoints, or the place in a bucket.
    include, exclude : sequence of str, default ()
        Patterns on the names of files; see `Selection`.

    Raises
    ------
    InvalidArgumentError
        If no checkpoint is given, or no file of one matches the patterns.
    UnsafeNameError
        If a name cannot be a file below its folder.
    VolumeBackedError
        If the files of a checkpoint have no URLs.
    DownloadError
        If a checkpoint has no files, or its folder holds another one.
    LoopsError
        If files cannot be listed.
    BucketError
        If the bucket cannot be read.
    """
    selection = Selection.of(include, exclude)
    unique = list({ref.id: ref for ref in refs}.values())
    if not unique:
        raise InvalidArgumentError("There is no checkpoint to download.", argument="refs")
    _refuse_folders(unique)
    place = place_of(into)
    listings = map_in_threads(lambda ref: storage.listing(ref.id), unique, workers=_LISTED_AT_A_TIME)
    _refuse_empty(unique, listings)
    are_many = len(unique) > 1
    selected = [
        (ref, selection.of_files(files, ref.label, is_one_of_many=are_many))
        for ref, files in zip(unique, listings, strict=True)
    ]
    _refuse_names(selected)
    target = target_of(place)
    try:
        target.refuse_obstacles(selected)
        folders = target.folders([ref for ref, _ in selected])
        checkpoints = tuple(
            _planned(folder, ref, files) for folder, (ref, files) in zip(folders, selected, strict=True)
        )
    except OSError as error:
        why = error.strerror or "unknown fault"
    else:
        return DownloadPlan(place, checkpoints, selection, target.free_bytes())
    raise DownloadError(
        f"What is in {place} already cannot be looked at, or the files cannot be there ({why}); nothing was "
        f"downloaded.",
        hint="Choose another folder.",
    )


def _planned(folder: TargetFolder, ref: CheckpointRef, files: Sequence[StoredFile]) -> CheckpointPlan:
    manifest = folder.manifest()
    if manifest is not None and manifest.checkpoint.id != ref.id:
        raise DownloadError(
            f"{folder.place} holds another checkpoint ({manifest.checkpoint.uri or manifest.checkpoint.id}, id "
            f"{manifest.checkpoint.id}); nothing was changed.",
            hint="Choose another folder, or move that one away.",
        )
    known = folder.known_entries()
    planned = [_file_plan(file, folder.place / file.name, folder.inspect(file, known.get(file.name))) for file in files]
    return CheckpointPlan(ref, folder.place, tuple(planned))


def _file_plan(file: StoredFile, path: Place, existing: ExistingFile) -> FilePlan:
    trouble = FOREIGN if existing.state is FileState.FOREIGN else existing.problem
    state = _STATES.get(existing.state, "missing")
    is_sure = existing.state is not FileState.UNVERIFIED
    return FilePlan(file, path, state, existing.size, trouble, is_sure=is_sure)


def _refuse_folders(refs: Sequence[CheckpointRef]) -> None:
    wrong: dict[str, str] = {}
    for ref in refs:
        parts = ref.folder.parts
        # A path drops dots and doubled slashes, so each word is checked before it becomes one.
        words = [ref.id] if ref.uri is None else [str(ref.run_id), str(ref.name)]
        problem = next(filter(None, map(_word_problem, words)), "") or name_problem("/".join(parts))
        if problem:
            wrong["/".join(parts)] = problem
    wrong = wrong or collisions([str(ref.folder) for ref in refs])
    if wrong:
        raise UnsafeNameError(
            f"{many(len(wrong), 'checkpoint')} cannot have a folder here: {quoted_problems(wrong)}. Nothing was "
            f"downloaded.",
            refused=wrong,
        )


def _refuse_empty(refs: Sequence[CheckpointRef], listings: Sequence[Sequence[StoredFile]]) -> None:
    empty = [ref for ref, files in zip(refs, listings, strict=True) if not files]
    if empty:
        labels = first_and_more([ref.label for ref in empty], _NAMED)
        hint = "Leave it out, or try again later if it was saved just now."
        if any(ref.sync_status == "SYNCING" for ref in empty):
            labels, hint = f"{labels}, which is still being saved", "Try again when it is saved."
        raise DownloadError(f"The service lists no files of {labels}. Nothing was downloaded.", hint=hint)


def _word_problem(word: str) -> str:
    return "it holds a slash" if "/" in word else name_problem(word)


def _refuse_names(selected: Sequence[tuple[CheckpointRef, Sequence[StoredFile]]]) -> None:
    wrong: dict[str, str] = {}
    labels = []
    for ref, files in selected:
        names = [file.name for file in files]
        found = {name: problem for name in names if (problem := name_problem(name))}
        found |= collisions(name for name in names if name not in found)
        wrong |= found
        labels += [ref.label] if found else []
    if wrong:
        raise UnsafeNameError(
            f"The listing of {', '.join(labels)} has {many(len(wrong), 'name')} that cannot be files here: "
            f"{quoted_problems(wrong)}. Nothing was downloaded.",
            refused=wrong,
            hint="Leave them out with --exclude PATTERN (exclude= in Python).",
        )
