"""Every JSON example of the first documents is read into the client's objects, and given back unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loops_nb.api import models
from loops_nb.api.decoding import decode_many, decode_object, decode_one, decode_page

SEEDS = Path(__file__).parents[1] / "contract" / "seeds"
EXAMPLES = sorted(p for p in SEEDS.glob("*.json") if p.name != "index.json")
KINDS: dict[str, type[models.APIObject]] = {
    "session": models.Session,
    "run": models.Run,
    "runs": models.Run,
    "sampler": models.Sampler,
    "samplers": models.Sampler,
    "checkpoints": models.Checkpoint,
    "presigned_urls": models.CheckpointFile,
    "deployment": models.Deployment,
    "deployments": models.Deployment,
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_is_read_and_given_back(path: Path) -> None:
    body = path.read_bytes()
    sent: dict[str, Any] = json.loads(body)
    key = next(iter(sent))
    if key not in KINDS:
        found: models.APIObject = decode_object(body, models.Deactivated)
        content = sent
    elif isinstance(sent[key], list):
        (found,) = decode_many(body, key, KINDS[key])
        (content,) = sent[key]
    else:
        found = decode_one(body, key, KINDS[key])
        content = sent[key]
    assert found.to_dict() == content
    # The first documents hold nothing that is unknown today.
    assert found.extra == {}
    for name, value in content.items():
        if isinstance(value, str | int) and name != "created_at":
            assert getattr(found, name) == value


def test_there_are_as_many_examples_as_routes() -> None:
    assert len(EXAMPLES) == 13


def test_the_file_page_of_the_documents_is_the_last_one() -> None:
    files, token, total = decode_page((SEEDS / "list_checkpoint_files.json").read_bytes())
    assert (len(files), token, total) == (1, None, 1)
