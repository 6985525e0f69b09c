"""What an exported adapter holds: PEFT's own names, one rank and one scale, or a refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from loops_nb.checkpoints.compare import compare
from loops_nb.checkpoints.export.layout import ADAPTER_FILE, adapter_layout
from loops_nb.checkpoints.export.writing import write_adapter
from loops_nb.checkpoints.tensors import open_folder
from loops_nb.errors import ExportError
from tests.checkpoints.compare.peft_cases import PeftCase, peft_cases
from tests.checkpoints.tensors.safetensors_files import CONFIG, adapter

#: Cases whose modules have several ranks or scales, or factors without a bias or magnitude.
PLAIN = {"every kind of layer", "patterns", "root of the rank"}


def saved(case: PeftCase, folder: Path) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps(case.config))
    save_file(case.tensors(), folder / ADAPTER_FILE)
    return folder


@pytest.mark.parametrize("name", peft_cases())
def test_export_computes_what_the_adapter_computes(name: str, tmp_path: Path) -> None:
    case = peft_cases()[name]
    source = open_folder(saved(case, tmp_path / "stored"))
    layout = adapter_layout(source, "org/model")
    exported = tmp_path / "exported"
    exported.mkdir()
    write_adapter(exported, source, layout, None)
    opened = open_folder(exported)
    assert set(opened.tensors) == set(case.shapes)
    config: Any = opened.adapter_config
    rows = [row for row in compare([source, opened]).rows if row.quantity == "update"]
    assert {row.module: row.norm for row in rows} == pytest.approx(case.norms, rel=1e-5)
    assert max(row.change for row in rows) <= 1e-5 * max(case.norms.values())
    assert config["base_model_name_or_path"] == "org/model"
    if name in PLAIN:
        # What vLLM and SGLang read: r, lora_alpha and use_rslora only.
        assert "rank_pattern" not in config
        assert "alpha_pattern" not in config
        assert {row.rank for row in rows} == {config["r"]}
        assert len({row.scale for row in rows}) == 1
    else:
        assert "vLLM and SGLang may refuse it" in layout.notes[0]
        assert layout.stored_file == ADAPTER_FILE


def test_names_of_wrapped_models_become_those_of_peft(tmp_path: Path) -> None:
    plain = adapter(dtype=np.float16)
    wrapped = {f"_orig_mod.{name.replace('.weight', '.default.weight')}": values for name, values in plain.items()}
    config = {**CONFIG, "target_modules": ".*proj", "base_model_name_or_path": "/mnt/weights"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    save_file(wrapped, tmp_path / "weights.safetensors")
    source = open_folder(tmp_path)
    layout = adapter_layout(source, None)
    assert layout.stored_file is None
    exported = tmp_path / "exported"
    exported.mkdir()
    write_adapter(exported, source, layout, None)
    found = load_file(exported / ADAPTER_FILE)
    assert found.keys() == plain.keys()
    assert all(found[name].dtype == np.float16 and np.array_equal(found[name], plain[name]) for name in plain)
    assert layout.config["target_modules"] == ["q_proj", "v_proj"]
    assert (layout.config["task_type"], layout.config["bias"], layout.config["inference_mode"]) == (
        "CAUSAL_LM",
        "none",
        True,
    )


@pytest.mark.parametrize(
    ("tensors", "config", "says"),
    [
        ({"model.norm.weight": np.ones(3)}, CONFIG, "holds no LoRA adapter"),
        (adapter(), {"r": 4}, "Rank and scale of 4 of 4 updates"),
        (adapter(), {**CONFIG, "r": 8}, "do not fit A, B and rank"),
        (dict(list(adapter().items())[1:]), CONFIG, "is not whole. 1 modules have no A and B"),
        (
            {**adapter(), **{n.replace(".weight", ".x.weight"): v for n, v in adapter().items()}},
            CONFIG,
            "several adapters",
        ),
    ],
)
def test_what_is_not_known_is_refused(tensors: Any, config: dict[str, Any], says: str, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    save_file(tensors, tmp_path / ADAPTER_FILE)
    with pytest.raises(ExportError, match=says) as refused:
        adapter_layout(open_folder(tmp_path), None)
    assert "Nothing was exported." in refused.value.message
