"""Remote checkpoints over real HTTP."""

from __future__ import annotations

import os
import queue
import signal
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.http import Storage
from loops_nb.checkpoints.tensors import (
    HeaderCache,
    WeightSource,
    fetched_sentence,
    open_checkpoint,
    open_many,
)
from loops_nb.checkpoints.tensors.file_start import header_guess
from loops_nb.client.retry import RetryPolicy
from loops_nb.errors import InvalidArgumentError, LoopsError, StorageError, UnreadableTensorsError
from loops_nb.render.formatting import size
from tests.checkpoints.tensors.file_server import SECRET, Reply, Shelf, serving
from tests.checkpoints.tensors.safetensors_files import CONFIG, adapter, checkpoint_files, file_of, one

REF = CheckpointRef("c1", "r1", "step-30", "trainer", size_bytes=1000)
QUICK = RetryPolicy(attempts=3, first_wait_seconds=0.0, longest_wait_seconds=0.0)
WEIGHTS, SHARD = "adapter_model.safetensors", "optimizer/shard-00000-of-00001.safetensors"


def storage_of(shelf: Shelf) -> Storage:
    return Storage(shelf, retry=QUICK)


def test_remote_checkpoint_is_opened_and_read() -> None:
    tensors = adapter(dtype=np.float16)
    files = checkpoint_files(tensors, moments=True)
    with serving({"c1": files}) as shelf, storage_of(shelf) as storage:
        checkpoint = open_checkpoint(storage, REF)
        source: WeightSource = checkpoint
        assert (source.label, source.step, checkpoint.ref) == ("r1/weights/step-30", 30, REF)
        assert source.adapter_config == CONFIG
        assert [file.name for file in checkpoint.files] == list(files)
        assert checkpoint.total_bytes == sum(map(len, files.values()))
        assert {info.name for info in source.infos if info.role == "weights"} == set(tensors)
        assert {info.file for info in source.infos if info.role == "optimizer"} == {SHARD}
        for name, array in tensors.items():
            found = checkpoint.tensor(name)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, array)
            assert checkpoint.raw(checkpoint.tensors[name]) == array.tobytes()
        assert checkpoint.bytes_fetched == storage.bytes_received == shelf.sent
        assert shelf.listings == ["c1"]
        assert repr(checkpoint) == "<RemoteCheckpoint r1/weights/step-30: 24 tensors in 2 files>"


def test_opening_reads_small_files_whole_and_headers_of_others() -> None:
    small, large = save(adapter(layers=1)), save(adapter(layers=60, width=64))
    length = 8 + int.from_bytes(large[:8], "little")
    assert 4096 < length < len(large)
    with (
        serving({"c1": {"small.safetensors": small, "large.safetensors": large}}) as shelf,
        storage_of(shelf) as storage,
    ):
        checkpoint = open_checkpoint(storage, REF)
        assert sorted(shelf.asked) == [
            ("large.safetensors", "bytes=0-4095"),
            ("large.safetensors", f"bytes=4096-{length - 1}"),
            ("small.safetensors", f"bytes=0-{len(small) - 1}"),
        ]
        assert checkpoint.bytes_fetched == storage.bytes_received == len(small) + length


def layers_of(count: int, dtype: Any, *, width: int, rank: int) -> dict[str, np.ndarray[Any, Any]]:
    """Return an adapter of seven modules per layer."""
    modules = [f"self_attn.{name}_proj" for name in "qkvo"] + [f"mlp.{name}_proj" for name in ("gate", "up", "down")]
    return {
        f"base_model.model.model.layers.{layer}.{module}.lora_{half}.weight": np.zeros(shape, dtype)
        for layer in range(count)
        for module in modules
        for half, shape in (("A", (rank, width)), ("B", (width, rank)))
    }


LARGE: dict[str, Callable[[], dict[str, bytes]]] = {
    "12 MB, 32 layers": lambda: checkpoint_files(layers_of(32, np.float16, width=1680, rank=8)),
    "10 MB, 32 layers": lambda: checkpoint_files(layers_of(32, np.float16, width=1400, rank=8)),
    "12 MB, few tensors": lambda: checkpoint_files(layers_of(1, np.float32, width=14_000, rank=16)),
    "36 MB with the optimizer's": lambda: checkpoint_files(layers_of(32, np.float16, width=1680, rank=8), moments=True),
    "30 MB in 300 files": lambda: {
        f"rank-{n}/model.safetensors": save({"x.weight": np.zeros(25_000, np.float32)}) for n in range(300)
    },
}


@pytest.mark.parametrize("files", LARGE.values(), ids=LARGE)
def test_opening_reads_at_most_one_percent_of_large_checkpoints(files: Callable[[], dict[str, bytes]]) -> None:
    with serving({"c1": files()}) as shelf, storage_of(shelf) as storage:
        checkpoint = open_checkpoint(storage, REF)
        assert checkpoint.total_bytes >= 10_000_000
        assert checkpoint.infos
        assert storage.bytes_received == checkpoint.bytes_fetched == shelf.sent
        assert storage.bytes_received <= checkpoint.total_bytes / 100


def test_header_larger_than_the_guess_is_read_exactly() -> None:
    file = save({f"layers.{n}.some.module.with.a.long.name.weight": np.zeros(1000, np.float32) for n in range(3000)})
    length = 8 + int.from_bytes(file[:8], "little")
    with serving({"c1": {"a.safetensors": file}}) as shelf, storage_of(shelf) as storage:
        checkpoint = open_checkpoint(storage, REF)
        assert len(checkpoint.infos) == 3000
        assert storage.bytes_received == length
        guess = len(file) // 250
        assert shelf.asked == [
            ("a.safetensors", f"bytes=0-{guess - 1}"),
            ("a.safetensors", f"bytes={guess}-{length - 1}"),
        ]


@pytest.mark.parametrize(
    ("size", "total", "guess"),
    [
        (5, 5, 5),
        (3000, 3000, 3000),
        (5000, 5000, 4096),
        (9_000_000, 9_000_000, 36_000),
        (12_000_000, 12_000_000, 48_000),
        (80_000_000, 80_000_000, 65_536),
        (2_000_000, 12_000_000, 8000),
        (100, 12_000_000, 8),
        (5, 12_000_000, 5),
        (None, 0, 4096),
    ],
)
def test_header_guess_is_bounded(size: int | None, total: int, guess: int) -> None:
    assert header_guess(size, total) == guess


# --- cache


@pytest.fixture
def cache(tmp_path: Path) -> HeaderCache:
    return HeaderCache(tmp_path, "http://127.0.0.1:1")


def listed(files: dict[str, bytes], **more: Any) -> CheckpointRef:
    return CheckpointRef("c1", "r1", "step-30", "trainer", size_bytes=sum(map(len, files.values())), **more)


def test_cached_checkpoint_opens_without_a_request(cache: HeaderCache) -> None:
    files = checkpoint_files(adapter(), moments=True)
    with serving({"c1": files}) as shelf, storage_of(shelf) as storage:
        first = open_checkpoint(storage, listed(files), cache=cache)
    with serving({"c1": files}) as shelf, storage_of(shelf) as storage:
        second = open_checkpoint(storage, listed(files), cache=cache)
        assert (shelf.listings, shelf.asked) == ([], [])
        assert second.infos == first.infos
        assert second.adapter_config == first.adapter_config == CONFIG
        assert second.files == first.files
        assert (second.bytes_fetched, second.total_bytes) == (0, first.total_bytes)
        np.testing.assert_array_equal(second.tensor(second.infos[0].name), load(files[WEIGHTS])[second.infos[0].name])
        assert second.bytes_fetched == storage.bytes_received == second.infos[0].nbytes


def test_cached_checkpoint_without_listed_fields_is_checked_by_its_files(cache: HeaderCache) -> None:
    files = checkpoint_files(adapter())
    ref = CheckpointRef("c1")
    for turn in (0, 1):
        with serving({"c1": files}) as shelf, storage_of(shelf) as storage:
            checkpoint = open_checkpoint(storage, ref, cache=cache)
            assert shelf.listings == ["c1"]
            assert bool(shelf.asked) == (turn == 0)
            assert (checkpoint.label, len(checkpoint.infos)) == ("c1", 8)


def test_changed_checkpoint_is_read_again(cache: HeaderCache) -> None:
    for tensors in (adapter(layers=1), adapter(layers=2), adapter(layers=2, rank=2)):
        files = checkpoint_files(tensors)
        with serving({"c1": files}) as shelf, storage_of(shelf) as storage:
            checkpoint = open_checkpoint(storage, listed(files), cache=cache)
            assert {info.name: info.shape for info in checkpoint.infos} == {
                name: array.shape for name, array in tensors.items()
            }
            assert checkpoint.bytes_fetched > 0


def test_syncing_checkpoint_is_not_cached(cache: HeaderCache) -> None:
    files = checkpoint_files(adapter())
    for status, expected in (
        ("SYNCING", True),
        ("SYNCING", True),
        ("COMPLETE", True),
        ("COMPLETE", False),
        (None, False),
        ("SYNCING", True),
    ):
        with serving({"c1": files}) as shelf, storage_of(shelf) as storage:
            open_checkpoint(storage, listed(files, sync_status=status), cache=cache)
            assert bool(shelf.asked) == expected


def test_checkpoint_without_sizes_is_not_cached(cache: HeaderCache) -> None:
    files = checkpoint_files(adapter(layers=40))
    for _ in range(2):
        with serving({"c1": files}, hide_sizes=True) as shelf, storage_of(shelf) as storage:
            checkpoint = open_checkpoint(storage, CheckpointRef("c1", "r1", "step-30", "trainer"), cache=cache)
            assert len(checkpoint.infos) == 160
            assert checkpoint.total_bytes == 0
            assert shelf.asked


def test_optimizer_shards_can_be_skipped_and_read_later(cache: HeaderCache) -> None:
    files = checkpoint_files(adapter(), moments=True)
    with serving({"c1": files}) as shelf, storage_of(shelf) as storage:
        checkpoint = open_checkpoint(storage, listed(files), cache=cache, with_optimizer=False)
        assert {info.role for info in checkpoint.infos} == {"weights"}
        assert SHARD not in {name for name, _ in shelf.asked}
        before = len(shelf.asked)
        assert {info.role for info in open_checkpoint(storage, listed(files), cache=cache).infos} == {
            "weights",
            "optimizer",
        }
        assert [name for name, _ in shelf.asked[before:]] == [SHARD]
        assert {
            info.role for info in open_checkpoint(storage, listed(files), cache=cache, with_optimizer=False).infos
        } == {"weights"}
        assert len(shelf.asked) == before + 1


def test_cache_has_no_url(tmp_path: Path) -> None:
    files = checkpoint_files(adapter())
    with serving({"c1": files}) as shelf, storage_of(shelf) as storage:
        checkpoint = open_checkpoint(storage, listed(files), cache=HeaderCache(tmp_path, shelf.url))
        assert SECRET not in repr(vars(checkpoint))
        entry = HeaderCache(tmp_path, shelf.url).get("c1")
    assert entry is not None
    assert SECRET not in repr(entry)
    assert "127.0.0.1" not in repr(entry)


# --- several checkpoints


def test_open_many_runs_in_parallel_and_keeps_the_order(cache: HeaderCache) -> None:
    checkpoints = {f"c{number}": checkpoint_files(adapter(layers=1 + number % 3, seed=number)) for number in range(24)}
    refs = [CheckpointRef(name, "r1", f"step-{name[1:]}", "trainer", size_bytes=1) for name in checkpoints]
    # No request is answered before six have arrived.
    together = threading.Barrier(6)

    def wait(name: str, reply: Reply) -> None:
        together.wait(30)

    with serving(checkpoints, change=wait) as shelf, storage_of(shelf) as storage:
        opened_ones = open_many(storage, refs, cache=cache, workers=6)
        assert [one.ref for one in opened_ones] == refs
        assert [len(one.infos) for one in opened_ones] == [4 * (1 + number % 3) for number in range(24)]
        assert sum(one.bytes_fetched for one in opened_ones) == storage.bytes_received
    with serving(checkpoints) as shelf, storage_of(shelf) as storage:
        assert [one.infos for one in open_many(storage, refs, cache=cache)] == [one.infos for one in opened_ones]
        assert (shelf.listings, shelf.asked) == ([], [])


def test_failing_checkpoint_leaves_earlier_ones_in_the_cache(cache: HeaderCache) -> None:
    good = checkpoint_files(adapter())
    checkpoints = {"c1": good, "c2": {WEIGHTS: b"\x05" * 500}, "c3": good}
    refs = [CheckpointRef(name, "r1", name, "trainer", size_bytes=1) for name in checkpoints]
    with (
        serving(checkpoints) as shelf,
        storage_of(shelf) as storage,
        pytest.raises(UnreadableTensorsError, match=r"of r1/weights/c2"),
    ):
        open_many(storage, refs, cache=cache, workers=1)
    assert cache.get("c1") is not None
    assert cache.get("c2") is None


def test_open_many_of_nothing_is_empty_and_needs_a_worker() -> None:
    with serving({}) as shelf, storage_of(shelf) as storage:
        assert open_many(storage, []) == []
        with pytest.raises(InvalidArgumentError, match="workers must be at least 1"):
            open_many(storage, [REF], workers=0)


def test_ctrl_c_does_not_wait_for_the_server() -> None:
    may_go_on = threading.Event()
    released: queue.Queue[bool] = queue.Queue()

    def press(name: str, reply: Reply) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        released.put(may_go_on.wait(30))

    with serving({"c1": {WEIGHTS: save(adapter())}}, change=press) as shelf, storage_of(shelf) as storage:
        with pytest.raises(KeyboardInterrupt):
            open_checkpoint(storage, REF)
        may_go_on.set()
        assert released.get(timeout=30), "the server's time had run out before the person got the prompt back"


# --- tensors


def test_adjacent_tensors_are_read_together() -> None:
    tensors = adapter(layers=4)
    with serving({"c1": checkpoint_files(tensors)}) as shelf, storage_of(shelf) as storage:
        checkpoint = open_checkpoint(storage, REF)
        before, fetched = len(shelf.asked), checkpoint.bytes_fetched
        found = list(checkpoint.read_many(checkpoint.infos))
        assert [info for info, _ in found] == list(checkpoint.infos)
        for info, array in found:
            np.testing.assert_array_equal(array, tensors[info.name])
        assert len(shelf.asked) == before + 1
        assert checkpoint.bytes_fetched - fetched == sum(array.nbytes for array in tensors.values())


def test_distant_or_large_tensors_are_read_separately(monkeypatch: pytest.MonkeyPatch) -> None:
    file = save({name: np.full(50_000, number, np.float32) for number, name in enumerate("abcdef")})
    monkeypatch.setattr("loops_nb.checkpoints.tensors.checkpoint.TOGETHER", 450_000)
    with serving({"c1": {"m.safetensors": file}}) as shelf, storage_of(shelf) as storage:
        checkpoint = open_checkpoint(storage, REF)
        before = len(shelf.asked)
        wanted = [checkpoint.tensors[name] for name in "abcf"]
        assert [(info.name, array[0]) for info, array in checkpoint.read_many(wanted)] == [
            ("a", 0),
            ("b", 1),
            ("c", 2),
            ("f", 5),
        ]
        spans = [(infos[0].first, infos[-1].last - 1) for infos in (wanted[:2], wanted[2:3], wanted[3:])]
        assert shelf.asked[before:] == [("m.safetensors", f"bytes={first}-{last}") for first, last in spans]


def test_tensors_of_several_files_are_read_separately() -> None:
    files = {
        f"{part}.safetensors": save({f"{part}{n}": np.full(5000, n, np.float32) for n in range(6)}) for part in "xy"
    }
    with serving({"c1": files}) as shelf, storage_of(shelf) as storage:
        checkpoint = open_checkpoint(storage, REF)
        before = len(shelf.asked)
        wanted = [checkpoint.tensors[name] for name in ("x0", "x2", "x5", "y0")]
        assert [(info.name, array[0]) for info, array in checkpoint.read_many(wanted)] == [
            ("x0", 0),
            ("x2", 2),
            ("x5", 5),
            ("y0", 0),
        ]
        # Reading an unneeded tensor in between is cheaper than another request; reading two is not.
        spans = [(infos[0].first, infos[-1].last - 1) for infos in (wanted[:2], wanted[2:3], wanted[3:])]
        assert [span for _, span in shelf.asked[before:]] == [f"bytes={first}-{last}" for first, last in spans]


def test_pieces_of_a_large_tensor_are_fetched_concurrently(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loops_nb.checkpoints.tensors.checkpoint.PIECE", 10_000)
    together = threading.Barrier(4)
    shelf: Shelf

    def wait(name: str, reply: Reply) -> None:
        if len(shelf.asked) > 1:
            together.wait(30)

    array = np.random.default_rng(1).standard_normal(20_000).astype(np.float32)
    with serving({"c1": {"m.safetensors": save({"t": array})}}, change=wait) as shelf, storage_of(shelf) as storage:
        checkpoint = open_checkpoint(storage, REF)
        np.testing.assert_array_equal(checkpoint.tensor("t"), array)
        assert len(shelf.asked) == 1 + 8
        assert checkpoint.bytes_fetched == shelf.sent


def test_large_tensor_with_a_failed_piece_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loops_nb.checkpoints.tensors.checkpoint.PIECE", 10_000)
    shelf: Shelf

    def fail(name: str, reply: Reply) -> None:
        if len(shelf.asked) > 5:
            broken(name, reply)

    with (
        serving({"c1": {"m.safetensors": save({"t": np.ones(20_000)})}}, change=fail) as shelf,
        storage_of(shelf) as storage,
    ):
        checkpoint = open_checkpoint(storage, REF)
        with pytest.raises(StorageError, match="the server answered 503") as failed:
            checkpoint.tensor("t")
        no_url_in(failed.value)


def test_reading_a_tensor_takes_no_more_memory_than_the_tensor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loops_nb.checkpoints.tensors.checkpoint.PIECE", 64 * 1024)
    codes = np.arange(4_000_000, dtype="<u2")
    file = file_of({"t": one("BF16", [4_000_000], [0, 8_000_000])}, codes.tobytes())
    with serving({"c1": {"m.safetensors": file}}) as shelf, storage_of(shelf) as storage:
        checkpoint = open_checkpoint(storage, REF)
        tracemalloc.start()
        try:
            found = checkpoint.tensor("t")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert found.nbytes == 16_000_000
        assert len([name for name, _ in shelf.asked]) == 1 + 123
        assert peak < found.nbytes + 2_000_000
        np.testing.assert_array_equal(found.view(np.uint32), codes.astype(np.uint32) << 16)


# --- errors


def no_url_in(error: BaseException) -> None:
    left = [error]
    while left:
        this = left.pop()
        assert SECRET not in f"{this!r} {this} {vars(this)}"
        left += [other for other in (this.__cause__, this.__context__) if other is not None]


def refused(shelf: Shelf, kind: type[LoopsError], says: str) -> LoopsError:
    """Check that a checkpoint cannot be opened, with these words and no URL."""
    with storage_of(shelf) as storage, pytest.raises(kind, match=says) as failed:
        open_checkpoint(storage, REF)
    no_url_in(failed.value)
    return failed.value


def test_busy_server_is_retried() -> None:
    answered: list[str] = []

    def busy(name: str, reply: Reply) -> None:
        answered.append(name)
        if answered.count(name) < 3:
            reply.status, reply.body = 503, b""
            reply.headers.pop("Content-Range", None)

    files = checkpoint_files(adapter(layers=30))
    with serving({"c1": files}, change=busy) as shelf, storage_of(shelf) as storage:
        assert len(open_checkpoint(storage, REF).infos) == 120


def broken(name: str, reply: Reply) -> None:
    reply.status, reply.body = 503, b""
    reply.headers.pop("Content-Range", None)


def page(name: str, reply: Reply) -> None:
    reply.status, reply.body, reply.headers = 200, b"<html>Sign in</html>", {"Content-Type": "text/html"}


def gone(name: str, reply: Reply) -> None:
    reply.status, reply.body = 404, b"gone"
    reply.headers.pop("Content-Range", None)


def another_part(name: str, reply: Reply) -> None:
    reply.headers["Content-Range"] = reply.headers["Content-Range"].replace("bytes 0-", "bytes 1-")


def compressed(name: str, reply: Reply) -> None:
    reply.headers["Content-Encoding"] = "gzip"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (broken, "the server answered 503"),
        (page, "a web page came in its place"),
        (gone, "the server answered 404"),
        (another_part, "another part than was requested|a part of another length"),
        (compressed, "compressed"),
    ],
)
def test_fetch_error_has_no_url(change: Callable[[str, Reply], None], says: str) -> None:
    with serving({"c1": {WEIGHTS: save(adapter())}}, change=change) as shelf:
        assert WEIGHTS in str(refused(shelf, StorageError, says))


def cut(name: str, reply: Reply) -> None:
    reply.status, reply.body = 200, reply.body[:-1]
    reply.headers.pop("Content-Range", None)


def test_truncated_file_is_refused() -> None:
    file = save(adapter(layers=1))
    with serving({"c1": {WEIGHTS: file}}, change=cut) as shelf:
        refused(shelf, UnreadableTensorsError, f"lists it with {len(file):,} bytes, and it has {len(file) - 1:,}")
    with serving({"c1": {WEIGHTS: file}}, change=cut, hide_sizes=True) as shelf:
        refused(shelf, UnreadableTensorsError, "would end 1 byte behind the end of the file")


def test_whole_file_response_is_read_only_as_far_as_needed() -> None:
    def whole(name: str, reply: Reply) -> None:
        reply.status, reply.body = 200, files[name]
        reply.headers.pop("Content-Range", None)

    tensors = adapter(layers=40, width=128)
    files = {WEIGHTS: save(tensors)}
    with serving({"c1": files}, change=whole) as shelf, storage_of(shelf) as storage:
        checkpoint = open_checkpoint(storage, REF)
        assert checkpoint.bytes_fetched < len(files[WEIGHTS]) / 4
        name = "base_model.model.model.layers.3.self_attn.q_proj.lora_B.weight"
        np.testing.assert_array_equal(checkpoint.tensor(name), tensors[name])


@pytest.mark.parametrize("lie", [-1, 1, 100_000])
def test_wrong_listed_size_is_refused(lie: int) -> None:
    file = save(adapter(layers=30))
    says = f"lists it with {len(file) + lie:,} bytes, and it has {len(file):,}"
    with serving({"c1": {WEIGHTS: file}}, listed={WEIGHTS: len(file) + lie}) as shelf:
        refused(shelf, UnreadableTensorsError, says)


def test_file_of_unknown_size_is_refused() -> None:
    def hide(name: str, reply: Reply) -> None:
        reply.headers["Content-Range"] = reply.headers["Content-Range"].rpartition("/")[0] + "/*"

    with serving({"c1": {WEIGHTS: save(adapter(layers=60))}}, change=hide, hide_sizes=True) as shelf:
        refused(shelf, UnreadableTensorsError, "has its size")


def test_file_replaced_during_a_read_is_detected() -> None:
    file = save(adapter(layers=60))
    shelf: Shelf

    def replace(name: str, reply: Reply) -> None:
        shelf.checkpoints["c1"][WEIGHTS] = file[:-1] + bytes([file[-1] ^ 1])

    with serving({"c1": {WEIGHTS: file}}, change=replace) as shelf:
        refused(shelf, StorageError, "has changed since its first part was read")


@pytest.mark.parametrize("is_kept", [False, True])
def test_file_replaced_after_opening_is_detected(cache: HeaderCache, *, is_kept: bool) -> None:
    files = checkpoint_files(adapter(seed=1))
    with serving({"c1": files}) as shelf, storage_of(shelf) as storage:
        checkpoint = open_checkpoint(storage, listed(files), cache=cache)
        shelf.checkpoints["c1"] = checkpoint_files(adapter(seed=2))
        if is_kept:
            checkpoint = open_checkpoint(storage, listed(files), cache=cache)
            assert checkpoint.bytes_fetched == 0
        with pytest.raises(StorageError, match="has changed since its first part was read") as failed:
            checkpoint.tensor(checkpoint.infos[-1].name)
        no_url_in(failed.value)


def test_invalid_file_is_named_with_its_checkpoint() -> None:
    with serving({"c1": {"deep/bad.safetensors": file_of({"x": one("F64")}, bytes(8))}}) as shelf:
        refused(
            shelf, UnreadableTensorsError, r"^deep/bad\.safetensors of r1/weights/step-30 is not a safetensors file"
        )


def test_empty_file_is_refused_without_a_request() -> None:
    with serving({"c1": {WEIGHTS: b""}}) as shelf:
        refused(shelf, UnreadableTensorsError, "it has 0 bytes")
        assert shelf.asked == []


def test_too_long_configuration_is_refused() -> None:
    files = {WEIGHTS: save(adapter()), "adapter_config.json": b" " * 3_000_000}
    with serving({"c1": files}) as shelf, storage_of(shelf) as storage:
        with pytest.raises(
            UnreadableTensorsError, match=r"adapter_config\.json of r1/weights/step-30 is longer than 1\.0 MB"
        ):
            open_checkpoint(storage, REF)
        assert storage.bytes_received < 1_200_000


def test_checkpoint_without_safetensors_has_no_tensors(cache: HeaderCache) -> None:
    with serving({"c1": {"README.md": b"nothing yet"}}) as shelf, storage_of(shelf) as storage:
        checkpoint = open_checkpoint(storage, REF, cache=cache)
        assert (checkpoint.infos, checkpoint.adapter_config) == ((), None)
        with pytest.raises(InvalidArgumentError, match=r"has no tensor 'x'\. It has none at all"):
            checkpoint.tensor("x")
    assert cache.get("c1") is None


def test_file_listed_twice_is_refused() -> None:
    class Twice(Shelf):
        def files(self, checkpoint_id: str, *, page_size: int = 1000) -> Any:
            listed = list(super().files(checkpoint_id))
            return iter([*listed, *listed])

    with serving({"c1": {WEIGHTS: save(adapter())}}) as shelf:
        twice = Twice(shelf.checkpoints, shelf.url)
        with (
            Storage(twice) as storage,
            pytest.raises(LoopsError, match=f"lists {WEIGHTS} of r1/weights/step-30 2 times"),
        ):
            open_checkpoint(storage, REF)


# --- messages


def test_fetched_sentence_has_read_and_total_bytes(cache: HeaderCache) -> None:
    files = checkpoint_files(layers_of(4, np.float16, width=1680, rank=64))
    with serving({"c1": files, "c2": files}) as shelf, storage_of(shelf) as storage:
        first = open_checkpoint(storage, listed(files), cache=cache)
        total = f"{sum(map(len, files.values())) / 1e6:.1f} MB"
        share = 100 * first.bytes_fetched / first.total_bytes
        assert fetched_sentence([first]) == f"Read {first.bytes_fetched / 1000:.1f} kB of {total} ({share:.2g} %)."
        again = open_checkpoint(storage, listed(files), cache=cache)
        assert fetched_sentence([again]) == f"Read nothing of {total}: the headers are cached."
        assert fetched_sentence([first, again]).endswith(f"in 2 checkpoints ({share / 2:.2g} %).")
        assert fetched_sentence([]) == "Read nothing."


def test_fetched_sentence_has_no_percentage_above_the_total() -> None:
    files = {WEIGHTS: save(adapter())}
    with serving({"c1": files}) as shelf, storage_of(shelf) as storage:
        checkpoint = open_checkpoint(storage, REF)
        for info in checkpoint.infos:
            checkpoint.raw(info)
        assert checkpoint.bytes_fetched > checkpoint.total_bytes
        assert fetched_sentence([checkpoint]) == f"Read {size(checkpoint.bytes_fetched)}."
