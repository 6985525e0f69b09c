"""What is shipped: the wheel and the sdist."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from loops_nb._version import __version__

ROOT = Path(__file__).resolve().parent.parent
#: What the smoke test of a release imports of each extra.
MODULES = runpy.run_path(str(ROOT / ".ci" / "smoke.py"))["MODULES"]
pytestmark = pytest.mark.once
#: Most bytes of each bundle: every widget whose state a notebook keeps carries one.
BUNDLES = {
    "panels.js": 75_000,
    "curves.js": 130_000,
    "dashboard.js": 80_000,
    "experiments.js": 80_000,
    "samples.js": 40_000,
    "logs.js": 30_000,
}
NOTICES = "THIRD-PARTY-NOTICES.txt"


def built(kind: str, into: Path) -> Path:
    # Without isolation: the build needs nothing that the test environment does not have.
    program = (
        f"import os, sys; os.chdir({str(ROOT)!r}); from hatchling.build import build_{kind}; build_{kind}(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", program, str(into)], check=True, capture_output=True)
    (made,) = into.iterdir()
    return made


def test_the_newest_section_of_the_changelog_is_of_this_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)
    assert headings[0] == __version__
    assert f"\nversion: {__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


def test_each_extra_is_tried_by_a_release() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(project["optional-dependencies"]) == set(MODULES)


def test_the_wheel_carries_the_package_and_nothing_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(built("wheel", tmp_path)) as wheel:
        names = wheel.namelist()
    assert "loops_nb/py.typed" in names
    assert "loops_nb/local/launcher.py" in names
    assert {f"loops_nb/static/{name}" for name in BUNDLES} <= set(names)
    assert [n for n in names if not n.startswith(("loops_nb/", "loops_nb-"))] == []
    assert any(n.endswith("entry_points.txt") for n in names)


def test_the_wheel_carries_the_licence_of_each_package_in_its_bundles(tmp_path: Path) -> None:
    with zipfile.ZipFile(built("wheel", tmp_path)) as wheel:
        notices = wheel.read(f"loops_nb/static/{NOTICES}").decode()
        metadata = next(wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/METADATA"))
    packages = re.findall(r"^(\S+) \d+\.\d+\.\d+ \(", notices, flags=re.MULTILINE)
    assert packages == ["preact", "uplot"]
    for name in packages:
        assert (ROOT / "js" / "node_modules" / name / "LICENSE").read_text(encoding="utf-8").strip() in notices
    assert "Requires-Dist: h11>=0.16\n" in metadata


def test_the_server_packages_are_in_the_extra_local_only(tmp_path: Path) -> None:
    with zipfile.ZipFile(built("wheel", tmp_path)) as wheel:
        metadata = next(wheel.read(name).decode() for name in wheel.namelist() if name.endswith("/METADATA"))
    for name in ("starlette", "uvicorn"):
        (line,) = re.findall(rf"^Requires-Dist: {name}.*$", metadata, flags=re.MULTILINE)
        assert line.endswith("extra == 'local'")


def test_the_wheel_works_from_where_it_is_installed(tmp_path: Path) -> None:
    dist, site = tmp_path / "dist", tmp_path / "site"
    dist.mkdir()
    wheel = built("wheel", dist)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    program = (
        f"import sys; sys.path.insert(0, {str(site)!r}); import loops_nb; print(loops_nb.__file__); from "
        f"loops_nb.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, "--version"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert str(site) in done.stdout
    assert "loops" in done.stdout.splitlines()[-1].lower(), done.stderr


def test_the_sdist_can_be_tested(tmp_path: Path) -> None:
    with tarfile.open(built("sdist", tmp_path)) as sdist:
        names = {n.split("/", 1)[1] for n in sdist.getnames() if "/" in n}
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "Makefile",
        ".ci/async_twins.py",
        ".ci/constraints.txt",
        "tests/test_package.py",
        "notebooks/quickstart.ipynb",
    } <= names
    # Building from it needs no Node; the sources of the page are there to change it.
    assert {f"loops_nb/static/{name}" for name in (*BUNDLES, NOTICES)} <= names
    assert {"js/package-lock.json", "js/hatch_build.py", "js/bundle.py", "js/src/contract.ts"} <= names
    assert [n for n in names if n.startswith((".venv", "build/", ".ci/run", "js/node_modules"))] == []


def test_without_node_the_page_code_that_is_there_is_taken_and_a_missing_one_is_said(tmp_path: Path) -> None:
    (tmp_path / "js").mkdir()
    shutil.copy(ROOT / "js" / "bundle.py", tmp_path / "js")
    command = [sys.executable, str(tmp_path / "js" / "bundle.py")]

    def build() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": str(tmp_path)})

    refused = build()
    assert refused.returncode == 1
    assert "needs Node 20 or newer" in refused.stderr
    bundles = [tmp_path / "loops_nb" / "static" / name for name in (*BUNDLES, NOTICES)]
    bundles[0].parent.mkdir(parents=True)
    (tmp_path / "js" / "src").mkdir()
    (tmp_path / "js" / "src" / "newer.ts").write_text("")
    for bundle in bundles:
        assert build().returncode == 1, "one is missing"
        bundle.write_text("shipped")
        os.utime(bundle, (1, 1))
    assert build().returncode == 0
    assert [bundle.read_text() for bundle in bundles] == ["shipped"] * len(bundles)


@pytest.mark.parametrize("name", BUNDLES)
def test_the_page_code_is_small_and_asks_no_host_for_anything(name: str) -> None:
    code = (ROOT / "loops_nb" / "static" / name).read_text("utf-8")
    assert len(code.encode()) <= BUNDLES[name]
    allowed = {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1998/Math/MathML",
        "http://www.w3.org/1999/xhtml",
        "http://www.w3.org/1999/xlink",
    }
    assert set(re.findall(r"https?://[\w./-]+", code)) <= allowed
    assert not re.search(r"\beval\(|new Function\(|\bfetch\(|XMLHttpRequest", code)
    # Preact can set markup; nothing of ours makes it.
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "js" / "src").rglob("*.ts*"))
    assert "nnerHTML" not in sources


def test_nothing_in_the_repository_names_a_registry_or_a_path_of_one_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    # Put together here, so that this file does not hold what it looks for.
    hosts = [
        ".".join(p)
        for p in (
            ("pypi", "org"),
            ("files", "pythonhosted", "org"),
            ("registry", "npmjs", "org"),
            ("deb", "debian", "org"),
        )
    ]
    paths = ["/" + "/".join(p) for p in (("work", "main"), ("work", "shared"), ("tmp", "bash_jobs"))]
    for name in listed.stdout.split("\n"):
        path = ROOT / name
        if name and path.is_file() and path.suffix != ".png":
            text = path.read_text("utf-8", "replace")
            assert [w for w in hosts + paths if w in text] == [], name
