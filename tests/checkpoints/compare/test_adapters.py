"""Real adapters: files as the sample workspace has them, opened from folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

from loops_nb.checkpoints.compare import compare, drift, duplicates, summarize_drift
from loops_nb.checkpoints.tensors import LocalCheckpoint, open_folder
from loops_nb.local.weights import synthetic
from loops_nb.local.weights.files import AdapterFile

BASE_MODEL, RANK = "Qwen/Qwen3-8B", 16
STEPS = [0, 20, 40, 200]


def write(folder: Path, files: list[AdapterFile]) -> LocalCheckpoint:
    for file in files:
        place = folder / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.data)
    return open_folder(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[LocalCheckpoint]]:
    home = tmp_path_factory.mktemp("run")
    shape = synthetic.adapter_shape(BASE_MODEL, RANK)
    states = list(synthetic.train(shape, key="a run", steps=STEPS))

    def saved(target: str) -> Iterator[LocalCheckpoint]:
        for state in states:
            files = synthetic.checkpoint_files(state, shape, base_model=BASE_MODEL, rank=RANK, target=target, nodes=2)
            yield write(home / target / f"step-{state.step}", files)

    return {target: list(saved(target)) for target in ("trainer", "sampler")}


def whole(checkpoint: LocalCheckpoint) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    tensors = load((checkpoint.path / "adapter_model.safetensors").read_bytes())
    config = json.loads((checkpoint.path / "adapter_config.json").read_text())
    scale = config["lora_alpha"] / config["r"]
    prefix = "base_model.model."
    return {
        name.removeprefix(prefix).removesuffix(".lora_A.weight"): scale
        * (tensors[name.replace("lora_A", "lora_B")].astype(np.float64) @ tensor.astype(np.float64))
        for name, tensor in tensors.items()
        if "lora_A" in name
    }


def test_drift_matches_multiplied_updates(run: dict[str, list[LocalCheckpoint]]) -> None:
    sources = run["trainer"]
    found = drift(sources[::-1])
    assert found.notes == ()
    wholes = [whole(source) for source in sources]
    assert len(found.rows) == len(STEPS) * len(wholes[0])
    for row in found.rows:
        place = STEPS.index(row.step or 0)
        now, before, first = (wholes[at][row.module] for at in (place, max(place - 1, 0), 0))
        assert (row.rank, row.scale, row.parameters) == (RANK, 2.0, 2 * RANK * synthetic.WIDTH)
        assert row.norm == pytest.approx(np.linalg.norm(now), rel=1e-12)
        assert row.change_from_first == pytest.approx(np.linalg.norm(now - first), rel=1e-12)
        if place > 1:
            assert row.change == pytest.approx(np.linalg.norm(now - before), rel=1e-12)
            assert row.cosine == pytest.approx(
                np.sum(now * before) / np.linalg.norm(now) / np.linalg.norm(before), rel=1e-12
            )


def test_sample_drift_slows_down(run: dict[str, list[LocalCheckpoint]]) -> None:
    rows = summarize_drift(drift(run["trainer"]).rows, "checkpoint")
    assert [row.step for row in rows] == STEPS
    assert rows[0].norm == 0.0
    assert rows[1].relative_change == np.inf
    assert rows[2].cosine > 0.99
    assert rows[2].change / (STEPS[2] - STEPS[1]) > rows[3].change / (STEPS[3] - STEPS[2])
    assert rows[3].path_length == pytest.approx(sum(row.change for row in rows[1:]))
    assert rows[3].path_length >= rows[3].change_from_first


def test_sampler_has_the_trainers_weights_in_bfloat16(run: dict[str, list[LocalCheckpoint]]) -> None:
    found = compare([run["trainer"][-1], run["sampler"][-1]])
    assert found.notes == ()
    # Optimizer shards, which only the trainer saves, are no changes.
    assert {change.change for change in found.changes} == {"dtype"}
    assert {(change.dtype_before, change.dtype) for change in found.changes} == {("F32", "F16")}
    assert len(found.changes) == 2 * len(found.rows)
    for row in found.rows:
        assert row.state == "common"
        assert 1e-6 < row.relative_change < 1e-3
        assert row.cosine == pytest.approx(1.0, abs=1e-6)


def test_copy_is_found_with_few_reads(run: dict[str, list[LocalCheckpoint]], tmp_path: Path) -> None:
    sources = [*run["trainer"], *run["sampler"]]
    names = ("adapter_config.json", "adapter_model.safetensors")
    files = [AdapterFile(name, 0, (sources[2].path / name).read_bytes()) for name in names]
    copy = write(tmp_path / "another name", files)
    found = duplicates([*sources, copy])
    (group,) = found.groups
    assert [member.checkpoint for member in group.members] == ["step-40", "another name"]
    one = sum(info.nbytes for info in copy.infos)
    assert group.size_bytes == one
    # All tensors of the two equal ones, and one tensor of each other one.
    smallest = min(info.nbytes for info in copy.infos)
    assert found.bytes_read == 2 * one + 3 * smallest + 4 * smallest // 2
