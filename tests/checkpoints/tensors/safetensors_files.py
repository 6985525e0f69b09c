"""Safetensors files for tests, including invalid ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from loops_nb.checkpoints.tensors.header import PREFIX, header_length, parse_header
from loops_nb.checkpoints.tensors.info import TensorInfo

Arrays = Mapping[str, npt.NDArray[Any]]


def file_of(header: Any, data: bytes = b"", *, length: int | None = None) -> bytes:
    """Return a file with a header, given as bytes or as an object for JSON."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(raw) if length is None else length).to_bytes(8, "little") + raw + data


def one(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    """Return a tensor's description in a header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def parsed(file: bytes, name: str = "model.safetensors", place: str = "") -> tuple[TensorInfo, ...]:
    """Read the header of a file as opening it does."""
    length = header_length(file[:PREFIX], place=place or name, file_size=len(file))
    return parse_header(file[PREFIX : PREFIX + length], file=name, file_size=len(file), place=place)


def adapter(
    layers: int = 2, rank: int = 4, width: int = 16, *, seed: int = 0, dtype: Any = np.float32
) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors of a small adapter with PEFT's names."""
    source = np.random.default_rng(seed)
    return {
        f"base_model.model.model.layers.{layer}.self_attn.{module}.lora_{half}.weight": source.standard_normal(
            shape
        ).astype(dtype)
        for layer in range(layers)
        for module in ("q_proj", "v_proj")
        for half, shape in (("A", (rank, width)), ("B", (width, rank)))
    }


CONFIG = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}


def checkpoint_files(tensors: Arrays, *, moments: bool = False, rank: int = 4) -> dict[str, bytes]:
    """Return the files of a checkpoint, by name."""
    files = {
        "adapter_config.json": json.dumps({**CONFIG, "r": rank}).encode(),
        "adapter_model.safetensors": save(dict(tensors)),
    }
    if moments:
        notes = {f"{name}.{which}": tensor for name, tensor in tensors.items() for which in ("exp_avg", "exp_avg_sq")}
        files["optimizer/shard-00000-of-00001.safetensors"] = save(notes)
    return files


def put(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Write files into a folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder
