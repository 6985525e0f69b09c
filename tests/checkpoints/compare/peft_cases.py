"""Adapters as PEFT saves them, and the norms that PEFT computes of their updates.

``PEFT_CASES`` has for each case the configuration, the shape of each tensor, and the Frobenius norm of
``get_delta_weight`` of each module. `tests.checkpoints.compare.test_peft` makes the same with PEFT itself, where it is
installed, and fails if a number here is another.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

NORMS = Path(__file__).with_name("peft_norms.json")

EXPERTS = ["experts.gate_up_proj", "experts.down_proj"]
CONFIGS: dict[str, dict[str, Any]] = {
    "every kind of layer": {
        "target_modules": ["q_proj", "head", "c_attn", "embed", "conv1", "conv2", "depthwise"],
        "layers_to_transform": [0],
        "layers_pattern": "layers",
    },
    "patterns": {
        "target_modules": ["q_proj", "head"],
        "rank_pattern": {"layers.1.q_proj": 2, r"layers\.0\.(q|k)_proj": 3},
        "alpha_pattern": {"layers.0.head": 16, "q_proj": 5, "proj": 99, r"^layers\.1\.head": 3},
    },
    "root of the rank": {"target_modules": ["q_proj"], "use_rslora": True, "rank_pattern": {"layers.0.q_proj": 9}},
    "magnitudes": {"target_modules": ["q_proj"], "use_dora": True},
    "bias": {
        "target_modules": ["q_proj"],
        "lora_bias": True,
        "exclude_modules": "layers.1.q_proj",
        "modules_to_save": ["head"],
    },
    "experts": {"target_modules": ["q_proj"], "target_parameters": EXPERTS},
    "experts of rank one": {"target_modules": [], "target_parameters": EXPERTS, "r": 1, "use_rslora": True},
    "experts with patterns": {
        "target_modules": ["q_proj"],
        "target_parameters": EXPERTS,
        "rank_pattern": {"experts.gate_up_proj": 2, "down_proj": 5},
        "alpha_pattern": {"gate_up_proj": 7, "experts": 99},
    },
    "one of two parameters": {
        "target_modules": [],
        "target_parameters": ["experts.down_proj"],
        "rank_pattern": {"experts": 99, "layers.0.experts.down_proj": 2},
    },
    "the weight of a layer": {
        "target_modules": [],
        "target_parameters": ["q_proj.weight"],
        "alpha_pattern": {"q_proj.weight": 6},
    },
}


class PeftCase(NamedTuple):
    """One adapter: its configuration, the shapes of its tensors by name, and the norm of each module's update."""

    config: dict[str, Any]
    shapes: dict[str, list[int]]
    norms: dict[str, float]

    def tensors(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return the tensors: random, and the same each time."""
        source = np.random.default_rng(11)
        return {name: source.normal(size=self.shapes[name]).astype(np.float32) for name in sorted(self.shapes)}


def peft_cases() -> dict[str, PeftCase]:
    return {name: PeftCase(**case) for name, case in json.loads(NORMS.read_text(encoding="utf-8")).items()}
