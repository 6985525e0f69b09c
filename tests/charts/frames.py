"""Frames to draw."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from loops_nb.checkpoints.compare.drift import Drift, DriftRow
from loops_nb.checkpoints.compare.frames import drift_frame
from loops_nb.frames import checkpoints_frame

START = datetime(2026, 11, 7, 8, 30, tzinfo=UTC)
TYPES = ("q_proj", "o_proj", "down_proj")
NAN = math.nan


def checkpoint(run: str, number: int, target: str = "sampler", **more: Any) -> dict[str, Any]:
    """Return a checkpoint as the service lists it: the first at `START`, then one each half hour."""
    return {
        "id": f"{run}-{number}-{target}",
        "checkpoint_id": f"step-{number * 50}",
        "run_id": run,
        "target": target,
        "created_at": (START + timedelta(minutes=30 * number)).isoformat(),
        "checkpoint_type": "lora",
        "base_model": "Qwen/Qwen3-8B",
        "lora_adapter_config": None,
        "size_bytes": 20_800_000 if target == "sampler" else 62_400_000,
        **more,
    }


def listed(*rows: dict[str, Any]) -> pd.DataFrame:
    """Return the frame of a listing."""
    return checkpoints_frame(json.dumps({"checkpoints": rows}).encode())


def many_runs(runs: int, each: int) -> pd.DataFrame:
    """Return a frame of several runs, a day apart, with a trainer's checkpoint beside every fourth of a sampler's."""
    rows = []
    for run in range(runs):
        began = START + timedelta(hours=17 * run)
        for number in range(1, each + 1):
            saved = (began + timedelta(minutes=24 * number)).isoformat()
            targets = ("sampler", "trainer") if number % 4 == 0 else ("sampler",)
            rows += [checkpoint(f"run{run:04}", number, target, created_at=saved) for target in targets]
    return listed(*rows)


def moved(
    runs: tuple[str, ...] = ("abc1234",),
    *,
    layers: int = 4,
    steps: int = 3,
    target: str = "sampler",
    name: str = "step-{}",
    first: int = 1,
) -> pd.DataFrame:
    """Return a frame of drift: norm is layer + step, each change a tenth of the norm before."""
    rows = []
    for run in runs:
        before = None
        for step in range(first, first + steps):
            called = f"{run}/{'weights' if target == 'trainer' else 'sampler_weights'}/{name.format(step * 50)}"
            for layer in range(layers):
                norm = float(layer + step)
                change = 0.1 * (norm - 1) if before else NAN
                relative = NAN if not before else 0.1 if norm > 1 else math.inf
                for kind in TYPES:
                    row = DriftRow(
                        module=f"model.layers.{layer}.self_attn.{kind}",
                        module_type=kind,
                        layer=layer,
                        step=step * 50,
                        checkpoint=called,
                        previous=before,
                        run_id=run,
                        target=target,
                        quantity="update",
                        rank=16,
                        scale=2.0,
                        norm=norm,
                        change=change,
                        relative_change=relative,
                        cosine=0.99 if before else NAN,
                        change_from_first=0.1 * (step - first),
                        relative_change_from_first=0.01 * (step - first),
                        cosine_to_first=1 - 0.01 * (step - first),
                        path_length=0.2 * (step - first),
                        parameters=4096,
                        nonfinite=0,
                    )
                    rows.append(row)
            before = called
    return drift_frame(Drift(tuple(rows), ()))
