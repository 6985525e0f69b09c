"""Local checkpoints."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from loops_nb.checkpoints.tensors import WeightSource
from loops_nb.checkpoints.tensors.folder import open_folder
from loops_nb.errors import InvalidArgumentError, UnreadableTensorsError
from tests.checkpoints.tensors.safetensors_files import CONFIG, adapter, checkpoint_files, file_of, put

MANIFEST = {
    "format": 1,
    "checkpoint": {"id": "c1", "uri": "bt://loops:r1/weights/step-30", "name": "step-30"},
    "files": [],
}


def test_downloaded_checkpoint_is_opened(tmp_path: Path) -> None:
    tensors = adapter()
    put(tmp_path, {**checkpoint_files(tensors, moments=True), ".loops-manifest.json": json.dumps(MANIFEST).encode()})
    checkpoint = open_folder(tmp_path)
    source: WeightSource = checkpoint
    assert (source.label, source.step) == ("r1/weights/step-30", 30)
    assert source.adapter_config == CONFIG
    assert checkpoint.files == ("adapter_model.safetensors", "optimizer/shard-00000-of-00001.safetensors")
    weights = {info.name: info for info in source.infos if info.role == "weights"}
    assert set(weights) == set(tensors)
    assert len(source.infos) == 3 * len(tensors)
    for name, array in tensors.items():
        np.testing.assert_array_equal(checkpoint.tensor(name), array)
        assert checkpoint.raw(weights[name]) == array.tobytes()
    assert repr(checkpoint) == "<LocalCheckpoint r1/weights/step-30: 24 tensors in 2 files>"


def test_folder_without_manifest_is_labelled_by_its_name(tmp_path: Path) -> None:
    folder = put(tmp_path / "step-7", {"a.safetensors": save({"x.weight": np.ones(2)})})
    checkpoint = open_folder(str(folder))
    assert (checkpoint.label, checkpoint.step, checkpoint.adapter_config) == ("step-7", 7, None)


@pytest.mark.parametrize(
    "manifest", [b"", b"{", b"[]", b'{"checkpoint": 1}', b'{"checkpoint": {"uri": 1, "name": []}}', b"\xff"]
)
def test_unreadable_manifest_is_ignored(tmp_path: Path, manifest: bytes) -> None:
    folder = put(
        tmp_path / "step-7", {"a.safetensors": save({"x.weight": np.ones(2)}), ".loops-manifest.json": manifest}
    )
    assert open_folder(folder).label == "step-7"


def test_partial_files_are_ignored(tmp_path: Path) -> None:
    put(
        tmp_path, {"a.safetensors": save({"x": np.ones(2)}), ".b.safetensors": b"half", ".parts/c.safetensors": b"half"}
    )
    assert open_folder(tmp_path).files == ("a.safetensors",)


def test_folder_of_several_checkpoints_is_refused(tmp_path: Path) -> None:
    for name in ("step-1", "step-2"):
        put(
            tmp_path / name,
            {"a.safetensors": save({"x": np.ones(2)}), ".loops-manifest.json": json.dumps(MANIFEST).encode()},
        )
    with pytest.raises(InvalidArgumentError, match=r"is not one checkpoint; it holds 2\. Name one of them: .*step-1"):
        open_folder(tmp_path)


@pytest.mark.parametrize("what", ["missing", "empty", "file"])
def test_folder_without_checkpoint_is_refused(tmp_path: Path, what: str) -> None:
    if what == "empty":
        (tmp_path / what).mkdir()
    if what == "file":
        (tmp_path / what).write_bytes(b"")
    with pytest.raises(
        InvalidArgumentError, match=r"no \.safetensors files" if what == "empty" else "There is no folder"
    ):
        open_folder(tmp_path / what)


def test_damaged_file_is_named(tmp_path: Path) -> None:
    put(tmp_path, {"good.safetensors": save({"x": np.ones(2)}), "deep/bad.safetensors": file_of({"x": 1}, bytes(8))})
    with pytest.raises(UnreadableTensorsError, match=r"deep.bad\.safetensors is not a safetensors file"):
        open_folder(tmp_path)


def test_changed_file_is_detected(tmp_path: Path) -> None:
    put(tmp_path, {"a.safetensors": save({"x": np.ones(200)})})
    checkpoint = open_folder(tmp_path)
    put(tmp_path, {"a.safetensors": save({"x": np.ones(2), "y": np.ones(300)})})
    with pytest.raises(UnreadableTensorsError, match=r"a\.safetensors .*has changed since it was opened"):
        checkpoint.tensor("x")
    (tmp_path / "a.safetensors").unlink()
    with pytest.raises(UnreadableTensorsError, match=r"a\.safetensors .*No such file"):
        checkpoint.tensor("x")


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UnreadableTensorsError, match=r"a\.safetensors .*No such file"):
        open_folder(tmp_path)


@pytest.mark.parametrize("config", [b"", b"[]", b"{", b"\xff{}", b"[" * 100_000])
def test_invalid_configuration_is_refused_on_access(tmp_path: Path, config: bytes) -> None:
    put(tmp_path, {"a.safetensors": save({"x": np.ones(2)}), "adapter_config.json": config})
    checkpoint = open_folder(tmp_path)
    assert len(checkpoint.infos) == 1
    with pytest.raises(UnreadableTensorsError, match=r"adapter_config\.json of .* is no JSON object"):
        _ = checkpoint.adapter_config


def test_too_long_configuration_is_refused(tmp_path: Path) -> None:
    put(tmp_path, {"a.safetensors": save({"x": np.ones(2)}), "adapter_config.json": b" " * ((1 << 20) + 1)})
    with pytest.raises(UnreadableTensorsError, match=r"adapter_config\.json"):
        open_folder(tmp_path)


def test_configuration_nearest_to_the_root_is_used(tmp_path: Path) -> None:
    files = {
        "a/adapter_config.json": b'{"r": 1}',
        "adapter_config.json": b'{"r": 2}',
        "x.safetensors": save({"x": np.ones(2)}),
    }
    assert open_folder(put(tmp_path, files)).adapter_config == {"r": 2}


def test_name_in_several_files_needs_the_file(tmp_path: Path) -> None:
    put(
        tmp_path,
        {"a.safetensors": save({"x": np.ones(2, np.float32)}), "b.safetensors": save({"x": np.zeros(2, np.float32)})},
    )
    checkpoint = open_folder(tmp_path)
    assert checkpoint.tensors["x"].file == "a.safetensors"
    with pytest.raises(
        InvalidArgumentError, match=r"has x in 2 files\. Say which: file='a\.safetensors' or 'b\.safetensors'"
    ):
        checkpoint.tensor("x")
    assert checkpoint.tensor("x", file="b.safetensors").tolist() == [0, 0]


def test_unknown_name_is_answered_with_similar_ones(tmp_path: Path) -> None:
    checkpoint = open_folder(put(tmp_path, checkpoint_files(adapter())))
    with pytest.raises(
        InvalidArgumentError,
        match=r"has no tensor 'layers\.1\.self_attn\.v_proj'\. There are base_model\.\S+layers\.1\.self_attn\.v_proj",
    ):
        checkpoint.tensor("layers.1.self_attn.v_proj")
    typed = "base_model.model.model.layers.1.self_attn.q_proj.lora_C.weight"
    with pytest.raises(
        InvalidArgumentError, match=r"lora_C\.weight'\. There are \S+layers\.1\.self_attn\.q_proj\.lora_[AB]\.weight, "
    ):
        checkpoint.tensor(typed)
    with pytest.raises(InvalidArgumentError, match=r"has no tensor 'nonsense'\. There are base_model"):
        checkpoint.tensor("nonsense")


def test_read_many_is_ordered_by_offset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = put(tmp_path, checkpoint_files(adapter(layers=3), moments=True))
    theirs = load_file(folder / "adapter_model.safetensors")
    checkpoint = open_folder(folder)
    wanted = [info for info in checkpoint.infos if info.role == "weights"]
    for most in (0, 700, 1 << 20):
        monkeypatch.setattr("loops_nb.checkpoints.tensors.checkpoint.TOGETHER", most)
        found = list(checkpoint.read_many(reversed(wanted)))
        assert [info for info, _ in found] == wanted
        for info, array in found:
            np.testing.assert_array_equal(array, theirs[info.name])
