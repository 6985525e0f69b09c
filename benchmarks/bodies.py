"""Bodies of ``GET /v1/loops/checkpoints`` of any length, the same for the same length."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

NEWEST = datetime(2026, 11, 20, tzinfo=UTC)
BASE_MODELS = ("Qwen/Qwen3-8B", "meta-llama/Llama-3.1-8B-Instruct", "google/gemma-3-4b-it")
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def checkpoints_body(rows: int, *, configs: str = "most") -> bytes:
    """Return a listing in the documented shape, newest first.

    Three of four times have microseconds, a run has some two hundred checkpoints.  ``lora_config`` is null: that key
    must be there for today's official models, and any more in it would only cost the peers more.

    Parameters
    ----------
    rows
        Number of checkpoints.
    configs
        ``"most"``: nine of ten rows have an adapter configuration of six keys.  ``"all"``: every row has one, for the
        Loops SDK, which refuses a listing with a null.
    """
    rng = random.Random(rows)  # noqa: S311 - data to measure with
    runs = ["".join(rng.choices(_LETTERS, k=7)) for _ in range(max(1, rows // 200))]
    listing = []
    for row in range(rows):
        time = NEWEST - timedelta(seconds=7 * row, microseconds=rng.randrange(1_000_000) if rng.random() < 0.75 else 0)
        config = {
            "r": rng.choice([8, 16, 32, 64]),
            "lora_alpha": 32,
            "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"],
            "lora_dropout": 0.0,
            "bias": "none",
            "task_type": "CAUSAL_LM",
        }
        listing.append(
            {
                "id": "".join(rng.choices(_LETTERS, k=7)),
                "run_id": rng.choice(runs),
                "target": rng.choice(["trainer", "sampler"]),
                "checkpoint_id": f"step-{row:06d}",
                "created_at": time.isoformat().replace("+00:00", "Z"),
                "checkpoint_type": "lora",
                "base_model": rng.choice(BASE_MODELS),
                "lora_adapter_config": config if configs == "all" or rng.random() < 0.9 else None,
                "size_bytes": rng.randrange(10**8, 10**9),
                "sync_status": rng.choice(["COMPLETE", "SYNCING", None]),
                "lora_config": None,
            }
        )
    return json.dumps({"checkpoints": listing}, separators=(",", ":")).encode()


def runs_body(rows: int) -> bytes:
    """Return a listing of runs in today's shape, each with a sampler."""
    return json.dumps({"runs": runs_listing(rows)}).encode()


def deployments_body(rows: int) -> bytes:
    """Return a listing of the deployments of as many runs."""
    return json.dumps({"deployments": deployments_listing(rows)}).encode()


def runs_listing(rows: int) -> list[dict[str, Any]]:
    """Return the runs of `runs_body`."""
    return [_run(row) for row in range(rows)]


def deployments_listing(rows: int) -> list[dict[str, Any]]:
    """Return the deployments of `deployments_body`."""
    return [{**_placed(row, "RUNNING"), "id": f"dep{row:04d}"} for row in range(rows)]


def checkpoints_of(runs: list[dict[str, Any]], base_model: str) -> list[dict[str, Any]]:
    """Return one checkpoint of each run of a base model."""
    return [
        {
            "id": f"ckpt{run['id']}",
            "run_id": run["id"],
            "target": "trainer",
            "checkpoint_id": "step-000100",
            "created_at": run["created_at"],
            "checkpoint_type": "lora",
            "base_model": base_model,
            "lora_adapter_config": None,
            "size_bytes": 123_456_789,
            "sync_status": "COMPLETE",
        }
        for run in runs
        if run["base_model"] == base_model
    ]


def _run(row: int) -> dict[str, Any]:
    run = _placed(row, "ACTIVE")
    sampler = {
        **_placed(row, "SCALED_TO_ZERO"),
        "id": f"smp{row:04d}",
        "model_id": "model01",
        "deployment_id": "mdep001",
    }
    return {
        **run,
        "id": f"run{row:04d}",
        "session_id": "sess001",
        "deployment_id": f"dep{row:04d}",
        "name": f"run {row}",
        "sampler": sampler,
    }


def _placed(row: int, status: str) -> dict[str, Any]:
    return {
        "base_model": BASE_MODELS[row % len(BASE_MODELS)],
        "base_url": "https://example.invalid/sync",
        "created_at": (NEWEST - timedelta(hours=row)).isoformat(),
        "status": {"name": status},
        "user": {"email": "user@example.com"},
        "node_count": 1,
        "instance_type": {
            "id": "shape01",
            "name": "H100:1",
            "memory_limit_mib": 239_000,
            "millicpu_limit": 26_000,
            "gpu_count": 1,
            "gpu_type": "H100",
            "gpu_memory_limit_mib": 80_000,
        },
    }
