"""Makes the plan of a download: lists and selects files, refuses unsafe names, looks at what is on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.http import Storage, StoredFile
from loops_nb.checkpoints.transfer.destination import (
    FOREIGN,
    EmptyFolders,
    ExistingFile,
    FileState,
    blocking_file,
    free_bytes,
    inspect_file,
    link_in_path,
)
from loops_nb.checkpoints.transfer.filenames import collisions, name_problem
from loops_nb.checkpoints.transfer.manifest import known_entries, read_manifest
from loops_nb.checkpoints.transfer.parallel import map_in_threads
from loops_nb.checkpoints.transfer.plans import CheckpointPlan, DownloadPlan, FilePlan, State
from loops_nb.checkpoints.transfer.selection import Selection
from loops_nb.config.paths import user_path
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
    into: Path,
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
    into : Path
        The folder of all checkpoints.
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
    """
    selection = Selection.of(include, exclude)
    unique = list({ref.id: ref for ref in refs}.values())
    if not unique:
        raise InvalidArgumentError("There is no checkpoint to download.", argument="refs")
    _refuse_folders(unique)
    into = user_path(into, argument="into", kind="folder").absolute()
    listings = map_in_threads(lambda ref: storage.listing(ref.id), unique, workers=_LISTED_AT_A_TIME)
    _refuse_empty(unique, listings)
    are_many = len(unique) > 1
    selected = [
        (ref, selection.of_files(files, ref.label, is_one_of_many=are_many))
        for ref, files in zip(unique, listings, strict=True)
    ]
    _refuse_names(selected)
    try:
        _refuse_links(into, selected)
        _refuse_files_in_the_way(into, unique)
        checkpoints = tuple(_planned(into, ref, files) for ref, files in selected)
    except OSError as error:
        why = error.strerror or "unknown fault"
    else:
        return DownloadPlan(into, checkpoints, selection, free_bytes(into))
    raise DownloadError(
        f"What is in {into} already cannot be looked at, or the files cannot be there ({why}); nothing was downloaded.",
        hint="Choose another folder.",
    )


def folder_of(into: Path, ref: CheckpointRef) -> Path:
    """Return the folder of a checkpoint."""
    return into.joinpath(*ref.folder.parts)


def _planned(into: Path, ref: CheckpointRef, files: Sequence[StoredFile]) -> CheckpointPlan:
    folder = folder_of(into, ref)
    manifest = read_manifest(folder)
    if manifest is not None and manifest.checkpoint.id != ref.id:
        raise DownloadError(
            f"{folder} holds another checkpoint ({manifest.checkpoint.uri or manifest.checkpoint.id}, id "
            f"{manifest.checkpoint.id}); nothing was changed.",
            hint="Choose another folder, or move that one away.",
        )
    known = known_entries(folder)
    empty = EmptyFolders()
    planned = []
    for file in files:
        path = folder / file.name
        planned.append(_file_plan(file, path, inspect_file(path, file, known.get(file.name), empty)))
    return CheckpointPlan(ref, folder, tuple(planned))


def _file_plan(file: StoredFile, path: Path, existing: ExistingFile) -> FilePlan:
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
            f"{many(len(wrong), 'checkpoint')} cannot have a folder here: {_quoted(wrong)}. Nothing was downloaded.",
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
            f"{_quoted(wrong)}. Nothing was downloaded.",
            refused=wrong,
            hint="Leave them out with --exclude PATTERN (exclude= in Python).",
        )


def _refuse_links(into: Path, selected: Sequence[tuple[CheckpointRef, Sequence[StoredFile]]]) -> None:
    wrong: dict[str, str] = {}
    empty = EmptyFolders()
    for ref, files in selected:
        # Folders are shared by many files.
        for parent, names in _by_folder(ref, files).items():
            problem = link_in_path(into, parent)
            folder = into / parent
            if problem:
                # One link concerns all that lies behind it.
                if problem not in wrong.values():
                    wrong[str(parent)] = problem
                continue
            if folder in empty:
                continue
            for name in names:
                if (folder / name).is_symlink():
                    wrong[str(parent / name)] = f"{folder / name} is a link, which is not followed"
    if wrong:
        raise UnsafeNameError(
            f"There are links in the way: {_quoted(wrong)}. Nothing was downloaded, and nothing outside was touched.",
            refused=wrong,
            hint="Remove them, or choose another folder.",
        )


def _by_folder(ref: CheckpointRef, files: Sequence[StoredFile]) -> dict[PurePosixPath, list[str]]:
    """Return the last parts of names by their folder."""
    names: dict[str, list[str]] = {}
    for file in files:
        inner, _, last = file.name.rpartition("/")
        names.setdefault(inner, []).append(last)
    return {ref.folder / inner: last for inner, last in names.items()}


def _refuse_files_in_the_way(into: Path, refs: Sequence[CheckpointRef]) -> None:
    for ref in refs:
        found = blocking_file(folder_of(into, ref))
        if found is not None:
            raise DownloadError(
                f"{found} is no folder, and one is needed there; nothing was downloaded.",
                hint="Move it away, or choose another folder.",
            )


def _quoted(wrong: dict[str, str]) -> str:
    some = "; ".join(f"{name!r}: {problem}" for name, problem in list(wrong.items())[:_NAMED])
    return some + (f"; and {len(wrong) - _NAMED:,} more" if len(wrong) > _NAMED else "")
