"""A service with one run, its sampler and its checkpoints, whose sampler has scripted answers, over real HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from tests.client.scripted_server import Answer, Received, ScriptedServer

RUN, SAMPLER, MODEL = "k4q95w5", "samp_def789", "loops-local/tiny"
NEWEST = f"bt://loops:{RUN}/sampler_weights/step-20"
PIN = f"bt://loops:{RUN}/sampler_weights/step-10"
AT_SAMPLER = f"/samplers/{SAMPLER}"

Reply = Answer | dict[str, Any]
Answers = Callable[[Received], Reply]


def choice(text: str = "ab", **more: Any) -> dict[str, Any]:
    """Return a choice in the documented form."""
    ids = list(text.encode())
    scores = {"tokens": [f"token_id:{one}" for one in ids], "token_logprobs": [-0.5] * len(ids)}
    return {"index": 0, "text": text, "token_ids": ids, "logprobs": scores, "finish_reason": "stop", **more}


def completions(*choices: dict[str, Any], version: str | None = None) -> Answer:
    """Return an answer in the documented form."""
    headers = {} if version is None else {"x-trainers-policy-version": version}
    return Answer(
        {"id": "cmpl-1", "object": "text_completion", "choices": list(choices or (choice(),))}, headers=headers
    )


class SamplerServer(ScriptedServer):
    """Answers the API for one run and its sampler, and ``POST /sample`` from a list whose last answer repeats."""

    def __init__(self, *answers: Reply) -> None:
        self.answers = list(answers) or [completions()]
        self.statuses = ["ACTIVE"]
        self.paired = True
        self.own = True
        self.name = ""
        self.twins = 1
        self.model: str | None = MODEL
        self.model_id: str | None = "m1"
        self.base_url: str | None = ""
        self.checkpoints = [
            ("step-10", "sampler", "COMPLETE"),
            ("step-20", "sampler", None),
            ("step-30", "sampler", "SYNCING"),
        ]
        self.wake: Reply = Answer({"status": {"name": "WAKING_UP"}}, status=202)
        self.operations: list[Reply] = []
        self.polled = threading.Event()
        super().__init__(self._answer)

    @property
    def sampler(self) -> dict[str, Any]:
        """The sampler as listed; its state goes on each time."""
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return {
            "id": SAMPLER,
            "base_url": f"{self.url}{AT_SAMPLER}" if self.base_url == "" else self.base_url,
            "base_model": self.model,
            "created_at": "2026-11-20T10:00:00Z",
            "model_id": self.model_id,
            "deployment_id": self.model_id and "d1",
            "status": {"name": status},
        }

    def at(self, path: str) -> list[Received]:
        """Return what came for a path."""
        return [one for one in self.received if one.target.split("?")[0] == path]

    @property
    def asked(self) -> list[Received]:
        """What the sampler was asked."""
        return self.at(f"{AT_SAMPLER}/sample")

    def _answer(self, request: Received) -> Answer:
        found = self._route(request)
        return found if isinstance(found, Answer) else Answer(found)

    def _route(self, request: Received) -> Reply:
        path = request.target.split("?")[0]
        run = {
            "id": RUN,
            "name": self.name or None,
            "session_id": "s1",
            "base_model": self.model,
            "status": {"name": "ACTIVE"},
            "created_at": "2026-11-20T10:00:00Z",
        }
        match path:
            case "/v1/loops/samplers":
                return {"samplers": [self.sampler]}
            case _ if path == f"/v1/loops/samplers/{SAMPLER}":
                return {"sampler": self.sampler}
            case "/v1/loops/runs":
                if not self.own and "scope=org" not in request.target:
                    return {"runs": []}
                runs = [run, *({**run, "id": f"{RUN}{at}"} for at in range(1, self.twins))]
                return {"runs": [{**one, "sampler": self.sampler if self.paired else None} for one in runs]}
            case _ if path == f"/v1/loops/runs/{RUN}":
                return {"run": {**run, "sampler": self.sampler if self.paired else None}}
            case "/v1/loops/checkpoints":
                return {"checkpoints": [self._checkpoint(at, *one) for at, one in enumerate(self.checkpoints)]}
            case _ if path == f"{AT_SAMPLER}/wake":
                return self.wake
            case _ if path == f"{AT_SAMPLER}/sample":
                return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            case _ if path.startswith(f"{AT_SAMPLER}/operations/"):
                self.polled.set()
                return self.operations.pop(0) if len(self.operations) > 1 else self.operations[0]
        return Answer({"message": f"nothing at {path}"}, status=404)

    @staticmethod
    def _checkpoint(at: int, name: str, target: str, sync: str | None) -> dict[str, Any]:
        return {
            "id": f"c{at}",
            "run_id": RUN,
            "checkpoint_id": name,
            "target": target,
            "created_at": f"2026-11-20T10:0{at}:00Z",
            "sync_status": sync,
            "size_bytes": 1,
        }
