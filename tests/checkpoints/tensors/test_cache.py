"""The on-disk cache of headers."""

from __future__ import annotations

import os
import random
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.tensors.cache import CachedCheckpoint, CachedFile, HeaderCache, listed_fields
from loops_nb.config.paths import cache_dir

ROOT = Path(__file__).resolve().parents[3]
SERVICE = "https://api.example.test"
NOISE = random.Random(1).randbytes(2000)  # noqa: S311 - nothing is secret here


def entry(checkpoint_id: str = "c1", *, header: bytes = NOISE) -> CachedCheckpoint:
    files = (
        CachedFile("model.safetensors", 0, 100_000, "2026-11-21", header, '"etag"'),
        CachedFile("adapter_config.json", None, 5, None),
    )
    return CachedCheckpoint(checkpoint_id, ("r1", "step-1", "trainer", 100_005), files, b"{}   ")


def entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def test_cached_entry_is_found(tmp_path: Path) -> None:
    cache = HeaderCache(tmp_path / "a" / "b", SERVICE)
    assert cache.get("c1") is None
    cache.put(entry())
    assert cache.get("c1") == entry()
    assert HeaderCache(tmp_path / "a" / "b", SERVICE).get("c1") == entry()
    assert cache.get("c2") is None
    cache.put(entry(header=b"{}"))
    assert cache.get("c1") == entry(header=b"{}")
    assert len(entries(tmp_path / "a" / "b")) == 1


def test_same_id_of_another_service_is_another_entry(tmp_path: Path) -> None:
    HeaderCache(tmp_path, SERVICE).put(entry())
    assert HeaderCache(tmp_path, "http://127.0.0.1:8787").get("c1") is None


def test_any_id_stays_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "headers"
    cache = HeaderCache(folder, SERVICE)
    for odd in ("../../etc/passwd", "a/b", "", "c\x00d", "\ud800", "x" * 5000):
        cache.put(entry(odd))
        found = cache.get(odd)
        # Lone surrogates cannot be cached; that is ignored.
        assert found == (None if odd == "\ud800" else entry(odd))
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != folder] == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_cache_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        HeaderCache(tmp_path / "cache" / "headers", SERVICE).put(entry())
    finally:
        os.umask(before)
    (kept,) = entries(tmp_path / "cache" / "headers")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


def test_cache_has_neither_address_nor_url(tmp_path: Path) -> None:
    HeaderCache(tmp_path, SERVICE).put(entry(header=b"{}"))
    (kept,) = entries(tmp_path)
    assert b"example.test" not in kept.read_bytes()
    assert "example" not in kept.name


def damage(kept: Path, how: str) -> None:
    raw = kept.read_bytes()
    kept.write_bytes(
        {
            "empty": b"",
            "cut": raw[: len(raw) // 2],
            "longer": raw + b"x",
            "flipped": raw[:100] + bytes([raw[100] ^ 1]) + raw[101:],
            "another format": b"loops_nb headers 9\n" + raw[19:],
            "noise": NOISE,
        }[how]
    )


@pytest.mark.parametrize("how", ["empty", "cut", "longer", "flipped", "another format", "noise"])
def test_damaged_entry_is_ignored(tmp_path: Path, how: str) -> None:
    cache = HeaderCache(tmp_path, SERVICE)
    cache.put(entry())
    damage(entries(tmp_path)[0], how)
    assert cache.get("c1") is None
    cache.put(entry())
    assert cache.get("c1") == entry()


def test_entry_under_another_name_is_ignored(tmp_path: Path) -> None:
    cache = HeaderCache(tmp_path, SERVICE)
    cache.put(entry())
    (first,) = entries(tmp_path)
    cache.put(entry("c2"))
    (second,) = set(entries(tmp_path)) - {first}
    second.write_bytes(first.read_bytes())
    assert cache.get("c2") is None


def test_least_recently_used_entry_is_evicted(tmp_path: Path) -> None:
    cache = HeaderCache(tmp_path, SERVICE, limit_bytes=20 * len(NOISE))
    for number in range(8):
        cache.put(entry(str(number)))
    now = time.time()
    for age, path in enumerate(entries(tmp_path)):
        os.utime(path, (now - 1000 - age, now - 1000 - age))
    # Used just now, so it is the most recent.
    assert cache.get("3") is not None
    for number in range(8, 40):
        cache.put(entry(str(number)))
        assert cache.get("3") is not None
        assert sum(path.stat().st_size for path in entries(tmp_path)) <= 20 * len(NOISE)
    assert cache.get("39") is not None
    assert sum(cache.get(str(number)) is not None for number in range(8)) == 1


def test_too_large_entry_is_not_cached(tmp_path: Path) -> None:
    cache = HeaderCache(tmp_path, SERVICE, limit_bytes=8000)
    cache.put(entry())
    assert cache.get("c1") is None
    assert entries(tmp_path) == []


def test_stale_temporary_file_is_removed(tmp_path: Path) -> None:
    tmp_path.mkdir(exist_ok=True)
    old, young = tmp_path / "x.1.part", tmp_path / "x.2.part"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    HeaderCache(tmp_path, SERVICE).put(entry())
    assert not old.exists()
    assert young.exists()


@pytest.mark.parametrize("what", ["a file in the folder's place", "a file above it"])
def test_unwritable_cache_is_ignored(tmp_path: Path, what: str) -> None:
    (tmp_path / "cache").write_bytes(b"")
    folder = tmp_path / "cache" if what.endswith("place") else tmp_path / "cache" / "headers"
    cache = HeaderCache(folder, SERVICE)
    cache.put(entry())
    assert cache.get("c1") is None
    assert (tmp_path / "cache").read_bytes() == b""


WORK = """
import sys
from pathlib import Path
from loops_nb.checkpoints.tensors.cache import HeaderCache
from tests.checkpoints.tensors.test_cache import NOISE, SERVICE, entry

folder, number = Path(sys.argv[1]), int(sys.argv[2])
cache = HeaderCache(folder, SERVICE, limit_bytes=60 * len(NOISE))
for turn in range(80):
    cache.put(entry(str((turn * 7 + number) % 60)))
    found = cache.get(str((turn * 11) % 60))
    assert found is None or found == entry(found.checkpoint_id)
"""


def test_processes_share_the_cache(tmp_path: Path) -> None:
    started = [
        subprocess.Popen([sys.executable, "-c", WORK, str(tmp_path), str(number)], env=dict(os.environ), cwd=ROOT)
        for number in range(3)
    ]
    assert [process.wait() for process in started] == [0, 0, 0]
    assert [path.name for path in entries(tmp_path) if path.suffix != ".headers"] == []
    assert sum(path.stat().st_size for path in entries(tmp_path)) <= 60 * len(NOISE)


def test_cache_is_in_the_users_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "home"))
    assert cache_dir() == tmp_path / "home" / "cache"
    cache = HeaderCache.of_user(SERVICE)
    assert cache is not None
    cache.put(entry())
    assert len(entries(tmp_path / "home" / "cache" / "headers")) == 1
    monkeypatch.setenv("LOOPS_NB_HOME", " ")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir().name == "loops-nb"
    assert cache_dir() != tmp_path / "home" / "cache"


def test_listed_fields_identify_a_checkpoint() -> None:
    ref = CheckpointRef("c1", "r1", "step-1", "trainer", size_bytes=5)
    assert listed_fields(ref) == ("r1", "step-1", "trainer", 5)
    assert listed_fields(CheckpointRef("c1")) is None
    assert listed_fields(CheckpointRef("c1", "r1", "step-1", "trainer")) is None
