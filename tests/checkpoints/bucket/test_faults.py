"""Downloads into buckets that fail, are stopped or killed: what is left there, and what the same command does then."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from loops_nb import AsyncLoops, Loops
from loops_nb.checkpoints.bucket.path import BucketPath
from loops_nb.checkpoints.transfer import upload, verify
from loops_nb.checkpoints.transfer.filenames import JOURNAL
from loops_nb.errors import BucketError, DownloadError, DownloadIncompleteError
from tests.checkpoints.bucket.bucket_server import SECRET_KEY, BucketFault, BucketRequest, BucketServer, Refused
from tests.checkpoints.bucket.conftest import Bucket
from tests.checkpoints.bucket.test_round_trip import BIG, MiB, big_file, client, wholly_in
from tests.checkpoints.transfer import responses
from tests.checkpoints.transfer.hostile_server import LONGEST_WAIT
from tests.checkpoints.transfer.responses import Reply, only
from tests.checkpoints.transfer.scenario import MANIFEST, DownloadScenario, assert_readable
from tests.checkpoints.transfer.stored_file import SECRET, Asked

PROJECT = Path(__file__).parents[3]
#: A download in a process of its own; it prints what it says when it is stopped.
PROGRAM = """
import json, signal, sys
from loops_nb import Loops
from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.bucket.path import BucketPath
from loops_nb.checkpoints.transfer import upload, verify
signal.signal(signal.SIGINT, signal.default_int_handler)
upload.PART_BYTES = 5 << 20
key, url, into = sys.argv[1:]
ref = CheckpointRef("ckpt1", run_id="k4q95w5", name="step-100", target="trainer")
try:
    Loops(key, url).checkpoints.download([ref], into, quiet=True)
except KeyboardInterrupt as stop:
    print(json.dumps(stop.__notes__))
"""


@pytest.fixture
def big(source: DownloadScenario, monkeypatch: pytest.MonkeyPatch) -> DownloadScenario:
    """A checkpoint with a file of three parts."""
    monkeypatch.setattr(upload, "PART_BYTES", 5 * MiB)
    source.server.files.append(replace(big_file()))
    return source


def download(source: DownloadScenario, bucket: Bucket) -> int:
    """Do what ``%loops download`` does, and return how much was fetched."""
    with client(source) as loops:
        return loops.checkpoints.download([source.ref], bucket.into, quiet=True).fetched_bytes


def once_each(*faults: Refused) -> BucketFault:
    """Let the first parts of an upload meet these, one after the other."""
    left = list(faults)

    def fault(request: BucketRequest) -> Refused | None:
        return left.pop(0) if request.is_part and left else None

    return fault


def always(refused: Refused, when: Callable[[BucketRequest], bool] = lambda _: True) -> BucketFault:
    return lambda request: refused if when(request) else None


def test_passing_faults_of_both_sides_are_overcome(
    bucket_server: BucketServer, bucket: Bucket, big: DownloadScenario
) -> None:
    """A part is refused, another one cut in its middle, and a connection to the service's storage is cut too."""
    bucket_server.fault = once_each(Refused(503, "SlowDown"), Refused(), Refused(500, "InternalError"))
    cut = iter([responses.cut_in_the_body, responses.reset_in_the_body])

    def twice(asked: Asked, reply: Reply) -> Reply:
        return next(cut, responses.as_it_is)(asked, reply) if reply.body else reply

    big.server.fault = only(BIG, twice)
    download(big, bucket)
    assert wholly_in(bucket, big)


def test_wrong_checksum_never_becomes_an_object(bucket: Bucket, big: DownloadScenario) -> None:
    stored = big.server.files[-1]
    right, stored.etag = stored.etag, f'"{"0" * 32}"'
    with pytest.raises(DownloadIncompleteError, match="its checksum \\(MD5\\) is not the one") as refused:
        download(big, bucket)
    assert list(refused.value.failures) == [f"k4q95w5/weights/step-100/{BIG}"]
    assert bucket.objects().keys() == {stored.name for stored in big.server.files[:-1]} | {JOURNAL}
    assert bucket.uploads() == []
    with pytest.raises(DownloadError, match="has not come to its end, so there is no manifest yet"):
        verify(BucketPath("s3", bucket.name, "loops/k4q95w5/weights/step-100"))
    stored.etag = right
    assert download(big, bucket) == len(stored.body), "what was whole came again"
    assert wholly_in(bucket, big)


REFUSALS = {
    "access": (Refused(403, "AccessDenied"), r"access is denied \(AccessDenied\)", "s3:PutObject"),
    "credentials": (Refused(403, "InvalidAccessKeyId"), r"credentials are refused \(InvalidAccessKeyId\)", "%env"),
    "bucket": (Refused(404, "NoSuchBucket"), "there is no bucket 'b", "AWS_ENDPOINT_URL"),
    "region": (Refused(301, "PermanentRedirect"), "is in another region", "%env AWS_REGION="),
    "slow": (Refused(503, "SlowDown"), r"asks to slow down \(SlowDown\), after 3 attempts", "connections=4"),
    "cut": (Refused(), "its server cannot be reached, after 3 attempts", "Check the network"),
    "other": (Refused(418, "Teapot"), "the server answered 418 Teapot", "Try again"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal_is_said_in_plain_words(
    name: str, bucket_server: BucketServer, bucket: Bucket, source: DownloadScenario
) -> None:
    refused, words, hint = REFUSALS[name]
    bucket_server.fault = always(refused)
    with client(source) as loops:
        for attempt in (
            lambda: loops.checkpoints.verify(bucket.into),
            lambda: loops.checkpoints.open(bucket.into),
            lambda: loops.checkpoints.download([source.ref], bucket.into, quiet=True),
        ):
            with pytest.raises(BucketError, match=words) as caught:
                attempt()
            assert hint in caught.value.hint
            assert_readable(caught.value)
            assert SECRET_KEY not in str(caught.value)
            assert "127.0.0.1" not in "".join(map(str, (caught.value, caught.value.__context__)))


def test_refusal_of_a_part_ends_the_download_and_leaves_no_parts(
    bucket_server: BucketServer, bucket: Bucket, big: DownloadScenario
) -> None:
    bucket_server.fault = always(Refused(403, "AccessDenied"), lambda request: request.is_part)
    with pytest.raises(BucketError, match=r"access is denied.*The download was stopped: 5 files of 6 and") as caught:
        download(big, bucket)
    assert_readable(caught.value)
    assert bucket.uploads() == []
    assert MANIFEST not in bucket.objects()
    # Where cancelling is refused too, the error says what may be left.
    bucket_server.fault = always(
        Refused(403, "AccessDenied"), lambda request: request.is_part or request.method == "DELETE"
    )
    with pytest.raises(BucketError, match=r"Parts of unfinished files may be left in s3://.* lifecycle rule"):
        download(big, bucket)
    assert len(bucket.uploads()) == 1
    bucket_server.behave()
    assert download(big, bucket) == len(big.server.files[-1].body)
    assert MANIFEST in bucket.objects()


@contextmanager
def half_way(source: DownloadScenario, bucket: Bucket) -> Iterator[Callable[[], bool]]:
    """Hold the second half of the big file; yields whether all others and its first part are in the bucket."""
    gate = threading.Event()

    def hold(asked: Asked, reply: Reply) -> Reply:
        is_behind = asked.range is not None and asked.range[0] > 6 * MiB
        return replace(reply, held=gate) if is_behind else reply

    source.server.fault = only(BIG, hold)
    others = {stored.name for stored in source.server.files} - {BIG}
    try:
        yield lambda: bool(bucket.uploads()) and bucket.objects().keys() >= others
    finally:
        gate.set()
        source.server.behave()


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + LONGEST_WAIT
    while not condition():
        assert time.monotonic() < until, "it never came to that"
        time.sleep(0.02)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL], ids=lambda end: end.name)
def test_stopped_process_leaves_whole_files(end: signal.Signals, bucket: Bucket, big: DownloadScenario) -> None:
    with half_way(big, bucket) as is_half_way:
        command = [sys.executable, "-c", PROGRAM, f"key-{SECRET}", big.server.url, bucket.into]
        process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for(is_half_way)
        process.send_signal(end)
        out, err = process.communicate(timeout=LONGEST_WAIT)
    assert SECRET not in out + err
    assert SECRET_KEY not in out + err
    objects = bucket.objects()
    assert JOURNAL in objects
    assert {BIG, MANIFEST} & objects.keys() == set()
    if end is signal.SIGINT:
        assert process.returncode == 0, err
        (note,) = json.loads(out)
        assert note.startswith("The download was stopped: 5 files of 6 and ")
        assert "are kept. The same command again fetches only what is missing." in note
        assert bucket.uploads() == []
    else:
        # Nothing can cancel it after that but a lifecycle rule of the bucket; it is no object.
        assert len(bucket.uploads()) == 1
    assert download(big, bucket) == len(big.server.files[-1].body), "what was whole came again"
    with client(big) as loops:
        assert loops.checkpoints.verify(bucket.into)[0].ok


def test_cancelled_task_leaves_no_parts(bucket: Bucket, big: DownloadScenario) -> None:
    async def work() -> None:
        async with AsyncLoops(f"key-{SECRET}", big.server.url) as loops:
            task = asyncio.create_task(loops.checkpoints.download([big.ref], bucket.into, quiet=True))
            await asyncio.to_thread(wait_for, is_half_way)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with half_way(big, bucket) as is_half_way:
        asyncio.run(work())
        wait_for(lambda: bucket.uploads() == [])
    assert download(big, bucket) == len(big.server.files[-1].body)
    assert wholly_in(bucket, big)


def test_missing_engine_and_unusable_addresses_are_refused_before_any_request(
    monkeypatch: pytest.MonkeyPatch, source: DownloadScenario
) -> None:
    source.server.behave()
    with client(source) as loops:
        refusals: dict[str | Path, str] = {
            "ftp://models/loops": "ftp:// is neither a folder",
            "https://models.s3.amazonaws.com/x?X-Amz-Signature=abc": "https:// is neither a folder",
            "s3://": "it names no bucket",
            "s3://AKIA:secret@models/loops": "credentials are taken from the environment",
            "s3://localhost:9000/models": "AWS_ENDPOINT_URL names a server",
            "az://models/loops?sig=abc": "signed addresses are not used",
            "gs://models/a/../b": "only dots",
            # Not a folder "s3:" of this machine.
            "s3:/models/loops": "two slashes",
            Path("s3://models/loops"): "two slashes",
        }
        for address, words in refusals.items():
            with pytest.raises(ValueError, match=words) as refused:
                loops.checkpoints.download("k4q95w5/step-100", address)
            assert "No request was made." in str(refused.value)
            assert "secret" not in str(refused.value)
            assert "abc" not in str(refused.value)
        monkeypatch.setitem(sys.modules, "obstore", None)
        with pytest.raises(ValueError, match=r'obstore, which is not installed.*%pip install "loops_nb\[cloud\]"'):
            loops.checkpoints.download("k4q95w5/step-100", "s3://models/loops")
    assert source.server.api_calls == []


def test_missing_credentials_are_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The engine would ask a machine that is in no cloud for its role, again and again."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    with Loops("key", "http://127.0.0.1:9") as loops, pytest.raises(BucketError, match=r"no credentials.*%env"):
        loops.checkpoints.verify("s3://models/loops")
