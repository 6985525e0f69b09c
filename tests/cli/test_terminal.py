"""Commands on a real terminal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.terminal import terminal


@pytest.fixture
def address(home: Path, service: str) -> dict[str, str]:
    del home
    return {"LOOPS_BASE_URL": service}


def test_watch_updates_resizes_and_leaves_its_last_state(address: dict[str, str], run: Run) -> None:
    with terminal("watch", rows=30, columns=110, environment=address) as shown:
        shown.read_until("q or Ctrl-C ends")
        assert "support-tone-dpo" in shown.text
        assert re.search(r"\x1b\[0;32m● ?ACTIVE", shown.raw), "states have colors"
        assert "Sampler" in shown.read_until("standalone samplers")
        shown.resize(20, 60)
        while not shown.lines[-1].startswith("q or Ctrl-C ends"):
            assert shown.read_more()
        assert len(shown.lines) == 20
        session = run("create", "session", "-q").out.strip()
        made = run("create", "run", "--session", session, "-m", "Qwen/Qwen3-8B", "--name", "watched", "-q").out.strip()
        shown.read_until(made)
        shown.resize(60, 110)
        shown.read_until("watched")
        shown.type("\x03")
        assert shown.wait() == 0
        last = shown.text.rpartition("Runs and samplers")[2]
        assert made in last
        assert "standalone samplers" in last, "the last state is whole"
        assert "To see it live" not in last
        assert "Ctrl-C" not in last
    run("delete", "run", made, "-y")


def test_a_question_and_a_table_on_a_terminal(address: dict[str, str], run: Run) -> None:
    session = run("create", "session", "-q").out.strip()
    made = run("create", "sampler", "--session", session, "-m", "Qwen/Qwen3-8B", "-q").out.strip()
    with terminal("deactivate", "sampler", made, environment={**address, "NO_COLOR": "1"}) as asked:
        asked.read_until("[y/N]")
        asked.type("n\n")
        assert asked.wait() == 0
    assert made in run("samplers", "--alive", "-q").out
    with terminal("samplers", columns=70, environment={**address, "NO_COLOR": "1"}) as plain:
        assert plain.wait() == 0
        assert made in plain.text
        assert "Columns that did not fit" in plain.text
        assert "\x1b" not in plain.raw
    run("deactivate", "sampler", made, "-y")
