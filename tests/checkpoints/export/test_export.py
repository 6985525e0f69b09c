"""Exports through the local service: whole or absent, pushed to a fake Hub, refused with a reason."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest
from safetensors.numpy import load_file

import loops_nb
from loops_nb import AsyncLoops, Loops
from loops_nb.checkpoints.export import merge
from loops_nb.errors import ExportError, InvalidArgumentError
from tests.checkpoints.export.fake_hub import TOKEN, fake_hub
from tests.service import AnyService, running_service


@pytest.fixture(scope="module")
def service() -> Iterator[AnyService]:
    with running_service(in_process=True, sample=True) as running:
        yield running


@pytest.fixture
def loops(service: AnyService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loops]:
    monkeypatch.setenv("LOOPS_NB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with Loops("key", service.url) as made:
        yield made


@pytest.fixture
def run_id(loops: Loops) -> str:
    return next(run.id for run in loops.runs.list() if run.name == "support-tone-r8")


def test_export_is_whole_and_says_where_it_is_from(loops: Loops, service: AnyService, run_id: str) -> None:
    with loops_nb.experiment("numbers", run=run_id) as exp:
        exp.log({"eval|loss": 0.125, "step_seconds": 3.0}, step=50)
    (one,) = [
        ref
        for ref in loops.checkpoints.list(run_id=run_id)
        if ref.uri == f"bt://loops:{run_id}/sampler_weights/step-50"
    ]
    frame = loops.checkpoints.export_adapter(one, "adapter", quiet=True)
    folder = Path("adapter")
    assert frame["path"].tolist() == [str(folder)]
    assert {path.name for path in folder.iterdir()} == {"README.md", "adapter_config.json", "adapter_model.safetensors"}
    weights = (folder / "adapter_model.safetensors").read_bytes()
    # Names, rank and scale are PEFT's already, so these are the very bytes of the service.
    assert weights == (service.data_dir / "checkpoints" / one.id / "adapter_model.safetensors").read_bytes()
    digest = hashlib.sha256(weights).hexdigest()
    assert (frame["sha256"].tolist(), frame["rank"].tolist()) == ([digest], [8])
    assert json.loads((folder / "adapter_config.json").read_bytes())["base_model_name_or_path"] == one.base_model
    card = (folder / "README.md").read_text()
    assert f'base_model: "{one.base_model}"' in card
    for text in (digest, run_id, "| Step | 50 |", r"| eval\|loss | 0.125 | 50 |", "--max-lora-rank 8", "loops:"):
        assert text in card
    assert "step_seconds" not in card
    assert not [path for path in Path().iterdir() if path.name.startswith(".loops")]

    (folder / "mine.txt").write_text("mine")
    with pytest.raises(InvalidArgumentError, match="exists already"):
        loops.checkpoints.export_adapter(one, folder, quiet=True)
    assert (folder / "mine.txt").read_text() == "mine"


def test_rows_of_a_frame_and_the_async_client_export(loops: Loops, service: AnyService, run_id: str) -> None:
    df = loops.checkpoints.frame(run_id=run_id)
    chosen = df[(df["target"] == "trainer") & df["checkpoint_id"].isin(["step-200", "step-400"])]
    frame = chosen.loops.export_adapter("both", quiet=True)
    assert sorted(frame["path"]) == [str(Path(f"both/{run_id}/weights/step-{n}")) for n in (200, 400)]
    # The optimizer's state stays behind.
    assert not list(Path("both").rglob("optimizer*"))

    async def export() -> list[str]:
        async with AsyncLoops("key", service.url) as awaited:
            done = await awaited.checkpoints.export_adapter(f"{run_id}/final", "one", target="sampler", quiet=True)
            return list(done["path"])

    assert asyncio.run(export()) == ["one"]
    assert all(name.startswith("base_model.model.") for name in load_file("one/adapter_model.safetensors"))


def test_interrupted_export_leaves_no_folder_and_goes_on(
    loops: Loops, run_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("loops_nb.checkpoints.export.exporter.write_adapter", stop)
        with pytest.raises(KeyboardInterrupt, match="what was downloaded is kept"):
            loops.checkpoints.export_adapter(f"{run_id}/final", "out/adapter", target="sampler", quiet=True)
    assert [path.name for path in Path("out").iterdir()] == [".loops-export-adapter"]
    loops.checkpoints.export_adapter(f"{run_id}/final", "out/adapter", target="sampler", quiet=True)
    assert [path.name for path in Path("out").iterdir()] == ["adapter"]


def test_push_makes_a_private_repository(
    loops: Loops, run_id: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with fake_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(Path("hf").absolute()))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        chosen = loops.checkpoints.resolve(f"{run_id}/final", target="sampler")
        frame = loops.checkpoints.export_adapter(chosen, "pushed", push="my-org/tone", quiet=True)
        assert "private" in {*hub.created[0], *hub.created[0].values()}
        assert {name: hub.files[f"my-org/tone/{name}"] for name in ("README.md", "adapter_model.safetensors")} == {
            name: Path("pushed", name).read_bytes() for name in ("README.md", "adapter_model.safetensors")
        }
        assert frame["url"].tolist() == [f"{hub.url}/my-org/tone"]
        hub.refuses = "/commit/"
        with pytest.raises(ExportError, match="and was not pushed to my-org/tone") as refused:
            loops.checkpoints.export_adapter(chosen, "again", push="my-org/tone", quiet=True)
        assert Path("again/README.md").exists()
        with monkeypatch.context() as patched:
            patched.setattr("huggingface_hub.HfApi.create_repo", Mock(side_effect=KeyError("id")))
            with pytest.raises(ExportError, match="KeyError: 'id'"):
                loops.checkpoints.export_adapter(chosen, "odd", push="my-org/tone", quiet=True)
        hub.refuses = "/whoami"
        with pytest.raises(ExportError, match="does not confirm the login"):
            loops.checkpoints.export_adapter(chosen, "third", push="my-org/tone", quiet=True)
        assert not Path("third").exists()
        monkeypatch.delenv("HF_TOKEN")
        with pytest.raises(ExportError, match="not logged in"):
            loops.checkpoints.export_adapter(chosen, "third", push="my-org/tone", quiet=True)
    with pytest.raises(InvalidArgumentError, match="push must be ORG/NAME"):
        loops.checkpoints.export_adapter(chosen, "third", push="tone", quiet=True)
    assert TOKEN not in f"{refused.value!r} {capfd.readouterr()}"


def test_merge_says_what_is_missing(loops: Loops, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "PACKAGES", ("torch_of_nowhere", "json"))
    with pytest.raises(ExportError, match="not installed here: torch_of_nowhere") as refused:
        loops.checkpoints.export_adapter(f"{run_id}/final", "merged", target="sampler", merge=True, quiet=True)
    assert refused.value.hint == "pip install torch_of_nowhere"
    with pytest.raises(InvalidArgumentError, match="base is for merge"):
        loops.checkpoints.export_adapter(f"{run_id}/final", "merged", target="sampler", base="x", quiet=True)
    assert not Path("merged").exists()
