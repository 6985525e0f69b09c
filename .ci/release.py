"""Builds and checks a release: ``make release``; nothing is published.

Builds the sdist and the wheel of the last commit twice and compares their bytes, checks metadata, licences and type
completeness, uses what was built in bare environments without Node, and writes the notes of the version.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rattler_build import RecipeParseError, Stage0Recipe

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / ".ci")]

from smoke import MODULES  # noqa: E402 - beside this file

from tests.other_pythons import find  # noqa: E402

OUTPUT = ROOT / "build" / "release"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
#: Extras whose packages have no version for some Pythons.
NOT_BEFORE = {"sdk": "3.12"}
#: Share of the public symbols whose types are known to a type checker.
LEAST_TYPED = 0.995
_HEADING = re.compile(r"^## (?P<version>\S+).*$", flags=re.MULTILINE)


class ReleaseError(Exception):
    """A check failed; the text says which, and what to do."""


def run(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """Run a command and return what it printed; a failure shows all of it."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ReleaseError(f"{' '.join(map(str, command))} failed:\n{done.stdout}")
    return done.stdout


def tool(name: str) -> Path:
    """Return a command of this environment."""
    return Path(sys.executable).with_name(name)


def notes(changelog: str, version: str) -> str:
    """Return the section of a version in the changelog.

    Raises
    ------
    ReleaseError
        If there is none, or an empty one.
    """
    headings = list(_HEADING.finditer(changelog))
    for heading, following in zip(headings, [*headings[1:], None], strict=True):
        if heading["version"] == version:
            text = changelog[heading.end() : following.start() if following else None].strip()
            if text:
                return text
    raise ReleaseError(f"CHANGELOG.md says nothing about {version}: add a section '## {version}'.")


def exported(into: Path) -> Path:
    """Write the files of the last commit into a folder; what is not committed is not released."""
    archive = into.with_suffix(".tar")
    run("git", "archive", "--format=tar", "-o", archive, "HEAD")
    with tarfile.open(archive) as files:
        files.extractall(into, filter="data")
    return into


def built(source: Path) -> list[Path]:
    """Build sdist and wheel; the time in them is that of the commit."""
    env = os.environ | {"SOURCE_DATE_EPOCH": run("git", "log", "-1", "--format=%ct").strip()}
    run(sys.executable, "-m", "build", "--installer", "uv", source, cwd=source, env=env)
    return sorted((source / "dist").iterdir())


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_reproducible(folder: Path) -> tuple[Path, Path]:
    """Build twice, in two places; return the sdist and the wheel if both are equal to the byte."""
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(built, [exported(folder / name) for name in ("first", "second")])
    differing = [a.name for a, b in zip(first, second, strict=True) if digest(a) != digest(b)]
    if differing:
        raise ReleaseError(f"Two builds of the same commit differ: {', '.join(differing)}.")
    wheel, sdist = sorted(first, key=lambda path: path.suffix != ".whl")
    return sdist, wheel


def check_contents(sdist: Path, wheel: Path, version: str) -> None:
    """Check metadata and description, that nothing foreign is inside, and the licences of the page code."""
    run(tool("twine"), "check", "--strict", sdist, wheel)
    # Files that are equal by intention: the two models of the local service share a tokenizer.
    run(tool("check-wheel-contents"), "--ignore", "W002", wheel)
    with zipfile.ZipFile(wheel) as files:
        names = files.namelist()
    if f"loops_nb-{version}.dist-info/licenses/LICENSE" not in names:
        raise ReleaseError("The wheel has no LICENSE.")
    if "loops_nb/static/THIRD-PARTY-NOTICES.txt" not in names:
        raise ReleaseError("The wheel has no licences of what is in its page code.")


def check_recipe(project: dict[str, Any]) -> None:
    """Check that rattler-build accepts the conda recipe, and that it names this version and the wheel's needs."""
    path = ROOT / ".ci" / "conda" / "recipe.yaml"
    try:
        recipe = Stage0Recipe.from_file(path).as_single_output().to_dict()
    except RecipeParseError as error:
        raise ReleaseError(f"{path.relative_to(ROOT)} is not a recipe: {error}") from None
    # httpcore's extra is a package of its own there.
    wanted = {_conda_name(need) for need in project["dependencies"]}
    named = {need.replace(" ", "") for need in recipe["requirements"]["run"]}
    named -= {f"python{project['requires-python']}", "anyio>=4"}
    if named != wanted or recipe["context"]["version"] != project["version"]:
        raise ReleaseError(
            f"{path.relative_to(ROOT)} differs from pyproject.toml: {', '.join(sorted(named ^ wanted)) or 'version'}."
        )


def _conda_name(need: str) -> str:
    # There are no extras there, and matplotlib without its graphical toolkits has a name of its own.
    return re.sub(r"^matplotlib\b", "matplotlib-base", re.sub(r"\[.*\]", "", need))


def new_environment(folder: Path, name: str, interpreter: str, *needs: str) -> Path:
    """Make an environment with these requirements alone, and return its Python."""
    run(tool("uv"), "venv", "--quiet", "--no-python-downloads", "--python", interpreter, folder / name, cwd=folder)
    python = folder / name / "bin" / "python"
    run(tool("uv"), "pip", "install", "--quiet", "--python", python, *needs, cwd=folder, env=without_node(folder))
    return python


def without_node(folder: Path) -> dict[str, str]:
    """Return the environment's variables with a path that has neither Node nor npm."""
    plain = folder / "path"
    if not plain.exists():
        plain.mkdir()
        for directory in os.environ["PATH"].split(os.pathsep):
            for command in Path(directory).iterdir() if Path(directory).is_dir() else ():
                if command.name not in {"node", "npm", "npx"} and not (plain / command.name).exists():
                    (plain / command.name).symlink_to(command)
    return os.environ | {"PATH": str(plain)}


def check_types(folder: Path, wheel: Path, interpreter: str) -> str:
    """Return which share of the public symbols has known types; it must be nearly all."""
    python = new_environment(folder, "typed", interpreter, f"{wheel}[local]")
    env = os.environ | {"VIRTUAL_ENV": str(folder / "typed"), "PATH": f"{python.parent}:{os.environ['PATH']}"}
    command = [str(tool("pyright")), "--verifytypes", "loops_nb", "--ignoreexternal", "--outputjson"]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    score = float(json.loads(done.stdout)["typeCompleteness"]["completenessScore"])
    if score < LEAST_TYPED:
        raise ReleaseError(
            f"Types of {score:.1%} of the public symbols are known, not of {LEAST_TYPED:.1%}: "
            "pyright --verifytypes loops_nb --ignoreexternal lists the others."
        )
    return f"{score:.2%}"


def used(folder: Path, version: str, interpreter: str, needs: Iterable[str], extras: Iterable[str]) -> str:
    """Install into a bare environment, use it there, and return what was said."""
    name = hashlib.sha256(repr((interpreter, *needs, *extras)).encode()).hexdigest()[:12]
    python = new_environment(folder, name, interpreter, *needs)
    said = run(python, "-I", folder / "smoke.py", version, *extras, cwd=folder, env=without_node(folder))
    shutil.rmtree(folder / name)
    return said.strip()


def check_used(folder: Path, sdist: Path, wheel: Path, version: str, extras: list[str]) -> Iterable[str]:
    """Use what was built: on each Python, with each extra, from the sdist, and with the lowest admitted versions."""
    shutil.copy(ROOT / ".ci" / "smoke.py", folder)
    for wanted in PYTHONS:
        interpreter = find(wanted)
        if interpreter is None:
            yield f"Python {wanted} is not on this machine: not tried."
            continue
        yield used(folder, version, interpreter, [str(wheel)], [])
        yield used(folder, version, interpreter, [f"{wheel}[local]"], ["local"])
        lowest = ["--resolution", "lowest-direct", f"{wheel}[local]"]
        yield used(folder, version, interpreter, lowest, ["local"]) + " (lowest versions)"
        admitted = [extra for extra in extras if wanted >= NOT_BEFORE.get(extra, wanted)]
        yield used(folder, version, interpreter, [f"{wheel}[{','.join(admitted)}]"], admitted)
    here = sys.executable
    for extra in extras:
        if f"{sys.version_info[0]}.{sys.version_info[1]}" >= NOT_BEFORE.get(extra, "3"):
            yield used(folder, version, here, [f"{wheel}[{extra}]"], [extra])
    yield used(folder, version, here, [f"{sdist}[local]"], ["local"]) + " (from the sdist)"


def check_size(folder: Path, wheel: Path) -> str:
    """Return what the wheel takes when it is installed with what it needs, and how long its import takes."""
    python = new_environment(folder, "size", sys.executable, str(wheel))
    packages = folder / "size" / "lib"
    size = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file())
    own = sum(path.stat().st_size for path in packages.rglob("loops_nb/**/*") if path.is_file())
    program = "import time; t = time.perf_counter(); import loops_nb; print(1000 * (time.perf_counter() - t))"
    times = sorted(float(run(python, "-I", "-c", program, cwd=folder)) for _ in range(5))
    return f"{size / 1e6:.0f} MB installed, {own / 1e6:.1f} MB of it loops_nb; import loops_nb: {times[2]:.0f} ms"


def main() -> int:
    """Check everything, and leave sdist, wheel and notes in ``build/release``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    version, extras = project["version"], sorted(project["optional-dependencies"])
    if unknown := [extra for extra in extras if extra not in MODULES]:
        raise ReleaseError(f".ci/smoke.py does not say what the extra {', '.join(unknown)} adds.")
    if run("git", "status", "--porcelain"):
        raise ReleaseError("There are changes that are not committed; a release is made of a commit.")
    check_recipe(project)
    text = notes((ROOT / "CHANGELOG.md").read_text("utf-8"), version)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sdist, wheel = check_reproducible(folder)
        print(f"Two builds are equal: {sdist.name}, {wheel.name}", flush=True)
        check_contents(sdist, wheel, version)
        print("Metadata, contents, licences and the conda recipe are right.", flush=True)
        print(f"Known types: {check_types(folder, wheel, sys.executable)} of the public symbols", flush=True)
        for said in check_used(folder, sdist, wheel, version, extras):
            print(said, flush=True)
        print(check_size(folder, wheel), flush=True)
        shutil.rmtree(OUTPUT, ignore_errors=True)
        OUTPUT.mkdir(parents=True)
        for path in (sdist, wheel):
            shutil.copy(path, OUTPUT)
    (OUTPUT / "NOTES.md").write_text(f"# loops_nb {version}\n\n{text}\n", "utf-8")
    print(f"In {OUTPUT.relative_to(ROOT)}: sdist, wheel and NOTES.md.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ReleaseError as error:
        sys.exit(str(error))
