"""File systems: whether a folder is on a disk of this machine, or shared with others over a network.

Linux lists what is mounted where in ``/proc/self/mountinfo``, macOS by ``mount``, and Windows knows the type of a
drive.  What cannot be found out counts as local.
"""

from __future__ import annotations

import ntpath
import os
import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

_MOUNTINFO = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(rb"\\([0-7]{3})")
_MACOS_LINE = re.compile(r"^.* on (/.*) \(([^()]*)\)$")
_SECONDS = 5.0
_DRIVE_REMOTE = 4
#: Disks that several machines mount at the same time.
_SHARED_DISKS = frozenset({"acfs", "gfs", "gfs2", "ocfs2"})
#: Local, although no single disk is behind them: in memory, over several disks, layers of a container.  Of FUSE only
#: fuse-overlayfs, which has the layers of a container too (fuseblk has a disk).  Of the others the kernel cannot tell:
#: sshfs, rclone and gcsfuse are remote, and bindfs, mergerfs and gocryptfs show a folder that may be remote itself.
_LOCAL_WITHOUT_DISK = frozenset(
    {
        "aufs",
        "bcachefs",
        "btrfs",
        "devtmpfs",
        "fuse.fuse-overlayfs",
        "hugetlbfs",
        "jffs2",
        "overlay",
        "ramfs",
        "rootfs",
        "tmpfs",
        "ubifs",
        "zfs",
    }
)
#: Options of a mount with which locks hold on this machine only.
_LOCAL_LOCKS = frozenset({"nolock", "local_lock=all", "local_lock=posix", "localflock", "nobrl"})
_NO_MOUNT = -1


class FileSystem(NamedTuple):
    """The file system that a folder is on.

    Parameters
    ----------
    kind : str
        Type as the system names it, such as ``nfs4``, ``lustre`` or ``ext4``; empty if it could not be found out.
    mount_point : str
        Folder that it is mounted at, or the drive.
    is_local : bool
        Whether no other machine can change it, as far as can be told.
    has_shared_locks : bool, default True
        Whether locks hold on all machines that share it; False if it is mounted without.
    """

    kind: str
    mount_point: str
    is_local: bool
    has_shared_locks: bool = True

    def __str__(self) -> str:
        return f"{self.kind} at {self.mount_point}" if self.kind else f"unknown at {self.mount_point}"


class Mount(NamedTuple):
    """A line of ``/proc/self/mountinfo``."""

    id: int
    parent: int
    device: str
    point: str
    kind: str
    options: frozenset[str]

    def file_system(self) -> FileSystem:
        """Return what is mounted."""
        # 0 is the major number of what has no disk; a type that is not known there counts as shared: a wrong guess
        # costs time, the other one data.
        has_disk = not self.device.startswith("0:") and self.kind not in _SHARED_DISKS
        is_local = has_disk or self.kind in _LOCAL_WITHOUT_DISK
        has_locks = not self.options & _LOCAL_LOCKS and (self.kind != "lustre" or "flock" in self.options)
        return FileSystem(self.kind, self.point, is_local, is_local or has_locks)


def file_system_of(folder: Path) -> FileSystem:
    """Return the file system that a folder is on; of one that does not exist, that of the nearest folder above it.

    Parameters
    ----------
    folder : Path
        The folder.

    Returns
    -------
    FileSystem
        Local, with an empty ``kind``, if it could not be found out.

    Examples
    --------
    >>> file_system_of(Path("/home/mara/data")).kind  # doctest: +SKIP
    'nfs4'
    """
    while True:
        try:
            # Also makes the automounter mount it.
            device = folder.stat().st_dev
        except (FileNotFoundError, NotADirectoryError):
            if folder == folder.parent:
                return FileSystem("", str(folder), is_local=True)
            folder = folder.parent
        except OSError:
            return FileSystem("", str(folder), is_local=True)
        else:
            return _found(os.path.realpath(folder), device)


# By the device too: something may be mounted there later.
@lru_cache(maxsize=64)
def _found(folder: str, _device: int) -> FileSystem:
    unknown = FileSystem("", folder, is_local=True)
    try:
        if sys.platform == "win32":
            return _of_drive(folder)
        if sys.platform == "darwin":
            return _in_macos_list(folder, _macos_list()) or unknown
        mount = mount_of(folder, mounts(_MOUNTINFO.read_bytes()))
    except (OSError, ValueError, AttributeError):
        return unknown
    return unknown if mount is None else mount.file_system()


def mounts(mountinfo: bytes) -> Iterator[Mount]:
    """Return the mounts of a ``/proc/self/mountinfo``; lines of another form are left out."""
    for line in mountinfo.split(b"\n"):
        fields, separator, rest = line.partition(b" - ")
        # The number of optional fields before the separator varies.
        first, last = fields.split(b" "), rest.split(b" ")
        if not separator or len(first) < 6 or len(last) < 3:  # noqa: PLR2004 - the fields that every line has
            continue
        try:
            number, parent = int(first[0]), int(first[1])
        except ValueError:
            continue
        options = frozenset(_text(b",".join((first[5], last[2]))).split(","))
        yield Mount(number, parent, _text(first[2]), _text(first[4]), _text(last[0]), options)


def mount_of(path: str, found: Iterable[Mount]) -> Mount | None:
    """Return the mount that shows a path, which has no symbolic links: the path is walked as the kernel does it.

    A later mount hides what is mounted below it, so the longest mount point that the path begins with may be hidden.
    """
    all_mounts = list(found)
    numbers = {mount.id for mount in all_mounts}
    at: dict[tuple[int, str], Mount] = {}
    for mount in all_mounts:
        # The parent of the root is not in the list.
        is_root = mount.parent == mount.id or mount.parent not in numbers
        at[_NO_MOUNT if is_root else mount.parent, mount.point] = mount
    current = None
    folder = Path(path)
    for part in (*reversed(folder.parents), folder):
        while (mounted := at.pop((_NO_MOUNT if current is None else current.id, str(part)), None)) is not None:
            current = mounted
    return current


def _text(field: bytes) -> str:
    return os.fsdecode(_ESCAPED.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), field))


def _macos_list() -> str:
    import subprocess  # on macOS only

    # Does not ask servers that are away, as statfs would.
    try:
        done = subprocess.run(["/sbin/mount"], capture_output=True, text=True, timeout=_SECONDS, check=True)
    except subprocess.SubprocessError:
        return ""
    return done.stdout


def _in_macos_list(folder: str, listed: str) -> FileSystem | None:
    """Return the file system of a folder by the lines of ``mount``: ``server:/home on /Users/mara (nfs, nodev)``."""
    longest = None
    for line in listed.splitlines():
        match = _MACOS_LINE.match(line)
        if match is None or not Path(folder).is_relative_to(match[1]):
            continue
        if longest is None or len(match[1]) >= len(longest.mount_point):
            kind, *options = match[2].split(", ")
            longest = FileSystem(kind, match[1], "local" in options)
    return longest


def _of_drive(folder: str) -> FileSystem:
    drive = ntpath.splitdrive(folder)[0]
    if drive.startswith("\\\\"):
        return FileSystem("network share", drive, is_local=False)
    import ctypes  # on Windows only, and slow to import

    kernel: ctypes.CDLL = vars(ctypes)["windll"].kernel32
    is_remote = kernel.GetDriveTypeW(ctypes.c_wchar_p(f"{drive}\\")) == _DRIVE_REMOTE
    return FileSystem("network drive" if is_remote else "drive", drive, not is_remote)
