"""Verbs about checkpoints, with the local service."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from loops_nb.errors import InvalidArgumentError, NotFoundError, VerificationError
from loops_nb.render import status
from tests.magics.conftest import Notebook


@pytest.fixture
def run_id(live: Notebook) -> str:
    found: str = live.run("%loops find --name support-tone-dpo").value["id"].iloc[0]
    return found


def test_download_plans_fetches_and_verifies(live: Notebook, run_id: str) -> None:
    line = f"%loops download {run_id}/step-525 --target trainer"
    planned = live.run(f"{line} --dry-run").value
    assert set(planned["state"]) == {"missing"}
    assert "Nothing was fetched." in live.html(planned)
    assert not Path("checkpoints").exists()

    brought = live.run(line).value
    folder = Path(brought["path"].iloc[0])
    assert folder == Path("checkpoints") / run_id / "weights" / "step-525"
    assert "whole and checked" in live.plain(brought)
    assert json.loads((folder / "trainer_state.json").read_text())["step"] == 525
    assert {"optimizer", "adapter_model.safetensors", ".loops-manifest.json"} <= {
        path.name for path in folder.iterdir()
    }

    again = live.run(line).value
    assert again["fetched_bytes"].tolist() == [0]
    assert "All of it was there already." in live.html(again)
    assert "All of 4 files are there" in live.html(live.run(f"{line} --dry-run").value)
    assert "4 files of bt://loops:" in live.run("%loops verify checkpoints").out


def test_download_takes_patterns_and_a_folder(live: Notebook, run_id: str) -> None:
    brought = live.run(
        f"%loops download --run {run_id} --target trainer --include '*.json' --exclude adapter* -o elsewhere"
    ).value
    assert len(brought) > 3
    assert {path.name for path in Path("elsewhere").rglob("*.json") if not path.name.startswith(".")} == {
        "trainer_state.json"
    }
    assert f"{len(brought)} files of {len(brought)} checkpoints" in live.run("%loops verify elsewhere").out


def test_verify_reports_a_changed_file_and_download_repairs_it(live: Notebook, run_id: str) -> None:
    line = f"%loops download {run_id}/step-525 --target sampler"
    weights = Path(live.run(line).value["path"].iloc[0]) / "adapter_model.safetensors"
    whole = weights.read_bytes()
    changed = whole[:-1] + bytes([whole[-1] ^ 1])
    weights.write_bytes(changed)
    ran = live.run("%loops verify checkpoints", fails=True)
    assert isinstance(ran.error, VerificationError)
    assert "adapter_model.safetensors: its content is another one" in ran.out
    live.run(line)
    assert weights.read_bytes() == whole
    live.run("%loops verify checkpoints")


def test_export_adapter_writes_a_folder_and_completes(live: Notebook, run_id: str) -> None:
    line = f"%loops export-adapter {run_id}/step-525 --target sampler -o adapters/tone"
    exported = live.run(line).value
    assert Path("adapters/tone/README.md").exists()
    assert "README.md has the hashes" in live.plain(exported)
    assert "adapters/tone exists already" in live.run(line, fails=True).out
    assert "--output DIR is missing" in live.run("%loops export-adapter VqKXRGB", fails=True).out
    # The checkpoint, which does not exist, is not looked up.
    for bucket in ("s3://models/tone", "s3:/models/tone"):
        assert "is an address (s3://…)" in live.run(f"%loops export-adapter VqKXRGB -o {bucket}", fails=True).out
    assert "two slashes come after s3:" in live.run("%loops compare s3:/models/tone", fails=True).out
    assert "--public is for --push" in live.run(f"{line}2 --public", fails=True).out
    assert "%loops export-adapter" in live.completions("%loops export-")
    assert any(one.endswith("--merge") for one in live.completions(f"{line} --me"))


def test_checkpoints_say_when_they_vanish(live: Notebook, run_id: str) -> None:
    line = f"df = %loops checkpoints {run_id}"
    assert "Vanishing" not in live.run(f"{line}\ndf").out
    uri = f"bt://loops:{run_id}/sampler_weights/step-525"
    live.run(
        "import loops_nb, datetime\n"
        f"with loops_nb.experiment('saved', run='{run_id}') as exp:\n"
        f"    exp.saved('step-525', uri='{uri}', target='sampler', ttl_seconds=86400)\n"
    )
    said = live.run(f"{line}\ndf").out
    assert "Vanishing, by the lifetime asked for when they were saved (local" in said
    assert f"): {run_id}/sampler_weights/step-525 20" in said
    ends = live.run("df.loops.with_metrics(at='save').set_index('uri')['expires_at'].dropna()").value
    assert list(ends.index) == [uri]
    assert str(ends.dtype) == "datetime64[us, UTC]"
    assert "ttl_seconds must be" in live.run("exp.saved('x', ttl_seconds=-1)", fails=True).out
    # Saved again without one, it stays.
    live.run(f"with loops_nb.experiment('again', run='{run_id}') as exp:\n    exp.saved('step-525', uri='{uri}')\n")
    assert "Vanishing" not in live.run(f"{line}\ndf").out


def test_verify_without_manifest_fails(live: Notebook) -> None:
    ran = live.run("%loops verify nowhere", fails=True)
    assert isinstance(ran.error, InvalidArgumentError)
    assert "nowhere does not exist." in ran.out
    Path("mine.txt").write_text("mine")
    assert "mine.txt is a file, not a folder." in live.run("%loops verify mine.txt", fails=True).out
    assert "has no checkpoint that was downloaded" in live.run("%loops verify .", fails=True).out


def test_dry_run_reports_foreign_files(live: Notebook, run_id: str) -> None:
    line = f"%loops download {run_id}/step-525 --target sampler"
    folder = Path("checkpoints") / run_id / "sampler_weights" / "step-525"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("mine")
    planned = live.html(live.run(f"{line} --dry-run").value)
    assert (
        "adapter_config.json: a file of that name is there already, and nothing tells that it is the same one"
        in planned
    )
    failed = live.run(line, fails=True).out
    assert failed.count("a file of that name is there already") == 1
    (folder / "adapter_config.json").unlink()
    live.run(line)
    whole = (folder / "adapter_model.safetensors").read_bytes()
    (folder / "adapter_model.safetensors").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    planned = live.plain(live.run(f"{line} --dry-run").value)
    assert "1 file may have been changed since" in planned
    assert "The file is there" in live.plain(live.run(f"{line} --dry-run --include *.json").value)
    Path("file").write_text("mine")
    assert "is no folder, and one is needed there" in live.run(f"{line} -o file --dry-run", fails=True).out


def test_dry_run_reports_missing_space(live: Notebook, run_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loops_nb.checkpoints.transfer.folder_target.free_bytes", lambda _: 1000)
    monkeypatch.setattr("loops_nb.checkpoints.transfer.frames.is_writable", lambda _: False)
    planned = live.plain(live.run(f"%loops download {run_id}/step-525 --target sampler --dry-run").value)
    assert "That is too much: 1.0 kB are free there. That folder cannot be written to." in planned


@pytest.mark.parametrize(
    ("call", "says"),
    [
        ("df.loops.download(None)", "into must be the path of a folder, not None."),
        ("df.loops.download(5, dry_run=True)", "into must be the path of a folder, not 5."),
        ("df.loops.download(include=5)", "include takes patterns such as '*.json', not 5."),
        ("loops.checkpoints.verify(None)", "folder must be the path of a folder, not None."),
        ("loops.runs.drift(None)", "run_id must be a string, not NoneType"),
    ],
)
def test_download_rejects_wrong_arguments(live: Notebook, run_id: str, call: str, says: str) -> None:
    live.run(f"df = %loops checkpoints {run_id}")
    live.run("loops = %loops connect")
    ran = live.run(call, fails=True)
    assert isinstance(ran.error, InvalidArgumentError)
    assert says in ran.out


def test_download_frame_reads_as_text(live: Notebook, run_id: str) -> None:
    live.run(f"df = %loops checkpoints {run_id}")
    live.run("loops = %loops connect")
    planned = live.run("loops.checkpoints.plan_download(df.head(2))").value
    assert repr(planned).startswith("<Plan: ")
    assert repr(planned).endswith(" to fetch of 6 files of 2 checkpoints>")
    brought = live.run("loops.checkpoints.download(df.head(2))").value
    assert repr(brought).startswith("<Download: 6 files, ")
    assert str(brought.checkpoints[1].path) in repr(brought)


def test_tensors_compare_and_drift_return_frames(live: Notebook, run_id: str) -> None:
    tensors = live.run(f"%loops tensors {run_id}/step-525 --target sampler").value
    assert set(tensors["lora"]) == {"A", "B"}
    assert "Read " in live.html(tensors)
    compared = live.run(f"%loops compare --run {run_id} step-25 step-525 --target sampler --by layer").value
    assert compared["layer"].tolist() == [0, 1]
    assert (compared["norm"] > compared["norm_before"]).all()
    mixed = live.run(
        f"%loops compare bt://loops:{run_id}/weights/step-525 bt://loops:{run_id}/sampler_weights/step-525"
    ).value
    assert (mixed["relative_change"] < 1e-3).all()
    assert "16 with another dtype; changes() lists them" in live.plain(mixed)
    drift = live.run(f"%loops drift {run_id} --by checkpoint").value
    assert drift["step"].is_monotonic_increasing
    assert set(drift["target"]) == {"sampler"}


def test_an_executor_of_the_notebook_is_named_on_the_line(live: Notebook, run_id: str) -> None:
    line = f"%loops compare --run {run_id} step-25 step-525 --target sampler --by layer"
    live.run("from concurrent.futures import ThreadPoolExecutor\npool = ThreadPoolExecutor(2)")
    assert live.completions("%loops drift k4q95w5 --executor ") == ["%loops drift k4q95w5 --executor pool"]
    compared = live.run(f"{line} --executor pool").value
    assert compared.equals(live.run(line).value)
    drift = f"%loops drift {run_id} --by checkpoint"
    assert live.run(f"{drift} --executor pool").value.equals(live.run(drift).value)
    assert "Did you mean pool?" in live.run(f"{line} --executor poll", fails=True).out
    live.run("workers = 4")
    assert "'workers' is no executor." in live.run(f"{line} --executor workers", fails=True).out
    assert "cannot be imported" in live.run(f"{line} --executor no_such_module:pool", fails=True).out
    # Downloaded files are verified by it, and once it is shut down nothing is.
    live.run(f"%loops download --run {run_id} step-25 --target sampler")
    assert "all as downloaded" in live.run("%loops verify checkpoints --executor pool").out
    live.run("pool.shutdown()")
    assert "Was it shut down?" in live.run("%loops verify checkpoints --executor pool", fails=True).out


@pytest.mark.parametrize(
    ("line", "kind", "says"),
    [
        ("download", InvalidArgumentError, "No checkpoint was named"),
        (
            "download RUN/step-525",
            InvalidArgumentError,
            "Say which: bt://loops:RUN/weights/step-525, bt://loops:RUN/sampler_weights/step-525",
        ),
        ("download RUN/step-525", InvalidArgumentError, "or say the target: --target trainer"),
        ("download RUN/step-526", NotFoundError, "Its newest are step-525"),
        ("download --run RUN step-526", NotFoundError, "Its newest are step-525"),
        (
            "download RUN",
            NotFoundError,
            "RUN is the id of a run, and of no checkpoint. One that it has saved is RUN/NAME; all",
        ),
        ("download RUNx/step-525", NotFoundError, "Did you mean RUN?"),
        ("download bt://loops:RUNx/weights/step-525", NotFoundError, "Did you mean RUN?"),
        ("download --run nosuch1", NotFoundError, "nosuch1"),
        ("download Zz99Zz9", NotFoundError, "Zz99Zz9"),
        ("download RUN/step-525 --target sampler --include x*", InvalidArgumentError, "It has 'adapter_config.json'"),
        (
            "download --run RUN --include trainer_state.json",
            InvalidArgumentError,
            "Leave this checkpoint out, for example with --target",
        ),
        ("download RUN/step-525 --target weights", InvalidArgumentError, "--target must be trainer or sampler"),
        ("download Zz99Zz9", NotFoundError, "%loops checkpoints "),
        (
            "compare RUN/step-525 RUN/step-525 --target sampler",
            InvalidArgumentError,
            "It takes two different checkpoints to compare; only RUN/sampler_weights/step-525 was named.",
        ),
        ("compare --run RUN --by colour", InvalidArgumentError, "--by must be module, layer"),
        ("drift nosuch1", NotFoundError, "nosuch1"),
        ("tensors bt://x", InvalidArgumentError, "bt://loops:"),
    ],
)
def test_checkpoint_errors_are_one_line(
    live: Notebook, run_id: str, line: str, kind: type[Exception], says: str
) -> None:
    ran = live.run(f"%loops {line.replace('RUN', run_id)}", fails=True)
    assert isinstance(ran.error, kind)
    assert says.replace("RUN", run_id) in ran.out
    assert len(ran.out.strip().splitlines()) == 1
    assert not Path("checkpoints").exists()


def test_completion_offers_checkpoints_repeatedly(live: Notebook, run_id: str) -> None:
    live.run(f"%loops checkpoints {run_id}")
    uri = f"bt://loops:{run_id}/weights/step-525"
    assert f"%loops download {uri}" in live.completions("%loops download bt://loops:")
    assert f"%loops compare x {uri}" in live.completions("%loops compare x bt://loops:")
    assert "%loops download a --include b --include" in live.completions("%loops download a --include b --incl")


def test_accessor_downloads_the_rows_of_a_frame(live: Notebook, run_id: str) -> None:
    live.run(f"df = %loops checkpoints {run_id}")
    brought = live.run("df[df.target == 'trainer'].head(2).loops.download(quiet=True)").value
    assert len(list(Path("checkpoints").rglob(".loops-manifest.json"))) == len(brought) == 2
    assert live.run("df.loops.compare('checkpoint')").value["checkpoint"].nunique() == len(live.run("df").value) - 1
    assert "No two of" in live.html(live.run("df.loops.duplicates()").value)
    assert "svg" in live.html(live.run("df.loops.plot.timeline()").value)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%loops compare --run RUN --target sampler --by checkpoint", "(100 %): done"),
        ("%loops drift RUN --by checkpoint", "(100 %): done"),
        ("%loops tensors --run RUN", "headers of 28 checkpoints: done"),
        ("df.loops.duplicates()", "Weights of 28 checkpoints, "),
        ("df.loops.changes()", "headers of 28 checkpoints: done"),
    ],
)
def test_reading_many_checkpoints_shows_progress(
    live: Notebook, run_id: str, line: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    live.run(f"df = %loops checkpoints {run_id}")
    out = io.StringIO()
    monkeypatch.setattr(status, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(status, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(status, "progress_display", lambda: status.TerminalProgress(out))
    live.run(line.replace("RUN", run_id))
    shown = out.getvalue().split("\r")
    assert says in shown[-1]
    assert any(text.startswith("28 of 28 listings of 28 checkpoints") or "21 checkpoints" in text for text in shown)
