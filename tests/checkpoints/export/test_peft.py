"""PEFT loads and merges an export of the local trainer; runs where the dependency group ``peft`` is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from loops_nb import Loops
from loops_nb.errors import ExportError
from tests.service import running_service

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")


@pytest.fixture
def loops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loops]:
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with running_service(in_process=True, sample=True) as service, Loops("key", service.url) as made:
        yield made


def base_model(width: int, layers: int) -> Any:
    """Return a Llama with the shapes of the sample workspace's adapters."""
    config = transformers.LlamaConfig(
        vocab_size=32,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
    )
    torch.manual_seed(1)
    return transformers.LlamaForCausalLM(config)


@pytest.mark.filterwarnings("ignore")
def test_peft_loads_and_merges_an_export(loops: Loops) -> None:
    run = next(run for run in loops.runs.list() if run.name == "support-tone-r8")
    loops.checkpoints.export_adapter(f"{run.id}/final", "adapter", target="sampler", quiet=True)
    tensors = load_file("adapter/adapter_model.safetensors")
    width = next(iter(tensors.values())).shape[1]
    layers = 1 + max(int(name.split(".layers.")[1].split(".")[0]) for name in tensors)
    base_model(width, layers).save_pretrained("base")

    base = transformers.AutoModelForCausalLM.from_pretrained("base")
    model = peft.PeftModel.from_pretrained(base, "adapter")
    loaded = peft.get_peft_model_state_dict(model)
    assert loaded.keys() == tensors.keys()
    for name, values in tensors.items():
        np.testing.assert_array_equal(loaded[name].float().numpy(), values.astype(np.float32))
    tokens = torch.arange(8)[None]
    with torch.no_grad():
        adapted = model(tokens).logits
        with model.disable_adapter():
            assert (model(tokens).logits - adapted).abs().max() > 1e-3

    loops.checkpoints.export_adapter(f"{run.id}/final", "merged", target="sampler", merge=True, base="base", quiet=True)
    merged = transformers.AutoModelForCausalLM.from_pretrained("merged")
    with torch.no_grad():
        assert torch.allclose(merged(tokens).logits, adapted, atol=1e-4)
    assert "library_name: transformers" in Path("merged/README.md").read_text()
    assert not Path("merged/adapter_model.safetensors").exists()

    for folder, shape, says in (
        ("narrow", (width // 2, layers), "does not fit"),
        ("shallow", (width, layers - 1), "not in 'shallow', such as"),
        ("nowhere", None, "cannot be loaded from this machine"),
    ):
        if shape is not None:
            base_model(*shape).save_pretrained(folder)
        with pytest.raises(ExportError, match=says):
            loops.checkpoints.export_adapter(
                f"{run.id}/final", "other", target="sampler", merge=True, base=folder, quiet=True
            )
        assert not Path("other").exists()
