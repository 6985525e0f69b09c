"""Checkpoints in folders of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from loops_nb.api.step_names import step_of
from loops_nb.checkpoints.tensors.checkpoint import CONFIG_FILE, LONGEST_CONFIG, OpenedCheckpoint
from loops_nb.checkpoints.tensors.header import PREFIX, header_length, parse_header, unreadable
from loops_nb.checkpoints.tensors.info import TensorInfo
from loops_nb.config.paths import user_path
from loops_nb.errors import InvalidArgumentError, UnreadableTensorsError
from loops_nb.render.formatting import first_few

MANIFEST = ".loops-manifest.json"
_LONGEST_MANIFEST = 64 << 20
ENDING = ".safetensors"
_SCHEME = "bt://loops:"
_EXAMPLES = 3


class LocalCheckpoint(OpenedCheckpoint):
    """A checkpoint in a folder: a download, or any folder with safetensors files.

    Parameters
    ----------
    path : Path
        The folder.
    label : str
        Name in tables and messages.
    step : int or None
        Training step, if known.
    sizes : dict of str to int
        Bytes of each file with tensors.
    infos, config
        As in `OpenedCheckpoint`.
    """

    def __init__(
        self,
        path: Path,
        *,
        label: str,
        step: int | None,
        sizes: dict[str, int],
        infos: list[TensorInfo],
        config: bytes | None,
    ) -> None:
        super().__init__(infos, config)
        self.path = path
        self._label = label
        self._step = step
        self._sizes = sizes

    @property
    def label(self) -> str:
        """URI without the scheme from the manifest, or the name of the folder."""
        return self._label

    @property
    def step(self) -> int | None:
        """Training step in its name, if any."""
        return self._step

    @property
    def files(self) -> tuple[str, ...]:
        """Files with tensors, relative to the folder."""
        return tuple(self._sizes)

    def _read_bytes(self, file: str, first: int, count: int) -> bytes:
        path = self.path / file
        try:
            with path.open("rb", buffering=0) as opened:
                if os.fstat(opened.fileno()).st_size == self._sizes[file]:
                    opened.seek(first)
                    found = _read(opened, count)
                    if len(found) == count:
                        return found
        except OSError as error:
            raise unreadable(str(path), f"{error.strerror or error}") from None
        raise unreadable(str(path), "it has changed since it was opened")


def open_folder(folder: str | os.PathLike[str]) -> LocalCheckpoint:
    """Open a downloaded checkpoint: reads the headers of its files, no weights.

    Parameters
    ----------
    folder : str or path-like
        Its folder.

    Returns
    -------
    LocalCheckpoint
        Each tensor is read when it is needed.

    Raises
    ------
    InvalidArgumentError
        If there is no such folder, no safetensors file in it, or it holds several checkpoints.
    UnreadableTensorsError
        If a file is no valid safetensors file.

    Examples
    --------
    >>> open_folder("checkpoints/step-100").tensor("model.embed_tokens.weight").shape  # doctest: +SKIP
    """
    path = user_path(folder, argument="folder", kind="folder")
    if not path.is_dir():
        raise InvalidArgumentError(f"There is no folder {path}.", argument="folder")
    names = sorted(_names(path))
    _check_single(path, names)
    weights = [name for name in names if name.endswith(ENDING)]
    if not weights:
        raise InvalidArgumentError(
            f"The folder {path} has no {ENDING} files.", argument="folder", hint="Name a checkpoint's own folder."
        )
    infos: list[TensorInfo] = []
    sizes = {}
    for name in weights:
        sizes[name], found = _header(path, name)
        infos += found
    manifest = identity_in_manifest(_read_small(path / MANIFEST, _LONGEST_MANIFEST))
    uri, saved_name = manifest.get("uri"), manifest.get("name")
    return LocalCheckpoint(
        path,
        label=uri.removeprefix(_SCHEME) if isinstance(uri, str) and uri else path.resolve().name,
        step=step_of(saved_name if isinstance(saved_name, str) else path.resolve().name),
        sizes=sizes,
        infos=infos,
        config=_config(path, names),
    )


def _names(path: Path) -> Iterator[str]:
    for where, folders, files in os.walk(path):
        # Names of partial downloads begin with a dot.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(where).relative_to(path).as_posix()
        for name in files:
            if not name.startswith(".") or name == MANIFEST:
                yield name if below == "." else f"{below}/{name}"


def _check_single(path: Path, names: list[str]) -> None:
    folders = [str(PurePosixPath(name).parent) for name in names if PurePosixPath(name).name == MANIFEST]
    if folders and "." not in folders:
        shown = first_few([str(path / name) for name in folders], _EXAMPLES)
        raise InvalidArgumentError(
            f"The folder {path} is not one checkpoint; it holds {len(folders)}.",
            argument="folder",
            hint=f"Name one of them: {shown}",
        )


def _header(path: Path, name: str) -> tuple[int, tuple[TensorInfo, ...]]:
    place = str(path / name)
    try:
        with (path / name).open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            length = header_length(_read(file, PREFIX), place=place, file_size=size)
            header = _read(file, length)
    except OSError as error:
        raise unreadable(place, f"{error.strerror or error}") from None
    if len(header) != length:
        raise unreadable(place, "it changed while it was read")
    return size, parse_header(header, file=name, file_size=size, place=place)


def _read(file: Any, count: int) -> bytes:
    """Return ``count`` bytes from the current position, fewer only at the end of the file."""
    found = bytearray(count)
    view, at = memoryview(found), 0
    while at < count and (got := file.readinto(view[at:])):
        at += got
    view.release()
    return bytes(found[:at])


def identity_in_manifest(raw: bytes | None) -> dict[str, Any]:
    """Return the checkpoint's entry in the manifest of a download; empty without a readable manifest."""
    try:
        manifest = msgspec.json.decode(raw or b"null")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    entry = manifest.get("checkpoint") if isinstance(manifest, dict) else None
    return entry if isinstance(entry, dict) else {}


def _config(path: Path, names: list[str]) -> bytes | None:
    name = config_name(names)
    if name is None:
        return None
    found = _read_small(path / name, LONGEST_CONFIG)
    if found is None:
        raise UnreadableTensorsError(f"{path / name} cannot be read, or is too long for an adapter's configuration.")
    return found


def _read_small(path: Path, most: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            found = file.read(most + 1)
    except OSError:
        return None
    return found if len(found) <= most else None


def config_name(names: list[str]) -> str | None:
    """Return the file with the adapter's configuration: the one nearest to the root of the checkpoint."""
    found = [name for name in names if name.rpartition("/")[2] == CONFIG_FILE]
    return min(found, key=lambda name: (name.count("/"), name), default=None)
