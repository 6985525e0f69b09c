"""A small workspace, as the service would list it: objects of both eras, every kind of state, hostile names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.panels.manual_poller import NOW

HOSTILE = "<img src=x onerror=alert(1)>\"'`&$x$"
OWNER = {"email": "ada@example.com"}
H100 = {
    "id": "H100:8",
    "name": "H100:8",
    "memory_limit_mib": 1_000_000,
    "millicpu_limit": 96_000,
    "gpu_count": 8,
    "gpu_type": "H100",
    "gpu_memory_limit_mib": 81_920,
}
L4 = {**H100, "id": "L4:1", "name": "L4:1", "gpu_count": 1, "gpu_type": "L4"}


def ago(**span: float) -> str:
    """Return a time before now, as the service writes it."""
    return (
        (datetime.fromtimestamp(NOW / 1000, UTC) - timedelta(**span))
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def sampler(key: str, /, status: str = "ACTIVE", **more: Any) -> dict[str, Any]:
    return {
        "id": key,
        "base_url": f"https://{key}.example.com",
        "base_model": "Qwen/Qwen3-8B",
        "created_at": ago(hours=3),
        "model_id": f"m_{key}",
        "deployment_id": f"d_{key}",
        "status": {"name": status},
        "user": OWNER,
        "instance_type": L4,
        "node_count": 1,
        **more,
    }


def run(key: str, /, status: str = "ACTIVE", **more: Any) -> dict[str, Any]:
    return {
        "id": key,
        "session_id": "sess_1",
        "name": f"the {key}",
        "base_model": "Qwen/Qwen3-8B",
        "base_url": f"https://{key}.example.com",
        "created_at": ago(hours=3),
        "status": {"name": status},
        "user": OWNER,
        "deployment_id": f"dep_{key}",
        "lora_config_version": None,
        "sampler": sampler(f"samp_{key}"),
        **more,
    }


def deployment(of: str, /, status: str = "RUNNING", **more: Any) -> dict[str, Any]:
    return {
        "id": f"dep_{of}",
        "base_model": "Qwen/Qwen3-8B",
        "base_url": f"https://dep-{of}.example.com",
        "status": {"name": status},
        "user": OWNER,
        "created_at": ago(hours=3),
        "instance_type": H100,
        "availability_model": "dedicated",
        "node_count": 1,
        "active_run_id": of,
        "latest_run_id": of,
        "sampler": sampler(f"samp_{of}"),
        **more,
    }


def checkpoint(of: str, step: int, /, **more: Any) -> dict[str, Any]:
    return {
        "id": f"ck_{of}_{step}",
        "run_id": of,
        "target": "trainer",
        "checkpoint_id": f"step-{step}",
        "created_at": ago(minutes=180 - step / 10),
        "checkpoint_type": "lora",
        "base_model": "Qwen/Qwen3-8B",
        "lora_adapter_config": {"r": 32},
        "size_bytes": 167_000_000 + step,
        "sync_status": "COMPLETE",
        **more,
    }


def workspace() -> dict[str, list[dict[str, Any]]]:
    """Return the four listings."""
    ended = run("r_ended", "INACTIVE", sampler=sampler("samp_r_ended", "INACTIVE"), created_at=ago(days=4))
    return {
        "runs": [
            run("r_live"),
            run("r_coming", sampler=sampler("samp_r_coming", "LOADING_MODEL"), created_at=ago(minutes=2), name=HOSTILE),
            run("r_idle", sampler=sampler("samp_r_idle", "SCALED_TO_ZERO"), created_at=ago(days=1)),
            ended,
            # The shape of the first documents.
            {"run_id": "r_old", "session_id": "sess_0", "base_model": "google/gemma-3-27b-it"},
            run("r_new_state", "HIBERNATING", sampler=None, deployment_id=None, created_at=ago(hours=5)),
        ],
        "deployments": [
            deployment("r_live"),
            deployment("r_coming", "DEPLOYING", sampler=sampler("samp_r_coming", "LOADING_MODEL")),
            deployment("r_idle", "SCALED_TO_ZERO", sampler=sampler("samp_r_idle", "SCALED_TO_ZERO")),
            deployment("r_ended", "STOPPED", active_run_id=None, sampler=sampler("samp_r_ended", "INACTIVE")),
        ],
        "samplers": [
            sampler("samp_alone", base_model="mistralai/Mistral-7B-v0.3"),
            sampler("samp_gone", "INACTIVE", created_at=ago(days=2)),
            *(sampler(f"samp_{name}") for name in ("r_live", "r_coming", "r_idle", "r_ended")),
        ],
        "checkpoints": [
            *(checkpoint("r_live", step) for step in range(500, 0, -100)),
            checkpoint("r_live", 600, target="sampler", sync_status="SYNCING", created_at=ago(seconds=40)),
            checkpoint("r_ended", 100, created_at=ago(days=4), sync_status=None, checkpoint_id="final"),
        ],
    }
