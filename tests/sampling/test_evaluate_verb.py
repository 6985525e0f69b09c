"""``%loops evaluate`` and ``%%loops sample --record`` in a real kernel, on the local sampler."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.sampling.conftest import NAME, Trained

ROOT = Path(__file__).parents[2]
CELLS = [
    "%load_ext loops_nb",
    """
def letters(completion, answer):
    return sum(letter in answer for letter in completion)
""",
    f"df = %loops evaluate words.jsonl '{NAME}' --score letters --max-tokens 4\nprint(df.step.tolist())",
    f"again = %loops evaluate words.jsonl '{NAME}' --score letters --max-tokens 4\nprint(again.equals(df))",
    f"%loops evaluate words.jsonl '{NAME}' --score leters",
    f"%loops evaluate words.jsonl '{NAME}' --score math:no_such",
    "%loops samples 'eval-*' --step 40",
    "%loops experiments 'eval-*'",
    f"%%loops sample '{NAME}' --compare step-10 --temperature 0 --max-tokens 5 --record probes\nthe quick ",
    f"%%loops sample '{NAME}' --max-tokens 5 --record probes --step 77\nthe quick ",
    f"%%loops sample '{NAME}' --step 77\nthe quick ",
    "s = %loops samples probes\nprint(s.step.tolist(), s.prompt.unique().tolist(), len(s.completion[0]))",
    "from concurrent.futures import ProcessPoolExecutor\npool = ProcessPoolExecutor(1)",
    f"d = %loops evaluate words.jsonl '{NAME}' --score letters --max-tokens 3 --executor pool",
    "pool.shutdown()\nprint(d.scored.sum(), 'were scored')",
]


def test_evaluate_in_a_notebook(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "LOOPS_BASE_URL": trained.url,
        "BASETEN_API_KEY": trained.service.key,
        "LOOPS_NB_HOME": str(tmp_path / "home"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "140",
    }.items():
        monkeypatch.setenv(name, value)
    lines = [{"prompt": "the quick ", "answer": "brown"}, {"prompt": "over the ", "answer": "lazy"}]
    tmp_path.joinpath("words.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    NotebookClient(notebook, timeout=120, allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}).execute()
    printed = [json.dumps(cell.outputs) for cell in notebook.cells]
    assert "step-10 (1 of 2): mean score" in printed[2]
    assert "[10, 40]" in printed[2]
    assert "scored before" in printed[3]
    assert "True" in printed[3]
    assert "Did you mean letters?" in printed[4]
    assert "cannot be imported" in printed[5]
    assert "over the" in printed[6]
    assert f"eval-words-{NAME}" in printed[7]
    assert "2 samples are recorded in probes at step 40, 10: %loops watch samples probes" in printed[8]
    assert "1 sample is recorded in probes at step 77" in printed[9]
    assert "Add --record NAME" in printed[10]
    assert "[10, 40, 77] ['the quick '] 5" in printed[11]
    # A function of the notebook, in another process.
    assert "4 were scored" in printed[14]
    assert trained.service.key not in nbformat.writes(notebook)
