"""Verbs about checkpoints in a bucket, with the local service and a server of buckets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.checkpoints.bucket.bucket_server import SECRET_KEY, BucketServer
from tests.checkpoints.bucket.conftest import new_bucket
from tests.magics.conftest import Notebook


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = BucketServer()
    for name, value in server.environment().items():
        monkeypatch.setenv(name, value)
    made = new_bucket(server.url, "models")
    yield "s3://models/loops"
    made.client.close()
    server.close()


def test_lines_with_a_bucket_do_what_they_do_with_a_folder(live: Notebook, bucket: str) -> None:
    run_id = live.run("%loops find --name support-tone-dpo").value["id"].iloc[0]
    line = f"%loops download {run_id}/step-525 --target sampler -o {bucket}"
    assert f"into {bucket}. Nothing was fetched." in live.html(live.run(f"{line} --dry-run").value)
    place = f"{bucket}/{run_id}/sampler_weights/step-525"
    assert live.run(line).value["path"].tolist() == [place]
    assert live.run(line).value["fetched_bytes"].tolist() == [0]
    assert f"files of bt://loops:{run_id}/sampler_weights/step-525" in live.run(f"%loops verify {bucket}").out
    tensors = live.run(f"%loops tensors {bucket}").value
    assert len(tensors) == len(live.run(f"%loops tensors {run_id}/step-525 --target sampler").value)
    # A copy beside checkpoints of the service: what they are, they are both times.
    compared = live.run(f"%loops compare {place} {run_id}/step-525 --target sampler --by checkpoint").value
    assert compared["change"].tolist()[-1] == 0
    drift = live.context.loops.checkpoints.drift([place, f"{run_id}/step-25"], target="sampler")
    assert sorted(drift["step"].unique()) == [25, 525]

    refused = live.run("%loops verify s3://no-such-bucket/loops", fails=True)
    assert "there is no bucket 'no-such-bucket'. Check the name" in refused.text
    refused = live.run(f"%loops delete checkpoint {bucket} -y", fails=True)
    assert "is in a bucket, and this takes checkpoints of the service" in refused.text
    refused = live.run(f"%loops download {run_id}/step-525 -o ftp://models", fails=True)
    assert "ftp:// is neither a folder" in refused.text
    assert SECRET_KEY not in refused.text
    assert live.completions(f"%loops verify {bucket[:8]}") == []
