"""Real kernels and terminals: what a notebook saves, and what IPython prints.

One kernel runs all cells; the tests look at its outputs.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from traitlets.config import Config

ROOT = Path(__file__).parents[2]
VIEW = "application/vnd.jupyter.widget-view+json"
CELLS = {
    "load": """
import sys
had = set(sys.modules)
get_ipython().run_line_magic('load_ext', 'loops_nb')
heavy = ('httpx', 'httpcore', 'pandas', 'ipywidgets', 'anywidget', 'keyring')
print([module for module in heavy if module in sys.modules and module not in had])
hook = get_ipython().displayhook
send, sent_before_frame = hook.finish_displayhook, []
def finish():
    sent_before_frame.append('loops_nb.frames.arrays' not in sys.modules)
    send()
hook.finish_displayhook = finish
""",
    "first": "%loops runs",
    "first frame": """
import json, pickle, pandas as pd
number = max(Out)
shown = get_ipython().display_formatter.format(_)[0]
print(json.dumps([sent_before_frame[0], number, Out[number] is _, type(_) is pd.DataFrame, shown]))
both = pd.concat([_, pickle.loads(pickle.dumps(_))])
both.attrs
""",
    "status": "%loops",
    "runs": "%loops runs",
    "assigned": "df = %loops runs\nrun_id = df.id[0]",
    "run": "%loops run $run_id",
    "help": "%loops runs --help",
    "typo": "%loops rnus",
    "unknown": "%loops run no-such-run",
    "create": "s = %loops create session\nr = %loops create run --session $s -m Qwen/Qwen3-8B",
    "confirm": "%loops deactivate run $r",
    "confirmed": "%loops deactivate run $r -y",
    "login": "%loops login",
    "settings": "%config LoopsMagics.time_zone = 'Asia/Tokyo'\n%config LoopsMagics.poll_interval = 3",
    "training": "%loops watch\nprint('trains')",
    "kept": """
panel = %loops watch p2syas8 --notify
print(type(panel).__name__, len(panel.frame), panel.snapshot_now().notify, panel._poller.interval)
%config LoopsMagics.poll_interval = 4
print(panel._poller.interval)
""".strip(),
    "last": "%loops watch samplers",
    "silent": "%loops watch deployments;",
    "frozen": "panel.freeze()",
    "curves": "p = %loops curves sweep",
    "recorded": """
import loops_nb
with loops_nb.experiment('sweep') as e:
    for i in range(40):
        e.log(step=i, loss=1 / (i + 1))
""",
}


@pytest.fixture(scope="module")
def environment(service: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("kernel")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "LOOPS_BASE_URL": service,
            "LOOPS_NB_HOME": str(folder / "home"),
            "IPYTHONDIR": str(folder / "ipython"),
            "PYTHONPATH": str(ROOT),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "COLUMNS": "100",
        }.items():
            patch.setenv(name, value)
        patch.delenv("BASETEN_API_KEY", raising=False)
        yield folder


@pytest.fixture(scope="module")
def outputs(environment: Path) -> dict[str, list[Any]]:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS.values()])
    resources = {"metadata": {"path": str(environment)}}
    # Unix sockets: two kernels that start at the same time can choose the same TCP port.
    config = Config({"KernelManager": {"transport": "ipc", "ip": str(environment / "kernel")}})
    NotebookClient(book, config=config, timeout=60, allow_errors=True, resources=resources).execute()
    return dict(zip(CELLS, (cell.outputs for cell in book.cells), strict=True))


def test_loading_imports_nothing_heavy(outputs: dict[str, list[Any]]) -> None:
    assert outputs["load"][0].text == "[]\n"


def test_first_listing_is_shown_before_its_frame_is_made(outputs: dict[str, list[Any]]) -> None:
    (first,) = outputs["first"]
    assert first.output_type == "execute_result"
    before_frame, number, is_output, is_frame, shown = json.loads(outputs["first frame"][0].text)
    assert (before_frame, number, is_output, is_frame) == (True, first.execution_count, True, True)
    assert dict(first.data) == shown, "the frame is shown as it was before it was there"
    assert outputs["first frame"][1].data["text/plain"].startswith("{'loops_kind': 'runs'")


def test_listings_are_tables_and_resources_are_cards(outputs: dict[str, list[Any]]) -> None:
    assert "Connected to http://127.0.0.1" in outputs["status"][0].text
    data = outputs["runs"][0].data
    assert '<table class="dataframe">' in data["text/html"]
    assert "deployment_status" in data["text/plain"]
    assert outputs["assigned"] == []
    assert "<caption>Run " in outputs["run"][0].data["text/html"]
    assert "Usage:" in outputs["help"][0].text
    assert not any(VIEW in str(outputs[name]) for name in ("status", "runs", "run", "help"))


def test_errors_are_one_line_and_fail_the_cell(outputs: dict[str, list[Any]]) -> None:
    (typo,) = outputs["typo"]
    assert typo.output_type == "error"
    assert typo.traceback == ["InvalidArgumentError: %loops has no verb 'rnus'. Did you mean runs?"]
    (unknown,) = outputs["unknown"]
    assert unknown.output_type == "error"
    assert unknown.ename == "NotFoundError"


def test_prompts_name_the_alternative_for_scripts(outputs: dict[str, list[Any]]) -> None:
    assert "Add -y to the line if you are sure." in outputs["confirm"][-1].evalue
    assert "Deactivated" in outputs["confirmed"][0].data["text/plain"]
    assert "Set BASETEN_API_KEY" in outputs["login"][-1].evalue


def test_panels_are_shown_once_after_their_reports(outputs: dict[str, list[Any]]) -> None:
    shown = [outputs[name] for name in ("training", "kept", "last", "silent")]
    for report, view, *rest in shown:
        assert report.output_type == view.output_type == "display_data"
        assert "loops-nb-report" in report.data["text/html"]
        assert "UTC+09:00 (Asia/Tokyo)" in report.data["text/html"]
        assert "UTC+09:00 (Asia/Tokyo)" in report.data["text/plain"]
        assert not any(VIEW in output.get("data", {}) for output in rest)
    assert [len(cell) for cell in shown] == [3, 3, 2, 2]
    training, kept, *_ = shown
    assert training[2].text == "trains\n"
    assert re.fullmatch(r"RunPanel \d+ True 3\.0\n4\.0\n", kept[2].text)
    assert VIEW in training[1].data
    assert VIEW not in kept[1].data, "frozen: only the report is left"
    assert "display:none" in training[0].data["text/html"]
    assert "display:none" not in kept[0].data["text/html"]
    assert "Frozen" in kept[0].data["text/plain"]


def test_report_of_curves_includes_later_cells(outputs: dict[str, list[Any]]) -> None:
    report, live = outputs["curves"]
    assert "<svg" in report.data["text/html"]
    assert "0.025 @ 39" in report.data["text/html"]
    assert live.data["text/plain"] == "(live panel: needs a running kernel)"


def test_terminal_prints_a_listing_as_text(environment: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--simple-prompt", "--no-banner", "--colors=nocolor", "--quick"],
        input="%load_ext loops_nb\n%config LoopsMagics.row_limit = 3\n%loops runs\n%loops rnus\n%unload_ext loops_nb\n",
        cwd=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "deployment_status" in done.stdout
    assert "Showing 3 of " in done.stdout
    assert "Columns that did not fit:" in done.stdout
    assert "InvalidArgumentError: %loops has no verb 'rnus'. Did you mean runs?" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 400
