"""Files of the real local service, read over real HTTP."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

import loops_nb
from loops_nb.checkpoints.http import Storage, StoredFile
from loops_nb.errors import NotFoundError, StorageError
from tests.service import AnyService, running_service


@pytest.fixture(scope="module")
def service() -> Iterator[AnyService]:
    with running_service(in_process=True, sample=True) as running:
        yield running


@pytest.fixture(scope="module")
def loops(service: AnyService) -> Iterator[loops_nb.Loops]:
    with loops_nb.Loops("local-test", service.url) as client:
        yield client


@pytest.fixture
def storage(loops: loops_nb.Loops) -> Iterator[Storage]:
    with Storage(loops.checkpoints, silence=10.0) as made:
        yield made


@pytest.fixture(scope="module")
def checkpoint(loops: loops_nb.Loops) -> str:
    return next(c for c in loops.checkpoints.list(base_model="Qwen/Qwen3-8B") if c.target == "trainer").id


def on_disk(service: AnyService, file: StoredFile) -> bytes:
    return (service.data_dir / "checkpoints" / file.checkpoint_id / file.name).read_bytes()


def test_a_listing_has_the_files_and_no_urls(storage: Storage, checkpoint: str) -> None:
    files = storage.listing(checkpoint)
    assert [f.name for f in files] == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "optimizer/shard-00000-of-00001.safetensors",
        "trainer_state.json",
    ]
    assert "http" not in repr(files)
    assert "signature" not in repr(vars(storage))
    assert len(set(files)) == len(files)


def test_whole_files_and_their_parts_are_as_on_disk(service: AnyService, storage: Storage, checkpoint: str) -> None:
    for file in storage.listing(checkpoint):
        expected, into = on_disk(service, file), bytearray(1 << 18)
        with storage.open(file) as body:
            assert (body.status, body.first, body.length, body.total) == (200, 0, file.size, file.size)
            count = 0
            while got := body.readinto(memoryview(into)[count:]):
                count += got
            validator = body.validator
        assert bytes(into[:count]) == expected
        assert storage.read(file, 5, 40) == expected[5:45]
        assert storage.read(file, 0, len(expected), if_range=validator) == expected
        assert storage.read(file, 5, 0) == b""


def test_bytes_are_counted_and_connections_kept(storage: Storage, checkpoint: str) -> None:
    file = storage.listing(checkpoint)[1]
    for _ in range(5):
        storage.read(file, 100, 1000)
    assert storage.bytes_received == 5000
    assert [pool.num_connections for _, pool in storage._pools._pools.values()] == [1]


def test_a_part_beyond_the_end_is_refused_in_words(storage: Storage, checkpoint: str) -> None:
    file = storage.listing(checkpoint)[0]
    assert file.size is not None
    with pytest.raises(
        StorageError, match=f"{file.name} of checkpoint {checkpoint} could not be read: the server answered 416"
    ) as caught:
        storage.read(file, file.size, 10)
    assert caught.value.status == 416
    with pytest.raises(StorageError, match=r"ends before|server answered 416"):
        storage.read(file, file.size - 5, 10)


def test_another_version_is_refused(storage: Storage, checkpoint: str) -> None:
    file = storage.listing(checkpoint)[1]
    with pytest.raises(StorageError, match="has changed"):
        storage.read(file, 10, 10, if_range='"another"')


def test_a_file_that_is_not_listed_is_told(storage: Storage, checkpoint: str) -> None:
    with pytest.raises(StorageError, match="lists it no longer"):
        storage.read(StoredFile(checkpoint, "nothing.bin"), 0, 1)


def test_a_listing_of_nothing_is_the_services_error(storage: Storage) -> None:
    with pytest.raises(NotFoundError):
        storage.listing("zzzzzzz")


def test_an_expired_url_is_renewed(service: AnyService, loops: loops_nb.Loops, checkpoint: str) -> None:
    with Storage(loops.checkpoints) as storage:
        file = storage.listing(checkpoint)[0]
        listed = storage._listings._listings[checkpoint]
        listed.urls = {key: (url.replace("expires=", "expires=1"), size) for key, (url, size) in listed.urls.items()}
        assert storage.read(file, 0, 20) == on_disk(service, file)[:20]


def test_a_closed_storage_reads_no_more(loops: loops_nb.Loops, checkpoint: str) -> None:
    storage = Storage(loops.checkpoints)
    file = storage.listing(checkpoint)[0]
    with storage:
        storage.read(file, 0, 10)
    with pytest.raises(StorageError, match="stopped"):
        storage.read(file, 0, 10)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_forked_child_opens_connections_of_its_own(service: AnyService, loops: loops_nb.Loops, checkpoint: str) -> None:
    with Storage(loops.checkpoints) as storage:
        file = storage.listing(checkpoint)[1]
        expected = on_disk(service, file)
        storage.read(file, 0, 10)
        # As if another thread held it.
        storage._lock.acquire()
        child = os.fork()
        if not child:
            is_right = storage.read(file, 100, 1000) == expected[100:1100]
            os._exit(0 if is_right and storage.bytes_received == 1010 else 1)
        storage._lock.release()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert storage.read(file, 100, 1000) == expected[100:1100]
        assert [pool.num_connections for _, pool in storage._pools._pools.values()] == [1]
