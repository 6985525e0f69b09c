"""Which file system a folder is on, by what the system lists."""

from __future__ import annotations

import ctypes
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.config import file_systems
from loops_nb.config.file_systems import FileSystem, file_system_of, mount_of, mounts
from tests.frames.strategies import ANY_MACHINE
from tests.mounts import line, show_as

NAMES = st.sampled_from(["home", "a b", "tab\tnew\nline", "back\\slash", "\\040", "\N{ROCKET}", "\udcff"])
POINTS = st.lists(NAMES, max_size=4).map(lambda names: "/" + "/".join(names))


@ANY_MACHINE
@given(points=st.lists(POINTS, max_size=12), path=POINTS, order=st.randoms(use_true_random=False))
def test_visible_mount_is_found_whatever_is_mounted_over_it(points: list[str], path: str, order: object) -> None:
    # A mount hides what was mounted before at its place and below; of what is left, the longest point is the one.
    visible: list[tuple[str, int]] = []

    def mount_at(place: str) -> int:
        return max(visible, key=lambda one: (Path(place).is_relative_to(one[0]), len(one[0])), default=("", 0))[1]

    lines = []
    for number, point in enumerate(["/", *points], 1):
        lines.append(line(number, mount_at(point), point, f"kind{number}"))
        visible = [(other, of) for other, of in visible if not Path(other).is_relative_to(point)] + [(point, number)]
    order.shuffle(lines)  # type: ignore[attr-defined]
    found = mount_of(path, mounts(b"".join(lines)))
    assert found is not None
    assert found.kind == f"kind{mount_at(path)}"


@ANY_MACHINE
@given(
    text=st.binary() | st.lists(st.sampled_from([b"1", b"2", b"/", b"-", b"x", b" ", b"\n", b"\\999"])).map(b"".join)
)
def test_any_text_of_the_kernel_is_read(text: bytes) -> None:
    mount_of("/home/mara", mounts(text))


@pytest.mark.parametrize(
    ("kind", "device", "options", "is_local", "has_locks"),
    [
        ("ext4", "8:1", "rw", True, True),
        ("fuseblk", "8:2", "rw", True, True),
        ("btrfs", "0:22", "rw", True, True),
        ("overlay", "0:22", "rw", True, True),
        ("tmpfs", "0:22", "rw", True, True),
        ("fuse.fuse-overlayfs", "0:22", "rw", True, True),
        ("nfs", "0:22", "rw,nolock,addr=10.0.0.1", False, False),
        ("nfs4", "0:22", "rw,local_lock=none", False, True),
        ("cifs", "0:22", "rw,nobrl", False, False),
        ("smb3", "0:22", "rw", False, True),
        ("lustre", "0:22", "rw,flock,lazystatfs", False, True),
        ("lustre", "0:22", "rw,lazystatfs", False, False),
        ("gpfs", "0:22", "rw", False, True),
        ("beegfs", "0:22", "rw", False, True),
        ("ceph", "0:22", "rw", False, True),
        ("9p", "0:22", "rw", False, True),
        ("afs", "0:22", "rw", False, True),
        ("virtiofs", "0:22", "rw", False, True),
        ("fuse", "0:22", "rw", False, True),
        ("fuse.sshfs", "0:22", "rw", False, True),
        ("gfs2", "253:4", "rw", False, True),
        ("a-new-cluster-fs", "0:22", "rw", False, True),
    ],
)
def test_kind_of_file_system_decides(kind: str, device: str, options: str, is_local: bool, has_locks: bool) -> None:
    (mount,) = mounts(line(7, 1, "/home/m m", kind, device=device, options=options))
    assert mount.file_system() == FileSystem(kind, "/home/m m", is_local, has_locks)


def test_symbolic_links_and_folders_that_do_not_exist_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_systems, "_MOUNTINFO", Path())
    served = tmp_path / "served"
    served.mkdir()
    (tmp_path / "link").symlink_to(served)
    show_as(served, "nfs4")
    assert str(file_system_of(tmp_path / "link" / "not" / "there")) == f"nfs4 at {served}"
    assert file_system_of(tmp_path).is_local
    file_systems._found.cache_clear()


def test_missing_list_of_mounts_counts_as_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_systems, "_MOUNTINFO", tmp_path / "missing")
    file_systems._found.cache_clear()
    assert file_system_of(tmp_path) == FileSystem("", str(tmp_path.resolve()), is_local=True)
    file_systems._found.cache_clear()


MACOS = """\
/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)
filer:/vol/home (new) on /Users/mara k (nfs, nodev, nosuid, automounted, noatime)
//mara@filer/share on /Volumes/share (smbfs, nodev, nosuid, mounted by mara)
/dev/disk5 on /Volumes/share/disk (hfs, local, journaled)
"""


def test_list_of_macos_is_read() -> None:
    kinds = {}
    for folder in ("/Users/mara", "/Users/mara k/x", "/Volumes/share", "/Volumes/share/disk/x"):
        found = file_systems._in_macos_list(folder, MACOS)
        assert found is not None
        kinds[folder] = (found.kind, found.is_local)
    assert list(kinds.values()) == [("apfs", True), ("nfs", False), ("smbfs", False), ("hfs", True)]


def test_drives_of_windows_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = SimpleNamespace(GetDriveTypeW=lambda root: 4 if root.value == "H:\\" else 3)
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
    found = [file_systems._of_drive(folder) for folder in ("C:\\Users\\mara", "H:\\data", "\\\\filer\\share\\x")]
    assert [(of.mount_point, of.is_local) for of in found] == [
        ("C:", True),
        ("H:", False),
        ("\\\\filer\\share", False),
    ]
