"""The README and the guides: cells run as they are, tables match the code, links lead somewhere.

``python -m tests.magics.test_docs`` regenerates ``docs/verbs.md`` from the verbs.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from loops_nb.config import SETTINGS
from loops_nb.local.launcher import ServiceInfo
from loops_nb.magics.verbs import GROUPS
from tests.magics.conftest import Notebook

ROOT = Path(__file__).resolve().parents[2]
#: Made for the manual, not kept.
MADE = {"changelog.md"}
PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name not in MADE)]
VERBS_PAGE = ROOT / "docs" / "verbs.md"


def cells_of(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)


def verbs_page() -> str:
    lines = ["# Verbs", "", "`%loops VERB --help` describes a verb; `%loops --help` has this list."]
    for heading, verbs in GROUPS:
        lines += ["", f"## {heading}", "", "| Verb | |", "|---|---|"]
        for group in verbs:
            of_group = group.verbs if group.is_group else (group, *group.verbs)
            lines += [f"| `{verb.line}` | {verb.summary} |" for verb in of_group]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", [page for page in PAGES if cells_of(page)], ids=lambda page: page.stem)
def test_cells_of_a_page_run_in_order(
    page: Path, live: Notebook, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The service of these tests in place of a new one: it has the same sample data.
    info = ServiceInfo(
        url=service, pid=1, data_dir=str(tmp_path), version="", started_at=datetime.now(UTC), instance="tests"
    )
    monkeypatch.setattr("loops_nb.local.launcher.start", lambda **_: info)
    monkeypatch.setattr("builtins.input", lambda _prompt: "y")
    for cell in cells_of(page):
        live.run(cell)
        for uri in re.findall(r"# (bt://\S+)", cell):
            assert uri in set(live.shell.user_ns["df"]["uri"])


def test_page_of_verbs_is_generated_from_their_help() -> None:
    assert VERBS_PAGE.read_text("utf-8") == verbs_page(), "run: python -m tests.magics.test_docs"


def test_page_of_settings_has_their_names_and_defaults() -> None:
    page = (ROOT / "docs" / "connect.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ?(.*?) ?\|", page, re.MULTILINE)
    documented = {name: default.strip("` ") for name, default in rows if name.islower()}
    expected = {}
    for name, setting in SETTINGS.items():
        default = setting.default
        expected[name] = f"{default:g}" if isinstance(default, float) else str(default)
    assert documented == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_of_a_page_lead_to_files(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text("utf-8")):
        assert link.startswith("https://") or (page.parent / link).exists(), link


def test_each_guide_is_in_the_manual() -> None:
    listed = set()
    for name in ("index", "guides", "project"):
        listed |= set((ROOT / "docs" / f"{name}.md").read_text("utf-8").split())
    # The list of verbs is on the page of each verb.
    pages = {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index", "verbs"}
    assert pages <= listed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"`((?:\.ci|loops_nb|js|tests|examples|benchmarks|notebooks)/[\w./]+)`", page.read_text("utf-8"))
    assert [name for name in named if "NAME" not in name and not (ROOT / name).exists()] == []


if __name__ == "__main__":
    VERBS_PAGE.write_text(verbs_page(), "utf-8")
