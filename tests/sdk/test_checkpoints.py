"""Saving, resuming bit for bit, and bringing checkpoints home with the official SDK."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from baseten.loops import CheckpointTarget
from safetensors import safe_open

from tests.sdk.training_data import sentences, steps

Make = Callable[..., Any]


def test_resuming_is_bit_exact(trainer: Make, loops: Any) -> None:
    client = trainer()
    steps(client, 5)
    saved = client.save_state("after-five").result(timeout=60)
    assert saved.path.rstrip("/") == f"bt://loops:{client.run_id}/weights/after-five"
    later = steps(client, 10)

    resumed = loops.create_training_client_from_state_with_optimizer(saved.path)
    assert resumed.run_id != client.run_id
    assert resumed.policy_version == 5
    assert steps(resumed, 10) == later
    assert resumed.policy_version == 15


def test_loading_an_earlier_state_in_the_same_run_is_bit_exact(trainer: Make) -> None:
    client = trainer()
    steps(client, 3)
    path = client.save_state("back-here").result(timeout=60).path
    later = steps(client, 4)
    assert client.load_state_with_optimizer(path).result(timeout=60).step == 3
    assert steps(client, 4) == later


def test_a_save_between_two_gradients_changes_nothing(trainer: Make) -> None:
    saving, not_saving = trainer(), trainer()
    for client in (saving, not_saving):
        client.forward_backward(sentences())
        if client is saving:
            client.save_state("in-the-middle")
            client.save_weights_for_sampler("in-the-middle")
    assert steps(saving, 3) == steps(not_saving, 3)


def test_weights_alone_reset_the_optimizer(trainer: Make, loops: Any) -> None:
    client = trainer()
    steps(client, 5)
    path = client.save_state("weights").result(timeout=60).path
    here = client.forward(sentences()).result(timeout=60).loss
    resumed = loops.create_training_client_from_state(path)
    assert resumed.forward(sentences()).result(timeout=60).loss == here
    with_moments = loops.create_training_client_from_state_with_optimizer(path)
    assert steps(resumed, 4) != steps(with_moments, 4)


def test_a_rank_of_another_kind_comes_back_with_its_checkpoint(trainer: Make, loops: Any) -> None:
    client = trainer(rank=3)
    steps(client, 2)
    path = client.save_state("rank-three").result(timeout=60).path
    resumed = loops.create_training_client_from_state_with_optimizer(path)
    assert resumed.get_info().lora_rank == 3
    assert steps(resumed, 2) == steps(client, 2)


def test_a_path_that_leads_nowhere_is_refused_at_once(trainer: Make, loops: Any) -> None:
    nowhere = f"bt://loops:{trainer().run_id}/weights/never-saved"
    with pytest.raises(ValueError, match="No Loops checkpoint found"):
        loops.create_training_client_from_state(nowhere)


def test_saves_are_listed_with_target_and_name(trainer: Make, loops: Any) -> None:
    client = trainer(rank=4)
    client.save_state("one").result(timeout=60)
    client.save_weights_for_sampler("one").result(timeout=60)
    client.save_weights_for_sampler("two").result(timeout=60)
    found = {(one.checkpoint_id, one.target.value) for one in client.list_checkpoints()}
    assert found == {("one", "trainer"), ("one", "sampler"), ("two", "sampler")}
    assert all(
        one.size_bytes > 0 and one.lora_adapter_config.rank == 4 for one in loops.list_checkpoints(client.run_id)
    )
    with pytest.raises(ValueError, match="Pass target"):
        client.get_checkpoint_archive_url(name="one")


def test_downloaded_sampler_checkpoint_has_the_layout_of_peft(trainer: Make, tmp_path: Path) -> None:
    client = trainer(rank=4)
    steps(client, 2)
    version = client.save_weights_for_sampler("published").result(timeout=60).version
    assert version == 2
    landed = client.download_checkpoint(name="published", dest_dir=str(tmp_path / "home"))
    files = {path.name: path for path in landed.dest_dir.iterdir()}
    assert landed.bytes_written == sum(path.stat().st_size for path in files.values())
    config = json.loads(files["adapter_config.json"].read_text("utf-8"))
    assert (config["peft_type"], config["r"]) == ("LORA", 4)
    with safe_open(files["adapter_model.safetensors"], framework="numpy") as tensors:
        names = list(tensors.keys())
        shapes = {name: tensors.get_slice(name).get_shape() for name in names}
    down = [name for name in names if name.endswith("lora_A.weight")]
    up = [name for name in names if name.endswith("lora_B.weight")]
    assert len(down) == len(up) == len(names) / 2 > 0
    assert {shapes[name][0] for name in down} == {shapes[name][1] for name in up} == {4}
    assert all(any(name.split(".")[-3] == target for target in config["target_modules"]) for name in names)


def test_trainer_checkpoint_downloads_whole_and_only_once(trainer: Make, loops: Any, tmp_path: Path) -> None:
    client = trainer()
    steps(client, 1)
    client.save_state("whole").result(timeout=60)
    (found,) = client.list_checkpoints()
    listed = loops.get_checkpoint_archive_url(name="whole", run_id=client.run_id, target=CheckpointTarget.trainer)
    landed = loops.download_checkpoint(found.id, dest_dir=str(tmp_path))
    assert landed.file_count == listed.total_count == len(listed.presigned_urls)
    assert landed.bytes_written == found.size_bytes == sum(one.size_bytes for one in listed.presigned_urls)
    with pytest.raises(FileExistsError):
        loops.download_checkpoint(found.id, dest_dir=str(tmp_path))


def test_a_name_saved_again_holds_the_later_weights(trainer: Make, loops: Any) -> None:
    client = trainer()
    first = client.save_state("latest").result(timeout=60).path
    steps(client, 4)
    second = client.save_state("latest").result(timeout=60).path
    here = client.forward(sentences()).result(timeout=60).loss
    assert first == second
    resumed = loops.create_training_client_from_state_with_optimizer(second)
    assert resumed.policy_version == 4
    assert resumed.forward(sentences()).result(timeout=60).loss == here
