"""Base models and hardware that the local service knows.

``loops-local/tiny`` and ``loops-local/small`` are what really computes here.  The other names and lengths are those of
public models; the GPU shapes say what such a model would need, nothing here owns a GPU.  Under such a name
``loops-local/tiny`` trains and answers in its place, with the token ids of the name's own tokenizer, so that code for
it runs unchanged.  The table is no allowlist: a run over another ``org/name`` is accepted and gets the shape of the
smallest model.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct

#: Ids below this one are bytes and two marks, and have a slot of their own in every ``loops-local`` model.
BYTES = 258
END_OF_TEXT = 256

#: What adapters touch, as PEFT names it.
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
MLP = ("gate_proj", "up_proj", "down_proj")
HEAD = "lm_head"
TARGET_MODULES = (*ATTENTION, *MLP, HEAD)

#: An adapter's product is scaled by alpha / r, and alpha is twice the rank.
ALPHA_BY_RANK = 2
LONGEST_RANK = 256


class ModelSize(NamedTuple):
    """How big a model is.

    Parameters
    ----------
    name : str
        Base model whose size this is.
    layers, width, heads, inner : int
        Depth, size of a hidden state, attention heads, and size of the hidden layer of the MLP.
    longest : int
        Most tokens of one sequence.
    slots : int
        Most different token ids that a model tells apart.
    """

    name: str
    layers: int
    width: int
    heads: int
    inner: int
    longest: int
    slots: int


TINY = ModelSize("loops-local/tiny", 2, 128, 4, 256, 8192, 4096)
SMALL = ModelSize("loops-local/small", 4, 256, 8, 512, 8192, 4096)

#: End-of-text ids by the family of the tokenizer; a name that is not here has none, and its callers send stop
#: ids.
_ENDS = {
    "loops-local/": (END_OF_TEXT,),
    "Qwen/Qwen3": (151_643, 151_645),
    "meta-llama/Llama-3": (128_001, 128_008, 128_009),
    "openai/gpt-oss": (199_999, 200_002),
}

_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_.-]{1,95}")
GIB = 1024
#: What shared (serverless) capacity takes here: LoRA rank, and tokens of a sequence.
SERVERLESS_RANK = 64
_SERVERLESS_LENGTH = 32_768
#: What the names of the models that compute here begin with.
LOCAL = "loops-local/"


class Hardware(Struct, frozen=True):
    """One node: memory in MiB, CPU in thousandths of a core, GPU memory in MiB a GPU."""

    id: str
    name: str
    gpu_type: str | None
    gpu_count: int
    gpu_memory_limit_mib: int | None
    millicpu_limit: int
    memory_limit_mib: int

    @property
    def gpu_memory(self) -> int:
        """GPU memory of the node in MiB."""
        return self.gpu_count * (self.gpu_memory_limit_mib or 0)


class BaseModel(Struct, frozen=True):
    """A base model.

    Parameters
    ----------
    name : str
        Hugging Face id.
    trainer_len, sampler_len : int
        Longest sequence in tokens that each half handles.
    weights_mib : int
        Size of the weights.
    hardware, nodes : str or int
        What its trainer runs on.
    modules : tuple, optional
        Modules that a LoRA adapter touches.
    experts : str, optional
        Layout of routed experts' adapters; None for a dense model.
    vision : bool, default False
        Takes images.
    serverless : bool, default False
        Offered on shared capacity too.
    """

    name: str
    trainer_len: int
    sampler_len: int
    weights_mib: int
    hardware: str
    nodes: int = 1
    modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
    experts: str | None = None
    vision: bool = False
    serverless: bool = False

    def longest(self, use_case: str) -> int:
        """Return the longest sequence in tokens: ``rl`` needs both halves, ``sft`` only the trainer."""
        return min(self.trainer_len, self.sampler_len) if use_case == "rl" else self.trainer_len


HARDWARE = {
    shape.id: shape
    for shape in (
        Hardware("local-h100-1", "H100 x 1", "H100", 1, 80 * GIB, 26_000, 234 * GIB),
        Hardware("local-h100-2", "H100 x 2", "H100", 2, 80 * GIB, 52_000, 468 * GIB),
        Hardware("local-h100-8", "H100 x 8", "H100", 8, 80 * GIB, 208_000, 1872 * GIB),
        Hardware("local-cpu-1", "One process of this machine", None, 0, None, 1_000, 256),
        Hardware("local-a100-1", "A100 x 1", "A100", 1, 80 * GIB, 12_000, 144 * GIB),
        Hardware("local-a100-2", "A100 x 2", "A100", 2, 80 * GIB, 24_000, 288 * GIB),
        Hardware("local-a100-8", "A100 x 8", "A100", 8, 80 * GIB, 96_000, 1152 * GIB),
        Hardware("local-h200-1", "H200 x 1", "H200", 1, 141 * GIB, 26_000, 234 * GIB),
        Hardware("local-h200-2", "H200 x 2", "H200", 2, 141 * GIB, 52_000, 468 * GIB),
        Hardware("local-h200-8", "H200 x 8", "H200", 8, 141 * GIB, 208_000, 1872 * GIB),
        Hardware("local-b200-1", "B200 x 1", "B200", 1, 180 * GIB, 28_000, 250 * GIB),
        Hardware("local-b200-8", "B200 x 8", "B200", 8, 180 * GIB, 224_000, 2000 * GIB),
    )
}
#: Made-up prices, in US dollars a minute of one GPU: recognisable, and proportional to nothing real.
_GPU_PRICES = {"A100": 0.0999, "H100": 0.1111, "H200": 0.1555, "B200": 0.2222}
PRICE_NOTE = "Made-up prices of the local service: nothing here costs anything."
MODELS = {
    model.name: model
    for model in (
        BaseModel("Qwen/Qwen3-8B", 131_072, 131_072, 15_623, "local-h100-1", serverless=True),
        BaseModel("Qwen/Qwen3-4B-Instruct-2507", 262_144, 131_072, 7_672, "local-h100-1"),
        BaseModel("Qwen/Qwen3-30B-A3B-Instruct-2507", 262_144, 131_072, 58_237, "local-h100-2", experts="per_expert"),
        BaseModel("Qwen/Qwen3-VL-8B-Instruct", 131_072, 65_536, 16_723, "local-h100-1", vision=True),
        BaseModel(
            "Qwen/Qwen3-235B-A22B-Instruct-2507",
            131_072,
            65_536,
            448_390,
            "local-h100-8",
            nodes=2,
            experts="shared_outer",
        ),
        BaseModel("meta-llama/Llama-3.1-8B-Instruct", 131_072, 131_072, 15_317, "local-h100-1"),
        BaseModel("openai/gpt-oss-20b", 131_072, 131_072, 39_872, "local-h100-1", experts="shared_adapter"),
        BaseModel(TINY.name, TINY.longest, TINY.longest, 2, "local-cpu-1", modules=TARGET_MODULES, serverless=True),
        BaseModel(SMALL.name, SMALL.longest, SMALL.longest, 12, "local-cpu-1", modules=TARGET_MODULES, serverless=True),
    )
}
_TOKENIZERS = {name: Path(__file__).parent / "tokenizers" / name.rpartition("/")[2] for name in (TINY.name, SMALL.name)}
_NAMES = {str(folder): name for name, folder in _TOKENIZERS.items()}
_OTHER = BaseModel("", 131_072, 131_072, 15_623, "local-h100-1")


def size_of(base_model: str) -> ModelSize:
    """Return the size of a base model; every name but ``loops-local/small`` stands for the smallest one."""
    return SMALL if base_model == SMALL.name else TINY


def is_bytes(base_model: str) -> bool:
    """Return whether the token ids of a base model are bytes."""
    return base_model.startswith("loops-local/")


def ends_of_text(base_model: str) -> tuple[int, ...]:
    """Return the ids that end a text."""
    return next((ends for family, ends in _ENDS.items() if base_model.startswith(family)), ())


def is_model_id(text: str) -> bool:
    """Return whether a string can be a Hugging Face model id (``org/name``)."""
    return _MODEL_ID.fullmatch(text) is not None and not text.endswith((".", "/.."))


def tokenizer_folder(name: str) -> Path | None:
    """Return the folder of the tokenizer that comes with a local model; None for any other model."""
    return _TOKENIZERS.get(name)


def name_of(text: str) -> str:
    """Return the base model that a caller means: its name, or the folder of its tokenizer."""
    return _NAMES.get(text.removeprefix("hf://").rstrip("/\\"), text)


def model(name: str) -> BaseModel:
    """Return the table's row, or the stand-in for a model that is not in it."""
    return MODELS.get(name, _OTHER)


def hardware(name: str) -> Hardware:
    """Return what a model's trainer and sampler run on."""
    return HARDWARE[model(name).hardware]


def serverless_length(name: str) -> int:
    """Return the longest sequence in tokens that shared capacity takes of a model."""
    return min(_SERVERLESS_LENGTH, model(name).longest("rl"))


def price(shape: Hardware) -> float:
    """Return the made-up US dollars a minute of one node; a process of this machine costs nothing."""
    return round(shape.gpu_count * _GPU_PRICES.get(shape.gpu_type or "", 0.0), 4)


def adapter_config(base_model: str, rank: int, modules: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the ``adapter_config.json`` of a LoRA adapter."""
    return {
        "base_model_name_or_path": base_model,
        "bias": "none",
        "lora_alpha": ALPHA_BY_RANK * rank,
        "lora_dropout": 0.0,
        "peft_type": "LORA",
        "r": rank,
        "target_modules": list(modules or model(base_model).modules),
        "task_type": "CAUSAL_LM",
    }


def capabilities(*, name: str | None, use_case: str, max_seq_len: int | None) -> list[dict[str, Any]]:
    """Return the supported models as in the API; a model that cannot handle the length is disabled, with the reason."""
    listed = []
    for row in MODELS.values():
        if name is not None and row.name != name:
            continue
        longest = row.longest(use_case)
        too_long = max_seq_len is not None and max_seq_len > longest
        listed.append(
            {
                "model_name": row.name,
                "max_seq_len": longest,
                "max_enabled_seq_len": longest,
                "max_context_length": longest,
                "supports_vision_language": row.vision,
                "enabled": not too_long,
                "serverless": row.serverless,
                "enablement_details": _too_long(row, longest, use_case, max_seq_len) if too_long else _alias(row),
            }
        )
    return listed


def _too_long(row: BaseModel, longest: int, use_case: str, asked: int | None) -> dict[str, str]:
    return {
        "reason": "sequence_length_unsupported",
        "reason_detail": f"{row.name} handles at most {longest} tokens for {use_case}; {asked} were asked for.",
        "remediation": f"Ask for max_seq_len <= {longest}, or choose a model with a longer context.",
    }


def _alias(row: BaseModel) -> dict[str, str] | None:
    size = size_of(row.name)
    if size.name == row.name:
        return None
    return {
        "reason": "local_alias",
        "reason_detail": (
            f"Here {size.name} trains and answers in the place of {row.name}, with at most "
            f"{size.longest} tokens a sequence."
        ),
        "remediation": "Nothing to do for trying code out; the hosted service has the model itself.",
    }
