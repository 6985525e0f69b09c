"""A Hugging Face Hub on loopback that takes pushes of ``huggingface_hub``."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.client.scripted_server import Answer, Received, ScriptedServer

TOKEN = "hf_sentinelTokenOfTheFakeHub0123456789"

_ALWAYS = {
    "/api/whoami-v2": {"type": "user", "name": "tester", "orgs": []},
    "/api/validate-yaml": {"errors": [], "warnings": []},
}


@dataclass
class FakeHub:
    """What was pushed.

    Parameters
    ----------
    files : dict of str to bytes
        By repository and path.
    created : list of dict
        Bodies of the requests that made repositories.
    refuses : str, default ""
        Part of the path of requests that it refuses.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    created: list[dict[str, object]] = field(default_factory=list)
    refuses: str = ""

    def answer(self, received: Received) -> Answer:
        path = received.target.partition("?")[0]
        if received.headers.get("authorization") != f"Bearer {TOKEN}":
            return Answer({"error": "Invalid username or password."}, 401)
        if self.refuses and self.refuses in path:
            return Answer({"error": "Forbidden: no write access"}, 403)
        if path == "/api/repos/create":
            self.created.append(received.json)
            return Answer({"url": f"{self.url}/{received.json.get('organization', 'tester')}/{received.json['name']}"})
        if path in _ALWAYS:
            return Answer(_ALWAYS[path])
        if "/preupload/" in path:
            files = [
                {"path": one["path"], "uploadMode": "regular", "shouldIgnore": False} for one in received.json["files"]
            ]
            return Answer({"files": files})
        if "/commit/" in path:
            repository = path.removeprefix("/api/models/").partition("/commit/")[0]
            for line in map(json.loads, received.body.splitlines()):
                if line["key"] == "file":
                    self.files[f"{repository}/{line['value']['path']}"] = base64.b64decode(line["value"]["content"])
            commit = "0" * 40
            return Answer(
                {"commitUrl": f"{self.url}/{repository}/commit/{commit}", "commitOid": commit, "success": True}
            )
        if path.startswith("/api/models/"):
            # A repository without files.
            return Answer({"id": path.removeprefix("/api/models/"), "siblings": [], "sha": "0" * 40})
        return Answer({"error": "not here"}, 404)


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    """Run a fake Hub."""
    hub = FakeHub()
    with ScriptedServer(hub.answer) as server:
        hub.url = server.url
        yield hub
