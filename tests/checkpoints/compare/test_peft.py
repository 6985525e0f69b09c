"""The numbers of the tests are those of PEFT; runs where the dependency group ``peft`` is installed.

``python -m tests.checkpoints.compare.test_peft`` writes them again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loops_nb.checkpoints.compare import compare
from loops_nb.checkpoints.tensors import open_folder
from tests.checkpoints.compare.peft_cases import CONFIGS, NORMS, PeftCase, peft_cases

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
pytest.importorskip("transformers")

WRAPPER = "base_model.model."


def tiny_model() -> Any:
    """Return a model with two layers that have a module of each kind that LoRA adapts."""
    from transformers.pytorch_utils import Conv1D

    nn = torch.nn
    layers = []
    for _ in range(2):
        layer, experts = nn.Module(), nn.Module()
        layer.q_proj, layer.head, layer.c_attn = nn.Linear(8, 8), nn.Linear(8, 2), Conv1D(12, 8)
        layer.embed, layer.conv1, layer.conv2 = nn.Embedding(20, 8), nn.Conv1d(8, 6, 3), nn.Conv2d(5, 6, (3, 2))
        layer.depthwise = nn.Conv1d(1, 6, 4)
        # Registered in this order, which is not that of their names.
        experts.gate_up_proj, experts.down_proj = (
            nn.Parameter(torch.zeros(3, 8, 12)),
            nn.Parameter(torch.zeros(3, 6, 8)),
        )
        layer.experts = experts
        layers.append(layer)
    model = nn.Module()
    model.layers = nn.ModuleList(layers)
    return model


def made(config: dict[str, Any], case: PeftCase | None, folder: Path) -> PeftCase:
    """Return what PEFT makes of a configuration, with the tensors of a case; the adapter is saved in a folder."""
    lora = peft.LoraConfig(**{"r": 4, "lora_alpha": 8, **config})
    model = peft.get_peft_model(tiny_model(), lora)
    names = peft.get_peft_model_state_dict(model)
    shapes = {name: list(tensor.shape) for name, tensor in names.items()}
    case = case or PeftCase({}, shapes, {})
    peft.set_peft_model_state_dict(model, {name: torch.from_numpy(values) for name, values in case.tensors().items()})
    norms = {
        name.removeprefix(WRAPPER): float(torch.linalg.vector_norm(module.get_delta_weight("default").double()))
        for name, module in model.named_modules()
        if hasattr(module, "get_delta_weight") and "default" in {*module.lora_A, *module.lora_embedding_A}
    }
    model.save_pretrained(folder)
    return PeftCase(json.loads((folder / "adapter_config.json").read_text(encoding="utf-8")), shapes, norms)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.filterwarnings("ignore")
def test_norms_match_peft(name: str, tmp_path: Path) -> None:
    case = peft_cases()[name]
    found = made(CONFIGS[name], case, tmp_path)
    assert found.shapes == case.shapes
    assert found.norms == pytest.approx(case.norms, rel=1e-5)
    opened = open_folder(tmp_path)
    rows = compare([opened, opened]).rows
    assert {row.module: row.norm for row in rows if row.quantity == "update"} == pytest.approx(found.norms, rel=1e-5)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        folders = {name: Path(scratch) / str(at) for at, name in enumerate(CONFIGS)}
        cases = {name: made(config, None, folders[name]) for name, config in CONFIGS.items()}
    cases = {
        name: case._replace(config={key: value for key, value in case.config.items() if value is not None})
        for name, case in cases.items()
    }
    NORMS.write_text(
        json.dumps({name: case._asdict() for name, case in cases.items()}, indent=1, sort_keys=True) + "\n",
        encoding="utf-8",
    )
