"""Checkpoints of the sample workspace, opened through the local service."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import numpy as np
import pytest
from safetensors.numpy import load_file

import loops_nb
from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.http import Storage
from loops_nb.checkpoints.tensors import HeaderCache, open_folder, open_many
from loops_nb.checkpoints.tensors.frames import tensors_frame
from tests.service import AnyService, running_service

KEY = "explicit-key-of-the-caller"


@pytest.fixture(scope="module")
def service() -> Iterator[AnyService]:
    with running_service(sample=True, in_process=True, speed=1.0) as running:
        yield running


@pytest.fixture(scope="module")
def loops(service: AnyService) -> Iterator[loops_nb.Loops]:
    with loops_nb.Loops("local-test", service.url) as client:
        yield client


@pytest.fixture(scope="module")
def refs(loops: loops_nb.Loops) -> list[CheckpointRef]:
    """Return the checkpoints of some runs: at least 40, two of them still being uploaded."""
    listed = [loops.checkpoints.list(run_id=run.id) for run in loops.runs.list()]
    uploading = [one for of_run in listed for one in of_run if one.sync_status == "SYNCING"]
    others = [one for of_run in sorted(listed, key=len) for one in of_run if one.sync_status != "SYNCING"]
    return [CheckpointRef.of(one) for one in (*uploading[:2], *others[:40])]


def test_sample_checkpoints_are_opened_and_cached(
    service: AnyService, loops: loops_nb.Loops, refs: list[CheckpointRef], tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = HeaderCache(tmp_path_factory.mktemp("cache"), service.url)
    with Storage(loops.checkpoints) as storage:
        found = open_many(storage, refs, cache=cache)
        for checkpoint in found:
            home = open_folder(service.data_dir / "checkpoints" / checkpoint.ref.id)
            assert sorted(checkpoint.infos, key=lambda info: (info.file, info.first)) == list(home.infos)
            assert checkpoint.adapter_config == home.adapter_config
        assert storage.bytes_received == sum(checkpoint.bytes_fetched for checkpoint in found)
        before = storage.bytes_received
        again = open_many(storage, refs, cache=cache)
        complete = [one for one in again if one.ref.sync_status != "SYNCING"]
        assert len(complete) >= 20
        assert all(one.bytes_fetched == 0 for one in complete)
        assert storage.bytes_received - before == sum(one.bytes_fetched for one in again)
    assert [one.infos for one in again] == [one.infos for one in found]
    frame = tensors_frame(found)
    assert frame["checkpoint"].nunique() == len(refs)
    assert frame.loc[frame["role"] == "weights", "lora"].notna().all()


def test_sample_tensor_is_read_by_its_range(
    service: AnyService, loops: loops_nb.Loops, refs: list[CheckpointRef]
) -> None:
    ref = next(ref for ref in refs if ref.target == "sampler")
    with Storage(loops.checkpoints) as storage:
        (checkpoint,) = open_many(storage, [ref])
        theirs = load_file(service.data_dir / "checkpoints" / ref.id / "adapter_model.safetensors")
        before = storage.bytes_received
        for name, array in theirs.items():
            np.testing.assert_array_equal(checkpoint.tensor(name), array.astype(np.float32))
        assert storage.bytes_received - before == sum(array.nbytes for array in theirs.values())


def test_pickled_checkpoint_reads_with_the_key_of_its_process(
    monkeypatch: pytest.MonkeyPatch, loops: loops_nb.Loops, service: AnyService, refs: list[CheckpointRef]
) -> None:
    with loops_nb.Loops(KEY, service.url) as other:
        opened = [other.checkpoints.open(refs[number]) for number in (2, 3)]
        whole = opened[0].infos[0]
        expected = opened[0].tensor(whole.name, file=whole.file)
        pickled = pickle.dumps(opened)
        small = [pickle.dumps(one.without_tensors()) for one in opened]
        assert "signature=" in next(loops.checkpoints.files(refs[2].id)).url
        assert b"signature=" not in pickled
        assert KEY.encode() not in pickled
        assert all(len(one) < 2000 for one in small)
        del opened
    monkeypatch.setenv("BASETEN_API_KEY", "key-of-the-worker")
    again = pickle.loads(pickled)  # noqa: S301 - made above
    np.testing.assert_array_equal(again[0].tensor(whole.name, file=whole.file), expected)
    assert again[0].bytes_fetched == whole.nbytes
    bare = [pickle.loads(one) for one in small]  # noqa: S301
    assert bare[0].infos == ()
    np.testing.assert_array_equal(bare[0].read(whole), expected)
    # Tasks that come one after the other share connections.
    assert bare[0]._storage is bare[1]._storage is again[0]._storage
    again[0]._storage.close()
