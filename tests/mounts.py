"""A `/proc/self/mountinfo` of our own, and a real file system that two "machines" share."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from loops_nb.config import file_systems

_TO_ESCAPE = re.compile(rb"[ \t\n\\]")


def line(number: int, parent: int, point: str, kind: str, *, device: str = "0:40", options: str = "rw") -> bytes:
    """Return a line of mountinfo."""
    escaped = _TO_ESCAPE.sub(lambda match: b"\\%03o" % match[0][0], point.encode(errors="surrogateescape"))
    return b"%d %d %s / %s rw,noatime shared:1 master:2 - %s server:/x %s\n" % (
        number,
        parent,
        device.encode(),
        escaped,
        kind.encode(),
        options.encode(),
    )


def show_as(folder: Path, kind: str, *, options: str = "rw", into: ModuleType = file_systems) -> None:
    """Let this process see another file system at a folder; until `into` has its attributes back."""
    listed = folder.parent / f"{folder.name}.mountinfo"
    device = "8:1" if kind == "ext4" else "0:40"
    mounted = line(2, 1, str(folder.resolve()), kind, device=device, options=options)
    listed.write_bytes(line(1, 0, "/", "ext4", device="8:1") + mounted)
    vars(into)["_MOUNTINFO"] = listed
    file_systems._found.cache_clear()


@pytest.fixture
def as_nfs(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for data, which the package takes for one on NFS."""
    monkeypatch.setattr(file_systems, "_MOUNTINFO", Path())
    home.mkdir()
    show_as(home, "nfs4")
    yield home
    file_systems._found.cache_clear()


@contextmanager
def two_machines(folder: Path) -> Iterator[tuple[Path, Path]]:
    """Mount a folder twice as a network file system does it: without a common cache or memory, with common locks.

    ``LOOPS_NB_TEST_MOUNTS=/mnt/one:/mnt/other`` names two real mounts of one folder in place of these.
    """
    if real := os.environ.get("LOOPS_NB_TEST_MOUNTS"):
        one, other = (Path(mounted) for mounted in real.split(":"))
        yield one, other
        return
    if shutil.which("bindfs") is None:
        pytest.skip("bindfs is not installed, so there is no file system of two machines here")
    (folder / "served").mkdir()
    mounted: list[Path] = []
    try:
        for name in ("one", "other"):
            place = folder / name
            place.mkdir()
            options = "attr_timeout=0,entry_timeout=0,negative_timeout=0,direct_io"
            command = ["bindfs", "--multithreaded", "--enable-lock-forwarding", "-o", options]
            done = subprocess.run(
                [*command, str(folder / "served"), str(place)], capture_output=True, text=True, check=False
            )
            if done.returncode or not place.is_mount():
                pytest.skip(f"FUSE cannot be mounted here: {done.stderr.strip()[-200:]}")
            mounted.append(place)
        yield mounted[0], mounted[1]
    finally:
        for place in mounted:
            unmount = ["fusermount", "-u", "-z"] if shutil.which("umount") is None else ["umount", "-l"]
            subprocess.run([*unmount, str(place)], check=False, capture_output=True)
