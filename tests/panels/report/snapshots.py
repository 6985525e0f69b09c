"""Snapshots to make reports of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from loops_nb.panels import wire
from loops_nb.panels.columns import COLUMNS

#: The 20th of November 2026, three minutes past one in the afternoon UTC.
NOW = datetime(2026, 11, 20, 13, 3, 5, tzinfo=UTC).timestamp() * 1000
MINUTE = 60_000.0
LIVE = wire.Health(state="live", looked_at=NOW, every=2)


def snapshot(**changed: Any) -> wire.Snapshot:
    """Return the snapshot of a live fleet panel in which nothing is, with some fields changed."""
    usual: dict[str, Any] = {
        "seq": 1,
        "now": NOW + 900,
        "view": "fleet",
        "title": "Runs and samplers",
        "line": "%loops watch",
        "tables": {"runs": table([]), "samplers": table([])},
        "facts": [],
        "run": None,
        "health": LIVE,
        "notices": [],
        "acts": [],
        "notify": False,
        "ready": True,
    }
    return wire.Snapshot(**{**usual, **changed})


def table(rows: list[wire.Row], total: int | None = None) -> wire.Table:
    """Return a table."""
    return wire.Table(rows=rows, total=len(rows) if total is None else total)


def row(name: wire.TableName, /, **cells: wire.Cell) -> wire.Row:
    """Return a row of a table; what is not given is missing."""
    assert cells.keys() <= {column.name for column in COLUMNS[name]}
    return tuple(cells.get(column.name) for column in COLUMNS[name])


def run(number: int, **cells: wire.Cell) -> wire.Row:
    """Return a run's row as the service would have it."""
    usual: dict[str, wire.Cell] = {
        "id": f"k{number:06}",
        "name": f"gsm8k-grpo-lower-lr-{number}",
        "base_model": "Qwen/Qwen3-30B-A3B-Instruct-2507" if number % 2 else "meta-llama/Llama-3.1-8B-Instruct",
        "status": "ACTIVE",
        "deployment_status": "SCALED_TO_ZERO",
        "sampler_status": "LOADING_MODEL",
        "gpus": 16,
        "last_checkpoint": f"step-{number * 25}",
        "last_checkpoint_at": NOW - 12 * MINUTE,
        "created_at": NOW - 192 * MINUTE,
        "owner": "ada@example.com",
        "session_id": "sess_0001",
        "finished": False,
    }
    return row("runs", **{**usual, **cells})


def checkpoint(number: int, **cells: wire.Cell) -> wire.Row:
    """Return a checkpoint's row as the service would have it."""
    usual: dict[str, wire.Cell] = {
        "id": f"c{number:06}",
        "checkpoint_id": f"step-{number}",
        "step": number,
        "target": "sampler",
        "size_bytes": 16_777_216,
        "sync_status": "COMPLETE",
        "created_at": NOW - 1000 * MINUTE + number * MINUTE,
        "run_id": "k000001",
        "base_model": "Qwen/Qwen3-8B",
        "uri": f"bt://loops:k000001/sampler_weights/step-{number}",
        "finished": False,
    }
    return row("checkpoints", **{**usual, **cells})


def head(**changed: Any) -> wire.RunHead:
    """Return the head of a run's panel."""
    usual: dict[str, Any] = {
        "id": "k000001",
        "name": "math-rl",
        "base_model": "Qwen/Qwen3-8B",
        "halves": [
            wire.Half(what="run", id="k000001", status="ACTIVE", since=NOW - 192 * MINUTE),
            wire.Half(what="deployment", id="dep_1", status="RUNNING", since=NOW - 60 * MINUTE, gpus="8 x H100"),
            wire.Half(what="sampler", id="smp_1", status="FAILED", since=NOW - MINUTE),
        ],
        "facts": [wire.Fact(label="Session", value="sess_1", code="sess_1")],
        "timeline": [
            wire.Span(what="deployment", status="DEPLOYING", start=NOW - 70 * MINUTE, until=NOW - 60 * MINUTE, exact=False),
            wire.Span(what="deployment", status="RUNNING", start=NOW - 60 * MINUTE, until=None, exact=True),
        ],
        "finished": False,
    }
    return wire.RunHead(**{**usual, **changed})


def of_run(checkpoints: int, **changed: Any) -> wire.Snapshot:
    """Return the snapshot of a run's panel."""
    usual: dict[str, Any] = {
        "view": "run",
        "title": "Run k000001",
        "line": "%loops watch k000001",
        "tables": {"checkpoints": table([checkpoint(at) for at in range(checkpoints)])},
        "run": head(),
    }
    return snapshot(**{**usual, **changed})
