"""Exports checkpoints as adapters: downloaded and verified, built beside their destination, moved there when whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from loops_nb.checkpoints.compare.weights import copies_differ, modules_of
from loops_nb.checkpoints.export.card import CARD, CardFacts, card_text, recorded_metrics
from loops_nb.checkpoints.export.layout import ADAPTER_FILE, AdapterLayout, adapter_layout
from loops_nb.checkpoints.export.writing import sha256, write_adapter
from loops_nb.checkpoints.tensors.folder import config_name, open_folder
from loops_nb.checkpoints.transfer.folder_lock import FolderLock
from loops_nb.checkpoints.transfer.folder_target import folder_of
from loops_nb.config.paths import user_path
from loops_nb.errors import DownloadError, ExportError, InvalidArgumentError, readable_interrupt
from loops_nb.render.formatting import first_few, many

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loops_nb.api.references import CheckpointRef
    from loops_nb.checkpoints.export.hub import HubRepository
    from loops_nb.checkpoints.http import Storage
    from loops_nb.checkpoints.tensors import FetchedCheckpoint
    from loops_nb.checkpoints.transfer import Download
    from loops_nb.render.status import ProgressDisplay

_STAGING = ".loops-export-"
_DOWNLOADED, _BUILT, _ADAPTER = "downloaded", "built", "adapter"
_NAMED = 3


class CheckpointReader(Protocol):
    """What an export needs of `loops_nb.checkpoints.service.CheckpointService`."""

    def reading(self) -> AbstractContextManager[tuple[Storage, ProgressDisplay]]:
        """Open a reader of files, with a progress line."""
        ...

    def open(
        self, refs: Sequence[CheckpointRef], storage: Storage, *, shown: ProgressDisplay | None = None
    ) -> list[FetchedCheckpoint]:
        """Read the headers of checkpoints."""
        ...

    def download(
        self,
        refs: Sequence[CheckpointRef],
        into: str | os.PathLike[str],
        include: Sequence[str],
        exclude: Sequence[str],
        *,
        connections: int,
        quiet: bool,
    ) -> Download:
        """Download files of checkpoints."""
        ...


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """How adapters are exported.

    Parameters
    ----------
    merge : bool, default False
        Write the base model with the adapter merged into it, in place of the adapter.
    base : str, optional
        Folder or name of the base model for it.
    push : str, optional
        ``ORG/NAME`` on the Hugging Face Hub.
    private : bool, default True
        Whether a new repository there is private.
    connections : int, default 16
        Simultaneous connections.
    quiet : bool, default False
        Show no progress.
    """

    merge: bool = False
    base: str | None = None
    push: str | None = None
    private: bool = True
    connections: int = 16
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class ExportedAdapter:
    """An exported adapter.

    Parameters
    ----------
    ref : CheckpointRef
        The checkpoint.
    path : Path
        Its folder.
    layout : AdapterLayout
        Its tensors and configuration.
    size_bytes : int
        Bytes of all files.
    sha256 : str or None
        Checksum of ``adapter_model.safetensors``; None of a merged model.
    url : str or None
        Where it was pushed.
    """

    ref: CheckpointRef
    path: Path
    layout: AdapterLayout
    size_bytes: int
    sha256: str | None
    url: str | None = None


def export_adapters(
    service: CheckpointReader, refs: Sequence[CheckpointRef], into: str | os.PathLike[str], options: ExportOptions
) -> list[ExportedAdapter]:
    """Export checkpoints as adapters.

    Parameters
    ----------
    service : CheckpointReader
        Reads and downloads them.
    refs : sequence of CheckpointRef
        The checkpoints.
    into : str or path-like
        Folder of the one adapter; of several, each goes to ``into/run/weights/name``.
    options : ExportOptions
        What is written, and whether it is pushed.

    Raises
    ------
    InvalidArgumentError
        If the folder exists already, or options contradict each other.
    ExportError
        If there is no such adapter, or it cannot be merged or pushed.
    DownloadError
        If the files were not downloaded; what came is kept beside the folder, and the same call goes on from there.
    """
    top = user_path(into, argument="into", kind="folder").absolute()
    repository = _checked(refs, options)
    folders = [top] if len(refs) == 1 else [folder_of(top, ref) for ref in refs]
    _refuse_existing(folders)
    staging = top.parent / f"{_STAGING}{top.name}"
    with _opened(service, refs) as opened:
        layouts = [adapter_layout(one, ref.base_model) for one, ref in zip(opened, refs, strict=True)]
        files = [_files(one, layout) for one, layout in zip(opened, layouts, strict=True)]
    with _staging_folder(staging):
        found = [_downloaded(service, staging, *one, options) for one in zip(refs, files, strict=True)]
        exported = []
        with readable_interrupt("The export", "Nothing was exported; what was downloaded is kept."):
            for number, (ref, folder, downloaded) in enumerate(zip(refs, folders, found, strict=True)):
                built = staging / _BUILT / str(number)
                exported.append((_built(ref, downloaded, built, folder, staging, options), built))
            for one, built in exported:
                one.path.parent.mkdir(parents=True, exist_ok=True)
                _move(built, one.path)
    done = [one for one, _ in exported]
    if repository is None:
        return done
    (one,) = done
    return [_pushed(one, repository)]


def _checked(refs: Sequence[CheckpointRef], options: ExportOptions) -> HubRepository | None:
    """Refuse what cannot be done before anything is fetched; return where it is pushed."""
    if options.base is not None and not options.merge:
        raise InvalidArgumentError("base is for merge: an adapter needs no base weights.", argument="base")
    if options.push is not None and len(refs) != 1:
        raise InvalidArgumentError(
            f"One checkpoint is pushed at a time; {len(refs):,} were given. Nothing was exported.", argument="push"
        )
    if options.merge:
        from loops_nb.checkpoints.export.merge import check_can_merge

        check_can_merge(options.base)
    if options.push is None:
        return None
    from loops_nb.checkpoints.export.hub import HubRepository

    return HubRepository(options.push, private=options.private)


def _refuse_existing(folders: Sequence[Path]) -> None:
    there = [folder for folder in folders if os.path.lexists(folder) and not _is_empty(folder)]
    if there:
        named = first_few([str(folder) for folder in there], _NAMED)
        raise InvalidArgumentError(
            f"{named} exists already. Nothing was exported, and nothing there was changed.",
            argument="into",
            hint="Choose another folder, or move that one away.",
        )


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())


@contextmanager
def _opened(service: CheckpointReader, refs: Sequence[CheckpointRef]) -> Iterator[list[FetchedCheckpoint]]:
    with service.reading() as (storage, shown):
        yield service.open(refs, storage, shown=shown)


def _files(opened: FetchedCheckpoint, layout: AdapterLayout) -> list[str]:
    """Return the files that hold the adapter, also those with further copies of its tensors."""
    names = {tensor.info.name for tensor in layout.tensors}
    files = {info.file for info in opened.infos if info.name in names}
    config = config_name(list(opened.file_names))
    return sorted(files | ({config} if config else set()))


@contextmanager
def _staging_folder(staging: Path) -> Iterator[None]:
    """Hold the folder beside the destination; after a failed download it is kept for the next attempt."""
    try:
        staging.mkdir(parents=True, exist_ok=True)
        with FolderLock(staging):
            shutil.rmtree(staging / _BUILT, ignore_errors=True)
            shutil.rmtree(staging / _ADAPTER, ignore_errors=True)
            try:
                yield
            except (DownloadError, KeyboardInterrupt):
                raise
            except BaseException:
                shutil.rmtree(staging, ignore_errors=True)
                raise
        shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise ExportError(
            f"The export could not be written to {staging.parent} ({error.strerror or 'unknown fault'}). Nothing was"
            " exported.",
            hint="Choose another folder, or make room.",
        ) from None


def _downloaded(
    service: CheckpointReader, staging: Path, ref: CheckpointRef, files: Sequence[str], options: ExportOptions
) -> Path:
    patterns = [_literal(name) for name in files]
    done = service.download(
        [ref], staging / _DOWNLOADED, patterns, (), connections=options.connections, quiet=options.quiet
    )
    return Path(str(done.checkpoints[0].path))


def _literal(name: str) -> str:
    """Return the pattern that only this name matches."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)


def _built(
    ref: CheckpointRef, downloaded: Path, built: Path, folder: Path, staging: Path, options: ExportOptions
) -> ExportedAdapter:
    source = open_folder(downloaded)
    # What was downloaded and verified decides, not the headers that were read before.
    layout = adapter_layout(source, ref.base_model)
    torn = [key.module for key, module in modules_of(source).by_key.items() if copies_differ(source, module.copies)]
    if torn:
        raise ExportError(
            f"{source.label} has tensors in several files that differ, such as those of {torn[0]:.100}. Nothing was"
            " exported."
        )
    adapter = staging / _ADAPTER if options.merge else built
    adapter.mkdir(parents=True)
    stored = layout.stored_file
    write_adapter(adapter, source, layout, None if stored is None else downloaded / stored)
    if options.merge:
        from loops_nb.checkpoints.export.merge import merge

        built.mkdir(parents=True)
        merge(adapter, layout, options.base, built)
        shutil.rmtree(adapter)
    files = {path.relative_to(built).as_posix(): (path.stat().st_size, sha256(path)) for path in _files_in(built)}
    step, metrics = recorded_metrics(ref)
    facts = CardFacts(ref, layout, ref.step if step is None else step, metrics, files, is_merged=options.merge)
    (built / CARD).write_text(card_text(facts), encoding="utf-8")
    total = sum(path.stat().st_size for path in _files_in(built))
    digest = None if options.merge else files[ADAPTER_FILE][1]
    return ExportedAdapter(ref, folder, layout, total, digest)


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _move(built: Path, folder: Path) -> None:
    for path in _files_in(built):
        with path.open("rb+") as file:
            # Before the name is there: after a power cut the folder is whole or absent.
            os.fsync(file.fileno())
    if folder.is_dir():
        folder.rmdir()
    built.rename(folder)


def _pushed(one: ExportedAdapter, repository: HubRepository) -> ExportedAdapter:
    url = repository.push(one.path, f"Export {one.ref.label} ({many(len(one.layout.tensors), 'tensor')})")
    return ExportedAdapter(one.ref, one.path, one.layout, one.size_bytes, one.sha256, url)
