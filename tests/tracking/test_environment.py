"""The environment of an experiment: git, packages, host, Python and command line; how it is turned off."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from loops_nb import experiment
from loops_nb.config.current import choose_setting
from loops_nb.errors import InvalidArgumentError
from loops_nb.frames.attributes import NOTES_ATTR
from loops_nb.tracking import ExperimentStore, environment
from loops_nb.tracking.metrics import Metrics
from loops_nb.tracking.warn import TrackingWarning

SECRET = "s3ntinel-0"  # a fixture, no password
VARIABLE = "LOOPS_NB_CAPTURE_ENVIRONMENT"


@pytest.fixture(autouse=True)
def _capture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(environment, "_git_found", {})


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a repository with one commit, whose folder ``inside`` is the working folder."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    folder = tmp_path / "repository"
    (folder / "inside").mkdir(parents=True)
    (folder / "inside" / "train.py").write_text("1\n", "utf-8")
    git(folder, "init", "-q", "-b", "tries")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "-q", "-m", "first")
    monkeypatch.chdir(folder / "inside")
    return folder


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_environment_has_commit_packages_host_and_command(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "--lr", "1e-4", "--api-key", SECRET])
    monkeypatch.setenv("SOME_VARIABLE", "its-value-is-not-recorded")
    found = experiment("here").environment
    head = git(repository, "rev-parse", "HEAD")
    assert found["git"] == {"commit": head, "branch": "tries", "dirty": False}
    assert found["python"] == platform.python_version()
    assert found["host"] == platform.node()
    assert found["argv"] == ["train.py", "--lr", "1e-4", "--api-key", "<not kept>"]
    assert found["packages"]["pytest"] == version("pytest")
    assert found["packages"]["numpy"] == version("numpy")
    assert found["packages"]["loops-nb"] == version("loops_nb")
    assert not {"os", "json", "__main__"} & set(found["packages"])
    text = json.dumps(found)
    assert SECRET not in text
    assert "its-value-is-not-recorded" not in text


def test_filters_and_order_know_the_environment(repository: Path) -> None:
    experiment("clean", params={"host": "a parameter"}).close()
    (repository / "inside" / "train.py").write_text("2\n", "utf-8")
    environment._git_found.clear()
    experiment("dirty").close()
    head, metrics = git(repository, "rev-parse", "HEAD"), Metrics()

    def names(where: str) -> list[str]:
        return metrics.experiments(where=where, sort="git.dirty")["name"].tolist()

    assert names(f'"{head[:8]}" in git.commit and packages.numpy == "{version("numpy")}"') == ["clean", "dirty"]
    assert names("git.dirty") == ["dirty"]
    assert names('host == "a parameter"') == ["clean"]
    assert names(f'environment.host == "{platform.node()}" and environment.git.branch == "tries"') == ["clean", "dirty"]
    with pytest.raises(InvalidArgumentError, match=r"Did you mean git\.commit"):
        metrics.experiments(where='git.comit == "x"')


def test_changed_file_makes_the_work_tree_dirty(repository: Path) -> None:
    (repository / "untracked").write_text("x", "utf-8")
    assert experiment("clean").environment["git"]["dirty"] is False
    environment._git_found.clear()
    (repository / "inside" / "train.py").write_text("2\n", "utf-8")
    assert experiment("dirty").environment["git"]["dirty"] is True


@pytest.mark.parametrize("form", ["branch", "packed", "detached", "worktree"])
def test_commit_is_known_without_git(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    head = git(repository, "rev-parse", "HEAD")
    if form == "packed":
        git(repository, "pack-refs", "--all")
    elif form == "detached":
        git(repository, "checkout", "-q", "--detach")
    elif form == "worktree":
        git(repository, "worktree", "add", "-q", "-b", "other", str(tmp_path / "other"))
        monkeypatch.chdir(tmp_path / "other")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = experiment("no git").environment["git"]
    assert found["commit"] == head
    assert found.get("branch") == {"detached": None, "worktree": "other"}.get(form, "tries")
    assert "dirty" not in found


def test_folder_without_a_repository_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(environment, "_status", lambda _: pytest.fail("git was run"))
    found = experiment("bare").environment
    assert "git" not in found
    assert found["python"]


@pytest.mark.usefixtures("repository")
def test_slow_git_delays_neither_the_begin_nor_the_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n", "utf-8")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(environment, "GIT_SECONDS", 0.3)
    began = time.perf_counter()
    exp = experiment("slow")
    for step in range(100):
        exp.log(step=step, loss=1.0)
    assert time.perf_counter() - began < 20
    assert exp.flush()
    assert exp.environment["git"].keys() == {"commit", "branch"}
    assert len(ExperimentStore().series(exp.id, "loss").step) == 100


def test_each_start_has_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["first.py"])
    first = experiment("resumed")
    first.close()
    monkeypatch.setattr(sys, "argv", ["second.py"])
    second = experiment("resumed", resume=True)
    assert second.environment["argv"] == ["second.py"]
    rows = ExperimentStore().environments(first.id)
    assert [row.content["argv"] for row in rows] == [["first.py"], ["second.py"]]
    assert rows[0].at <= rows[1].at


def test_equal_environments_are_stored_once(store: ExperimentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_git_found", {str(Path.cwd()): (time.monotonic() + 60, {})})
    for number in range(5):
        experiment(f"sweep-{number}").close()
    with store._reading() as connection:
        assert connection is not None
        assert connection.execute("SELECT count(*) FROM starts").fetchone() == (5,)
        assert connection.execute("SELECT count(*) FROM environments").fetchone() == (1,)


def test_command_line_of_a_kernel_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/x/ipykernel_launcher.py", "-f", "/home/u/kernel-1.json"])
    assert "argv" not in experiment("in a notebook").environment


@pytest.mark.parametrize("how", ["variable", "project", "config"])
def test_setting_turns_the_capture_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.chdir(tmp_path)
    if how == "variable":
        monkeypatch.setenv(VARIABLE, "0")
    elif how == "project":
        (tmp_path / "pyproject.toml").write_text("[tool.loops_nb]\ncapture_environment = false\n", "utf-8")
    else:
        choose_setting("capture_environment", value=False)
    try:
        exp = experiment("quiet")
        assert exp.environment == {}
        assert ExperimentStore().environments(exp.id) == []
    finally:
        choose_setting("capture_environment", value=None)


def test_unreadable_project_file_turns_it_off_with_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[tool.loops_nb]\ncapture_environment = 'no'\n", "utf-8")
    with pytest.warns(TrackingWarning, match="environment of this experiment is not recorded.*must be true or false"):
        exp = experiment("unclear")
    exp.log(loss=1)
    assert exp.environment == {}


def test_fault_of_the_capture_ends_no_training(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(environment, "_packages", lambda: json.loads("a fault"))
    exp = experiment("faulty")
    exp.log(loss=1)
    assert exp.flush()
    assert exp.environment == {}
    assert "could not be captured" in caplog.text


def test_short_script_records_its_environment(home: Path) -> None:
    code = "from loops_nb import experiment\nexperiment('short').log(loss=1)"
    subprocess.run([sys.executable, "-c", code, "--token", SECRET], check=True)
    (row,) = ExperimentStore().experiments()
    (found,) = ExperimentStore().environments(row.id)
    assert found.content["argv"] == ["-c", "--token", "<not kept>"]
    for file in home.iterdir():
        assert SECRET.encode() not in file.read_bytes()


def test_working_folder_that_is_gone_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert "git" not in experiment("homeless").environment


def test_packages_have_the_names_that_they_are_installed_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules: dict[str, Any] = {}
    for folder, file, text, module in (
        ("scikit_thing-1.2.dist-info", "top_level.txt", "skthing\n", "skthing"),
        ("Py_Thing-2.0.dist-info", "RECORD", "pything/__init__.py,sha256=x,1\n../../bin/x,,\n", "pything"),
        ("plain-3.0-py3.11.egg-info", "top_level.txt", "plain\n", "plain"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / file).write_text(text, "utf-8")
        modules[module] = type(sys)(module)
    modules["own"] = type(sys)("own")
    modules["versioned"] = type(sys)("versioned")
    modules["versioned"].__version__ = "9.1"
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "missing.zip")])
    assert environment._versions(frozenset(modules), modules) == {
        "scikit-thing": "1.2",
        "py-thing": "2.0",
        "plain": "3.0",
        "versioned": "9.1",
    }


def test_environments_stand_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, argv in (("a", ["a.py"]), ("b", ["b.py"])):
        monkeypatch.setattr(sys, "argv", argv)
        experiment(name).close()
    frame = Metrics().environment(["a", "b"])
    assert frame.columns.tolist() == ["entry", "differs", "a", "b"]
    assert frame["entry"].iloc[0] == "argv"
    assert frame.query("differs")[["a", "b"]].to_numpy().tolist()[0] == ['["a.py"]', '["b.py"]']
    by_entry = frame.set_index("entry")
    assert by_entry.loc["python", "a"] == platform.python_version()
    assert by_entry.loc["packages.numpy", "b"] == version("numpy")
    assert not by_entry.loc["python", "differs"]
    assert NOTES_ATTR not in frame.attrs
    monkeypatch.setattr(sys, "argv", ["again.py"])
    experiment("b", resume=True).close()
    newest = Metrics().environment("b")
    assert newest.set_index("entry").loc["argv", "b"] == '["again.py"]'
    assert newest.attrs[NOTES_ATTR][0].startswith("1 experiment was resumed in another environment")
    each = Metrics().environment("b", starts=True)
    assert each.columns.tolist() == ["entry", "differs", "b, start 1", "b, start 2"]
    monkeypatch.setenv(VARIABLE, "off")
    experiment("quiet").close()
    assert "No environment is recorded" in Metrics().environment("quiet").attrs["loops_empty"]
