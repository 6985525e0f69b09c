"""A checkpoint in a folder of this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from loops_nb.errors import InvalidArgumentError, UnreadableTensorsError
from loops_nb.home import user_path
from loops_nb.steps import step_of
from loops_nb.tensors.header import PREFIX, header_length, parse_header, unreadable
from loops_nb.tensors.info import TensorInfo
from loops_nb.tensors.opened import CONFIG_FILE, LONGEST_CONFIG, Opened

_MANIFEST = ".loops-manifest.json"
_LONGEST_MANIFEST = 64 << 20
_ENDING = ".safetensors"
_SCHEME = "bt://loops:"
_EXAMPLES = 3


class LocalCheckpoint(Opened):
    """A checkpoint in a folder, as a download leaves it; any folder with safetensors files will do.

    Parameters
    ----------
    path
        The folder.
    label, step
        What it is called and its training step, where the folder tells.
    sizes
        Bytes of each file with tensors.
    infos, config
        As in `Opened`.
    """

    def __init__(
        self, path: Path, *, label: str, step: int | None, sizes: dict[str, int], infos: list[TensorInfo], config: bytes | None
    ) -> None:
        super().__init__(infos, config)
        self.path = path
        self._label = label
        self._step = step
        self._sizes = sizes

    @property
    def label(self) -> str:
        """Its URI without the scheme where a manifest tells it, or the folder's name."""
        return self._label

    @property
    def step(self) -> int | None:
        """Its training step, where its name tells one."""
        return self._step

    @property
    def files(self) -> tuple[str, ...]:
        """Its files with tensors, relative to the folder."""
        return tuple(self._sizes)

    def _read_bytes(self, file: str, first: int, count: int) -> bytes:
        path = self.path / file
        try:
            with path.open("rb", buffering=0) as opened:
                if os.fstat(opened.fileno()).st_size == self._sizes[file]:
                    opened.seek(first)
                    found = _whole(opened, count)
                    if len(found) == count:
                        return found
        except OSError as error:
            raise unreadable(str(path), f"{error.strerror or error}") from None
        raise unreadable(str(path), "it has changed since it was opened")


def open_folder(folder: str | os.PathLike[str]) -> LocalCheckpoint:
    """Open a checkpoint that was downloaded: reads the headers of its files, no weights.

    Parameters
    ----------
    folder
        Its folder.

    Returns
    -------
    checkpoint
        With its tensors listed; each is read when it is asked for.

    Raises
    ------
    InvalidArgumentError
        If there is no such folder, no safetensors file in it, or it holds several checkpoints.
    UnreadableTensorsError
        If a file is not what its name says.
    """
    path = user_path(folder, argument="folder", kind="folder")
    if not path.is_dir():
        raise InvalidArgumentError(f"There is no folder {path}.", argument="folder")
    names = sorted(_names(path))
    _only_one(path, names)
    weights = [name for name in names if name.endswith(_ENDING)]
    if not weights:
        raise InvalidArgumentError(f"The folder {path} has no {_ENDING} files.", argument="folder", hint="Name a checkpoint's own folder.")
    infos: list[TensorInfo] = []
    sizes = {}
    for name in weights:
        sizes[name], found = _header(path, name)
        infos += found
    told = _told(path)
    uri, saved_name = told.get("uri"), told.get("name")
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
        # A partial download lies beside its place under a name with a dot.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(where).relative_to(path).as_posix()
        for name in files:
            if not name.startswith(".") or name == _MANIFEST:
                yield name if below == "." else f"{below}/{name}"


def _only_one(path: Path, names: list[str]) -> None:
    homes = [str(PurePosixPath(name).parent) for name in names if PurePosixPath(name).name == _MANIFEST]
    if homes and "." not in homes:
        shown = ", ".join(str(path / home) for home in homes[:_EXAMPLES])
        raise InvalidArgumentError(
            f"The folder {path} is not one checkpoint; it holds {len(homes)}.",
            argument="folder",
            hint=f"Name one of them: {shown}{', ...' if len(homes) > _EXAMPLES else ''}",
        )


def _header(path: Path, name: str) -> tuple[int, tuple[TensorInfo, ...]]:
    place = str(path / name)
    try:
        with (path / name).open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            length = header_length(_whole(file, PREFIX), place=place, file_size=size)
            header = _whole(file, length)
    except OSError as error:
        raise unreadable(place, f"{error.strerror or error}") from None
    if len(header) != length:
        raise unreadable(place, "it changed while it was read")
    return size, parse_header(header, file=name, file_size=size, place=place)


def _whole(file: Any, count: int) -> bytes:
    """Return bytes from where a file stands: as many as asked for, fewer only at its end."""
    found = bytearray(count)
    view, at = memoryview(found), 0
    while at < count and (got := file.readinto(view[at:])):
        at += got
    view.release()
    return bytes(found[:at])


def _told(path: Path) -> dict[str, Any]:
    """Return what the manifest of a download tells of the checkpoint; nothing if there is none that can be read."""
    raw = _small(path / _MANIFEST, _LONGEST_MANIFEST)
    try:
        manifest = msgspec.json.decode(raw or b"null")
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    told = manifest.get("checkpoint") if isinstance(manifest, dict) else None
    return told if isinstance(told, dict) else {}


def _config(path: Path, names: list[str]) -> bytes | None:
    name = config_name(names)
    if name is None:
        return None
    found = _small(path / name, LONGEST_CONFIG)
    if found is None:
        raise UnreadableTensorsError(f"{path / name} cannot be read, or is longer than any adapter's configuration.")
    return found


def _small(path: Path, most: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            found = file.read(most + 1)
    except OSError:
        return None
    return found if len(found) <= most else None


def config_name(names: list[str]) -> str | None:
    """Return which of a checkpoint's files is the adapter's configuration: the one nearest to its root."""
    found = [name for name in names if name.rpartition("/")[2] == CONFIG_FILE]
    return min(found, key=lambda name: (name.count("/"), name), default=None)
