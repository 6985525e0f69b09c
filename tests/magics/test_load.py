"""Loading and unloading the extension."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

from loops_nb import faults
from tests.magics.conftest import Notebook

HEAVY = (
    "httpx",
    "httpcore",
    "pandas",
    "numpy",
    "ipywidgets",
    "anywidget",
    "keyring",
    "starlette",
    "uvicorn",
    "tomllib",
    "zoneinfo",
)

LOAD = f"""
import json, sys, time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
had = set(sys.modules)
# Time of the processor: others work on this machine too, and reading files that are in memory waits for nothing.
started = time.process_time()
shell.run_line_magic("load_ext", "loops_nb")
took = time.process_time() - started
print(json.dumps({{"took": took, "heavy": [m for m in {HEAVY!r} if m in sys.modules and m not in had]}}))
"""


def test_loading_is_quick_and_imports_nothing_heavy(tmp_path: Path) -> None:
    environment = {**os.environ, "IPYTHONDIR": str(tmp_path), "PYTHONPYCACHEPREFIX": str(tmp_path / "pyc")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    root = Path(__file__).parents[2]
    took = float("inf")
    for attempt in range(4):
        done = subprocess.run(
            [sys.executable, "-c", LOAD], cwd=root, env=environment, capture_output=True, text=True, check=True
        )
        found = json.loads(done.stdout.splitlines()[-1])
        assert found["heavy"] == []
        # The first attempt compiles; another process can slow down any other.
        if attempt:
            took = min(took, found["took"])
        if took <= 0.015:
            break
    assert took <= 0.015


def test_importing_the_package_does_not_need_ipython() -> None:
    code = (
        "import sys, loops_nb, loops_nb.config, loops_nb.magics; print([m for m in ('IPython', 'traitlets') if m "
        "in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def state(book: Notebook) -> tuple[object, ...]:
    ip = book.shell
    formatters = ip.display_formatter.formatters
    return (
        sorted(ip.magics_manager.magics["line"]),
        sorted(ip.magics_manager.registry),
        len(ip.configurables),
        list(ip.Completer.custom_matchers),
        list(ip.input_transformers_cleanup),
        [
            (dict(formatters[mime].type_printers), dict(formatters[mime].deferred_printers))
            for mime in ("text/html", "text/plain")
        ],
        sorted(name for name in vars(ip) if "loops" in name),
    )


def test_unloading_restores_the_shell(notebook: Notebook) -> None:
    with_it = state(notebook)
    notebook.run("%unload_ext loops_nb")
    without = state(notebook)
    assert without[0] != with_it[0]
    for _ in range(2):
        notebook.run("%load_ext loops_nb")
        notebook.run("%loops --help")
        notebook.run("%unload_ext loops_nb")
        assert state(notebook) == without
    assert "loops" not in notebook.shell.magics_manager.magics["line"]
    notebook.run("%load_ext loops_nb")


def test_unloading_restores_previous_magic_and_formatter(notebook: Notebook) -> None:
    import pandas as pd

    notebook.run("%unload_ext loops_nb")
    ip = notebook.shell
    html = ip.display_formatter.formatters["text/html"]

    def theirs(_: object) -> str:
        return "<b>theirs</b>"

    ip.register_magic_function(lambda _: "theirs", "line", "loops")
    html.for_type(pd.DataFrame, theirs)
    try:
        notebook.run("%load_ext loops_nb")
        assert "Baseten Loops" in notebook.run("%loops --help").out
        assert notebook.html(pd.DataFrame({"a": [1]})) == "<b>theirs</b>", (
            "frames that are not ours go on to the former formatter"
        )
        notebook.run("%unload_ext loops_nb")
        assert notebook.run("%loops").value == "theirs"
        assert html.lookup_by_type(pd.DataFrame) is theirs
    finally:
        html.type_printers.pop(pd.DataFrame, None)
        ip.magics_manager.magics["line"].pop("loops", None)
        notebook.run("%load_ext loops_nb")


def test_loading_twice_changes_nothing(notebook: Notebook) -> None:
    from loops_nb import load_ipython_extension

    before = state(notebook)
    load_ipython_extension(notebook.shell)
    assert state(notebook) == before


def test_help_by_flag_verb_and_question_mark(notebook: Notebook) -> None:
    said = notebook.run("%loops --help").out
    for word in ("Usage:", "checkpoints [RUN]", "Examples:", "df = %loops runs --base-model Qwen/Qwen3-8B"):
        assert word in said
        assert word in notebook.run("%loops help").out
    asked = notebook.shell.object_inspect_text("%loops")
    assert "Usage:" in asked
    assert "deactivate" in asked
    assert "--base-model MODEL" in notebook.run("%loops runs --help").out
    assert notebook.run("%loops help runs").out == notebook.run("%loops runs -h").out
    assert "session" in notebook.run("%loops create --help").out


def test_status_without_connection_names_two_ways_to_start(notebook: Notebook) -> None:
    ran = notebook.run("%loops")
    assert ran.out.count("\n") == 3
    assert "%loops local start" in ran.out
    assert "%loops login" in ran.out
    assert "local start" in notebook.run("%loops runs", fails=True).out
    assert "To fix: %loops local start" in notebook.run("%loops doctor").out.splitlines()[-1]


def test_doctor_prints_bugs_with_traceback(notebook: Notebook) -> None:
    try:
        raise KeyError("sentinel-fault")  # noqa: TRY301 - what is caught needs a traceback
    except KeyError as error:
        faults.record(logging.getLogger("loops_nb.tests"), "showing the panel 'Run r1'", error)
    said = notebook.run("%loops doctor").out
    assert "Bug in loops_nb, while showing the panel 'Run r1': KeyError: 'sentinel-fault' (1 time)" in said
    assert "    Traceback (most recent call last):" in said
