"""Making a plan: list, select, refuse what cannot be a file, see what is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from loops_nb.downloads.names import collisions, what_is_wrong
from loops_nb.downloads.places import Bare, Found, There, file_in_the_way, free_bytes, links_on_the_way, look
from loops_nb.downloads.plans import CheckpointPlan, FilePlan, Plan, State
from loops_nb.downloads.records import known_files, read_manifest
from loops_nb.downloads.selection import Selection
from loops_nb.downloads.side_by_side import side_by_side
from loops_nb.drawing.wording import many
from loops_nb.errors import DownloadError, InvalidArgumentError, UnsafeNameError
from loops_nb.home import user_path
from loops_nb.references import CheckpointRef
from loops_nb.storage import Storage, StoredFile

_LISTED_AT_A_TIME = 8
_NAMED = 5
FOREIGN = "a file of that name is there already, and nothing tells that it is the same one; move it away, or choose another folder"
_STATES: dict[There, State] = {
    There.WHOLE: "there",
    There.UNSURE: "there",
    There.UNMOVED: "partial",
    There.PART: "partial",
}


def plan(storage: Storage, refs: Sequence[CheckpointRef], into: Path, *, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Plan:
    """Say what a download will do; fetches listings only, and changes nothing.

    Parameters
    ----------
    storage
        Where the files are.
    refs
        The checkpoints; one that is given twice counts once.
    into
        The folder of all checkpoints.
    include, exclude
        Patterns on the names of files; see `Selection`.

    Raises
    ------
    InvalidArgumentError
        If no checkpoint is given, or no file of one fits the patterns.
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
    listings = side_by_side(lambda ref: storage.listing(ref.id), unique, at_a_time=_LISTED_AT_A_TIME)
    _refuse_empty(unique, listings)
    are_many = len(unique) > 1
    selected = [(ref, selection.of_files(files, ref.label, is_one_of_many=are_many)) for ref, files in zip(unique, listings, strict=True)]
    _refuse_names(selected)
    try:
        _refuse_links(into, selected)
        _refuse_files_in_the_way(into, unique)
        checkpoints = tuple(_planned(into, ref, files) for ref, files in selected)
    except OSError as error:
        why = error.strerror or "unknown fault"
    else:
        return Plan(into, checkpoints, selection, free_bytes(into))
    raise DownloadError(
        f"What is in {into} already cannot be looked at, or the files cannot be there ({why}); nothing was downloaded.",
        hint="Choose another folder.",
    )


def folder_of(into: Path, ref: CheckpointRef) -> Path:
    """Return where a checkpoint lies."""
    return into.joinpath(*ref.folder.parts)


def _planned(into: Path, ref: CheckpointRef, files: Sequence[StoredFile]) -> CheckpointPlan:
    folder = folder_of(into, ref)
    manifest = read_manifest(folder)
    if manifest is not None and manifest.checkpoint.id != ref.id:
        raise DownloadError(
            f"{folder} holds another checkpoint ({manifest.checkpoint.uri or manifest.checkpoint.id}, id {manifest.checkpoint.id}); "
            "nothing was changed.",
            hint="Choose another folder, or move that one away.",
        )
    known = known_files(folder)
    bare = Bare()
    planned = []
    for file in files:
        path = folder / file.name
        planned.append(_file_plan(file, path, look(path, file, known.get(file.name), bare)))
    return CheckpointPlan(ref, folder, tuple(planned))


def _file_plan(file: StoredFile, path: Path, found: Found) -> FilePlan:
    trouble = FOREIGN if found.there is There.FOREIGN else found.why
    return FilePlan(file, path, _STATES.get(found.there, "missing"), found.size, trouble, is_sure=found.there is not There.UNSURE)


def _refuse_folders(refs: Sequence[CheckpointRef]) -> None:
    wrong: dict[str, str] = {}
    for ref in refs:
        parts = ref.folder.parts
        # A path drops dots and doubled slashes, so each word is looked at before it is one.
        words = [ref.id] if ref.uri is None else [str(ref.run_id), str(ref.name)]
        said = next((s for s in map(_wrong_word, words) if s), "") or what_is_wrong("/".join(parts))
        if said:
            wrong["/".join(parts)] = said
    wrong = wrong or collisions([str(ref.folder) for ref in refs])
    if wrong:
        raise UnsafeNameError(
            f"{many(len(wrong), 'checkpoint')} cannot have a folder here: {_quoted(wrong)}. Nothing was downloaded.", refused=wrong
        )


def _refuse_empty(refs: Sequence[CheckpointRef], listings: Sequence[Sequence[StoredFile]]) -> None:
    empty = [ref for ref, files in zip(refs, listings, strict=True) if not files]
    if empty:
        labels = ", ".join(ref.label for ref in empty[:_NAMED]) + (f" and {len(empty) - _NAMED:,} more" if len(empty) > _NAMED else "")
        is_coming = any(ref.sync_status == "SYNCING" for ref in empty)
        raise DownloadError(
            f"The service lists no files of {labels}{', which is still being saved' if is_coming else ''}. Nothing was downloaded.",
            hint="Try again when it is saved." if is_coming else "Leave it out, or try again later if it was saved just now.",
        )


def _wrong_word(word: str) -> str:
    return "it holds a slash" if "/" in word else what_is_wrong(word)


def _refuse_names(selected: Sequence[tuple[CheckpointRef, Sequence[StoredFile]]]) -> None:
    wrong: dict[str, str] = {}
    labels = []
    for ref, files in selected:
        names = [file.name for file in files]
        found = {name: said for name in names if (said := what_is_wrong(name))}
        found |= collisions(name for name in names if name not in found)
        wrong |= found
        labels += [ref.label] if found else []
    if wrong:
        raise UnsafeNameError(
            f"The listing of {', '.join(labels)} has {many(len(wrong), 'name')} that cannot be files here: {_quoted(wrong)}. "
            "Nothing was downloaded.",
            refused=wrong,
            hint="Leave them out with --exclude PATTERN (exclude= in Python).",
        )


def _refuse_links(into: Path, selected: Sequence[tuple[CheckpointRef, Sequence[StoredFile]]]) -> None:
    wrong: dict[str, str] = {}
    bare = Bare()
    for ref, files in selected:
        # Folders are shared by many files.
        for parent, names in _by_folder(ref, files).items():
            said = links_on_the_way(into, parent)
            # One link stands in the way of all that lies behind it.
            if said and said not in wrong.values():
                wrong[str(parent)] = said
            folder = into / parent
            for name in names if not said and folder not in bare else ():
                if (folder / name).is_symlink():
                    wrong[str(parent / name)] = f"{folder / name} is a link, which is not followed"
    if wrong:
        raise UnsafeNameError(
            f"There are links in the way: {_quoted(wrong)}. Nothing was downloaded, and nothing outside was touched.",
            refused=wrong,
            hint="Remove them, or choose another folder.",
        )


def _by_folder(ref: CheckpointRef, files: Sequence[StoredFile]) -> dict[PurePosixPath, list[str]]:
    """Return the last parts of names by the folder that they lie in."""
    names: dict[str, list[str]] = {}
    for file in files:
        inner, _, last = file.name.rpartition("/")
        names.setdefault(inner, []).append(last)
    return {ref.folder / inner: last for inner, last in names.items()}


def _refuse_files_in_the_way(into: Path, refs: Sequence[CheckpointRef]) -> None:
    for ref in refs:
        found = file_in_the_way(folder_of(into, ref))
        if found is not None:
            raise DownloadError(
                f"{found} is no folder, and one is needed there; nothing was downloaded.", hint="Move it away, or choose another folder."
            )


def _quoted(wrong: dict[str, str]) -> str:
    some = "; ".join(f"{name!r}: {said}" for name, said in list(wrong.items())[:_NAMED])
    return some + (f"; and {len(wrong) - _NAMED:,} more" if len(wrong) > _NAMED else "")
