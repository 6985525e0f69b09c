"""Settings from ``%config`` and project files, and their validation."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.config import SETTINGS, project_files
from loops_nb.config.current import current_setting
from loops_nb.config.project import project_settings
from loops_nb.config.setting_checks import check_setting
from loops_nb.config.time_zone import display_zone
from loops_nb.errors import ConfigError
from tests.magics.conftest import Notebook


@pytest.mark.parametrize(
    ("name", "value", "usual"),
    [
        ("base_url", " http://127.0.0.1:8787/ ", "http://127.0.0.1:8787"),
        ("base_url", "", ""),
        ("auth_scheme", "api-key", "Api-Key"),
        ("poll_interval", 5, 5.0),
        ("poll_interval", 0.5, 0.5),
        ("row_limit", 0, 0),
        ("time_zone", "utc", "UTC"),
        ("time_zone", "Europe/Berlin", "Europe/Berlin"),
        ("timeout", 0.5 * 4, 2.0),
    ],
)
def test_setting_values_are_normalized(name: str, value: Any, usual: Any) -> None:
    assert check_setting(name, value) == usual


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("base_url", "api.baseten.co", "must be a web address"),
        ("base_url", "ftp://x", "must be a web address"),
        ("base_url", "http://x:99999", "must be a web address"),
        ("base_url", "https://user:secret@x", "no user, password"),
        ("base_url", "https://x/?k=v", "no user, password"),
        ("base_url", 7, "must be a string"),
        ("base_url", "http://loops.example.invalid", "would cross the network in the clear. Use https://"),
        ("auth_scheme", "Basic", "'Bearer' or 'Api-Key'"),
        ("poll_interval", 0.4, "from 0.5 to 3600"),
        ("poll_interval", float("nan"), "a number of seconds"),
        ("row_limit", -1, "from 0 to 100000"),
        ("row_limit", 2.5, "a whole number"),
        ("row_limit", True, "a whole number"),
        ("time_zone", "Europe/Berln", "Did you mean Europe/Berlin?"),
        ("time_zone", "Berlin", "Did you mean Europe/Berlin?"),
        ("time_zone", "../etc/passwd", "no time zone"),
        ("time_zone", "Nowhere/AtAll", "For example Europe/Berlin"),
        ("timeout", "60", "a number of seconds"),
        ("row_limits", 5, "Did you mean row_limit?"),
        ("colour", 5, "The settings are base_url"),
        ("api_key", "sk-sentinel", "an API key must not be among them"),
        ("api-key", "sk-sentinel", "%loops login"),
    ],
)
def test_invalid_setting_is_rejected_with_a_hint(name: str, value: Any, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_setting(name, value)
    assert says in str(caught.value)
    assert "sk-sentinel" not in str(caught.value)
    assert "secret" not in str(caught.value)


@given(
    st.sampled_from(sorted(SETTINGS)),
    st.one_of(st.text(), st.integers(), st.floats(), st.none(), st.lists(st.integers())),
)
def test_check_setting_accepts_or_rejects_any_value(name: str, value: Any) -> None:
    try:
        usual = check_setting(name, value)
    except ConfigError:
        return
    assert check_setting(name, usual) == usual


def test_display_zone_resolves_names() -> None:
    assert display_zone("local") is None
    assert display_zone("UTC") is UTC
    assert display_zone("Asia/Tokyo") == ZoneInfo("Asia/Tokyo")
    assert datetime(2026, 11, 20, tzinfo=UTC).astimezone(display_zone("Asia/Tokyo")).hour == 9


def test_nearest_project_file_with_the_table_wins(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.loops_nb]\nrow_limit = 7\ntime_zone = "UTC"\n', "utf-8")
    (deep / "pyproject.toml").write_text('[project]\nname = "uses loops_nb"\n', "utf-8")
    found = project_settings(project_files(deep))
    assert found.path == tmp_path / "pyproject.toml"
    assert found.values == {"row_limit": 7, "time_zone": "UTC"}


@pytest.mark.parametrize(
    "table", ["[tool.loops_nb]\nrow_limit=7", "[tool]\nloops_nb = {row_limit = 7}", "tool.loops_nb.row_limit = 7"]
)
def test_project_table_in_every_toml_form(tmp_path: Path, table: str) -> None:
    (tmp_path / "pyproject.toml").write_text(table, "utf-8")
    assert project_settings(project_files(tmp_path)).values == {"row_limit": 7}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("[tool.loops_nb]\nrow_limits = 5", "Did you mean row_limit?"),
        ('[tool.loops_nb]\napi_key = "sk-sentinel"', "an API key must not be among them"),
        ("[tool.loops_nb]\nrow_limit = -5", "from 0 to 100000, not '-5'. Correct the file, then run the line again."),
        ("[tool.loops_nb\nrow_limit = 5", "cannot be read as TOML"),
        ("[tool.loops_nb]\nrow_limit = ", "cannot be read as TOML"),
        ("[tool]\nloops_nb = 5", "must be a table"),
    ],
)
def test_invalid_project_file_is_named(tmp_path: Path, body: str, says: str) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text(body, "utf-8")
    with pytest.raises(ConfigError) as caught:
        project_settings(project_files(tmp_path))
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "sk-sentinel" not in str(caught.value)


def test_config_magic_shows_sets_and_rejects(notebook: Notebook) -> None:
    shown = notebook.run("%config LoopsMagics").out
    for setting in SETTINGS.values():
        assert f"LoopsMagics.{setting.name}=" in shown
    notebook.run("%config LoopsMagics.row_limit = 5")
    assert notebook.magics.row_limit == 5
    for name, value in (
        ("row_limit", "-5"),
        ("time_zone", "'Berlin'"),
        ("auth_scheme", "'Basic'"),
        ("timeout", "0"),
        ("base_url", "'x'"),
    ):
        before = getattr(notebook.magics, name)
        notebook.run(f"%config LoopsMagics.{name} = {value}")
        assert getattr(notebook.magics, name) == before


def test_project_file_changes_defaults(notebook: Notebook) -> None:
    Path("pyproject.toml").write_text('[tool.loops_nb]\nrow_limit = 7\nbase_url = "http://127.0.0.1:1"\n', "utf-8")
    notebook.run("%reload_ext loops_nb")
    assert notebook.magics.row_limit == 7
    target = notebook.context.connection.target()
    assert target is not None
    assert target.url == "http://127.0.0.1:1"
    assert "pyproject.toml" in target.because


def test_invalid_project_file_blocks_only_the_connection(notebook: Notebook) -> None:
    Path("pyproject.toml").write_text("[tool.loops_nb]\nrow_limits = 7\n", "utf-8")
    notebook.run("%reload_ext loops_nb")
    assert "Did you mean row_limit?" in notebook.run("%loops runs", fails=True).out
    assert "Did you mean row_limit?" in notebook.run("%loops doctor").out
    Path("pyproject.toml").write_text("[tool.loops_nb]\nrow_limit = -7\n", "utf-8")
    assert "To fix: Correct the file" in notebook.run("%loops doctor").out
    Path("pyproject.toml").write_text("[tool.loops_nb]\nrow_limit = 7\n", "utf-8")
    assert "Not connected" in notebook.run("%loops runs", fails=True).out
    assert notebook.magics.row_limit == 7


def test_key_is_not_sent_to_untrusted_address_of_project_file(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BASETEN_API_KEY", "sk-sentinel")
    Path("pyproject.toml").write_text('[tool.loops_nb]\nbase_url = "https://loops.example.invalid"\n', "utf-8")
    notebook.run("%reload_ext loops_nb")
    said = notebook.run("%loops runs", fails=True).out
    assert "your API key was not sent there" in said
    assert "%loops connect https://loops.example.invalid" in said
    assert "was not sent there" in notebook.run("%loops login", fails=True).out


def test_rejected_value_does_not_block_reloading(notebook: Notebook) -> None:
    notebook.run("%config LoopsMagics.row_limit = -5")
    notebook.run("%config LoopsMagics.time_zone = 'UTC'")
    said = notebook.run("%reload_ext loops_nb").out
    assert "LoopsMagics.row_limit was not changed" in said
    assert (notebook.magics.row_limit, notebook.magics.time_zone) == (20, "UTC")


def test_ipython_config_takes_precedence_over_project_file(notebook: Notebook) -> None:
    Path("pyproject.toml").write_text("[tool.loops_nb]\nrow_limit = 7\n", "utf-8")
    notebook.shell.config.LoopsMagics.row_limit = 9
    try:
        notebook.run("%reload_ext loops_nb")
        assert notebook.magics.row_limit == 9
    finally:
        del notebook.shell.config["LoopsMagics"]


def test_capture_of_the_environment_is_a_setting(notebook: Notebook) -> None:
    assert notebook.magics.capture_environment
    assert current_setting("capture_environment") is True
    notebook.run("%config LoopsMagics.capture_environment = False")
    assert current_setting("capture_environment") is False
    notebook.run("%config LoopsMagics.capture_environment = True")
    Path("pyproject.toml").write_text("[tool.loops_nb]\ncapture_environment = false\n", "utf-8")
    # What was set in the session takes precedence over the project's file.
    assert current_setting("capture_environment") is True
    notebook.run("%reload_ext loops_nb")
    assert not notebook.magics.capture_environment
    assert current_setting("capture_environment") is False
    notebook.run("%unload_ext loops_nb")
    Path("pyproject.toml").unlink()
    assert current_setting("capture_environment") is True
    notebook.run("%load_ext loops_nb")
