"""Snapshots to make reports of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from loops_nb import live
from loops_nb.panels import messages
from loops_nb.panels.columns import COLUMNS

#: The 20th of November 2026, three minutes past one in the afternoon UTC.
NOW = datetime(2026, 11, 20, 13, 3, 5, tzinfo=UTC).timestamp() * 1000
MINUTE = 60_000.0
LIVE = live.Health(state="live", looked_at=NOW, every=2)


def snapshot(**changed: Any) -> messages.PanelSnapshot:
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
        "commands": [],
        "notify": False,
        "ready": True,
    }
    return messages.PanelSnapshot(**{**usual, **changed})


def table(rows: list[messages.Row], total: int | None = None) -> messages.TableRows:
    """Return a table."""
    return messages.TableRows(rows=rows, total=len(rows) if total is None else total)


def row(name: messages.TableName, /, **cells: messages.Cell) -> messages.Row:
    """Return a row of a table; what is not given is missing."""
    assert cells.keys() <= {column.name for column in COLUMNS[name]}
    return tuple(cells.get(column.name) for column in COLUMNS[name])


def run(number: int, **cells: messages.Cell) -> messages.Row:
    """Return a run's row as the service would have it."""
    usual: dict[str, messages.Cell] = {
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


def checkpoint(number: int, **cells: messages.Cell) -> messages.Row:
    """Return a checkpoint's row as the service would have it."""
    usual: dict[str, messages.Cell] = {
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


def head(**changed: Any) -> messages.RunSummary:
    """Return the head of a run's panel."""
    usual: dict[str, Any] = {
        "id": "k000001",
        "name": "math-rl",
        "base_model": "Qwen/Qwen3-8B",
        "parts": [
            messages.RunPart(what="run", id="k000001", status="ACTIVE", since=NOW - 192 * MINUTE),
            messages.RunPart(what="deployment", id="dep_1", status="RUNNING", since=NOW - 60 * MINUTE, gpus="8 x H100"),
            messages.RunPart(what="sampler", id="smp_1", status="FAILED", since=NOW - MINUTE),
        ],
        "facts": [messages.Fact(label="Session", value="sess_1", code="sess_1")],
        "timeline": [
            live.Span(
                what="deployment", status="DEPLOYING", start=NOW - 70 * MINUTE, until=NOW - 60 * MINUTE, exact=False
            ),
            live.Span(what="deployment", status="RUNNING", start=NOW - 60 * MINUTE, until=None, exact=True),
        ],
        "finished": False,
    }
    return messages.RunSummary(**{**usual, **changed})


def of_run(checkpoints: int, **changed: Any) -> messages.PanelSnapshot:
    """Return the snapshot of a run's panel."""
    usual: dict[str, Any] = {
        "view": "run",
        "title": "Run k000001",
        "line": "%loops watch k000001",
        "tables": {"checkpoints": table([checkpoint(at) for at in range(checkpoints)])},
        "run": head(),
    }
    return snapshot(**{**usual, **changed})
