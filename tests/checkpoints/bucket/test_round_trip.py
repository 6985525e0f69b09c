"""Downloads into a bucket, verified and opened there."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from loops_nb import Loops
from loops_nb.checkpoints.bucket.path import BucketPath
from loops_nb.checkpoints.tensors import open_bucket, open_folder
from loops_nb.checkpoints.transfer import upload
from loops_nb.errors import BucketError, InvalidArgumentError, VerificationError
from tests.checkpoints.bucket.bucket_server import SECRET_KEY, BucketServer
from tests.checkpoints.bucket.conftest import Bucket
from tests.checkpoints.transfer.scenario import MANIFEST, DownloadScenario
from tests.checkpoints.transfer.stored_file import SECRET, KiB, Stored, safetensors
from tests.processes import process_pool

MiB = KiB * KiB
BIG = "shard-2.safetensors"
#: Two whole parts of the least length that S3 takes, and a rest.
BIG_ROWS = 11 * MiB // 64


@lru_cache(1)
def big_file() -> Stored:
    """Return a file of three parts."""
    return Stored(BIG, safetensors(BIG_ROWS))


def client(source: DownloadScenario) -> Loops:
    return Loops(f"key-{SECRET}", source.server.url)


def wholly_in(bucket: Bucket, source: DownloadScenario) -> bool:
    """Return whether every file is there as the service has it, with a manifest and nothing else."""
    expected = {stored.name: stored.body for stored in source.server.files}
    found = bucket.objects()
    manifest = found.pop(MANIFEST)
    assert {entry["name"] for entry in json.loads(manifest)["files"]} == expected.keys()
    assert SECRET not in manifest.decode()
    return found == expected and not bucket.uploads()


@pytest.mark.parametrize("server", ["bucket", "rclone_bucket"])
def test_download_is_verified_resumed_and_opened_in_a_bucket(
    server: str, request: pytest.FixtureRequest, source: DownloadScenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket: Bucket = request.getfixturevalue(server)
    monkeypatch.setattr(upload, "PART_BYTES", 5 * MiB)
    source.server.files += [replace(big_file()), Stored("a b#c%20d+~ü.txt", b"of an odd name")]
    with client(source) as loops:
        done = loops.checkpoints.download([source.ref], bucket.into, quiet=True)
        place = BucketPath("s3", bucket.name, "loops/k4q95w5/weights/step-100")
        assert (done.checkpoints[0].path, done.checkpoints[0].manifest) == (place, place / MANIFEST)
        assert wholly_in(bucket, source)
        (verified,) = loops.checkpoints.verify(bucket.into)
        assert (verified.folder, verified.files) == (place, 7)

        # What is whole is not fetched again; what was lost or changed since is.
        assert loops.checkpoints.download([source.ref], bucket.into, quiet=True).fetched_bytes == 0
        bucket.delete("optimizer/rank_0.bin")
        bucket.put("adapter_config.json", b"x" * 26)
        with pytest.raises(VerificationError, match="2 files below") as refused:
            loops.checkpoints.verify(bucket.into)
        assert set(refused.value.differences) == {
            "k4q95w5/weights/step-100/adapter_config.json",
            "k4q95w5/weights/step-100/optimizer/rank_0.bin",
        }
        again = loops.checkpoints.download([source.ref], bucket.into, quiet=True)
        assert again.fetched_bytes == 64 * KiB + 26
        assert wholly_in(bucket, source)

        if server == "rclone_bucket":
            # It sends parts of objects with the status of whole ones.
            with pytest.raises(BucketError, match="does not send parts of objects"):
                loops.checkpoints.open(bucket.into)
            return
        # The service is not asked for anything that is read from the copy.
        source.server.behave()
        loops.checkpoints.download([source.ref], source.into, quiet=True)
        local = open_folder(source.folder)
        source.server.behave()
        opened = loops.checkpoints.open(bucket.into)
        assert (opened.label, opened.step, opened.adapter_config) == (local.label, 100, {"r": 8, "lora_alpha": 16})
        assert opened.bytes_fetched < opened.total_bytes / 100
        assert list(opened.infos) == list(local.infos)
        other = pickle.loads(pickle.dumps(opened))  # noqa: S301 - made here
        assert SECRET_KEY.encode() not in pickle.dumps(opened)
        for info in local.infos:
            np.testing.assert_array_equal(other.read(info), local.read(info))
        frame = loops.checkpoints.tensors(place)
        assert len(frame) == len(local.infos)
        compared = loops.checkpoints.compare([f"{place}", place], by="checkpoint")
        # Workers need no key of the service for it.
        monkeypatch.delenv("BASETEN_API_KEY", raising=False)
        with Loops("a-key", "https://loops.invalid") as away, process_pool(1) as pool:
            there = away.checkpoints.compare([f"{place}", place], by="checkpoint", executor=pool)
        assert isinstance(compared, pd.DataFrame)
        pd.testing.assert_frame_equal(there, compared)
        assert not source.server.api_calls
        assert not source.server.asked


def test_bucket_is_no_checkpoint_of_the_service(bucket: Bucket, source: DownloadScenario, tmp_path: Path) -> None:
    """Deleting, deploying and downloading a copy would do it to the original."""
    with client(source) as loops:
        loops.checkpoints.download([source.ref], bucket.into, quiet=True, include="adapter*")
        source.server.behave()
        for refused in (
            lambda: loops.checkpoints.delete(bucket.into),
            lambda: loops.checkpoints.download(bucket.into, tmp_path),
            lambda: loops.checkpoints.export_adapter(bucket.into, tmp_path / "adapter"),
            lambda: loops.checkpoints.export_adapter([source.ref], bucket.into),
        ):
            with pytest.raises(InvalidArgumentError, match=r"is in a bucket|is an address"):
                refused()
    assert source.server.api_calls == []


def test_object_that_changes_while_it_is_open_is_not_mixed(bucket: Bucket, source: DownloadScenario) -> None:
    with client(source) as loops:
        loops.checkpoints.download([source.ref], bucket.into, quiet=True, include="adapter*")
    opened = open_bucket(bucket.into)
    bucket.put("adapter_model.safetensors", safetensors(3 * KiB, seed=1))
    with pytest.raises(BucketError, match="has changed since it was opened"):
        opened.raw(opened.infos[0])


def test_two_checkpoints_below_one_place_are_named_by_their_own(
    bucket_server: BucketServer, bucket: Bucket, source: DownloadScenario
) -> None:
    with client(source) as loops:
        loops.checkpoints.download([source.ref], bucket.into, quiet=True, include="adapter*")
        for name in bucket.objects():
            key = f"loops/k4q95w5/weights/step-100/{name}"
            other = key.replace("step-100", "step-200")
            bucket.client.copy_object(Bucket=bucket.name, Key=other, CopySource=f"{bucket.name}/{key}")
        with pytest.raises(InvalidArgumentError, match="is not one checkpoint; it holds 2"):
            open_bucket(bucket.into)
        assert len(loops.checkpoints.verify(bucket.into)) == 2
        assert set(loops.checkpoints.duplicates(bucket.into)["group"]) == {1}
