"""Output on consoles that cannot encode every character."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from loops_nb import console
from loops_nb.checkpoints.transfer import DownloadProgress
from loops_nb.errors import LoopsError
from loops_nb.render.status import TerminalProgress

LINES = """
from IPython.core.interactiveshell import InteractiveShell
ip = InteractiveShell.instance()
ip.run_line_magic("colors", "nocolor")
for line in (
    "%load_ext loops_nb",
    "%loops connect URL",
    "%loops watch",
    "s = %loops create session",
    "run = %loops create run --session {s.id} -m Qwen/Qwen3-8B --name 'Größe 训练 …'",
    "%loops runs",
    "%loops find --name Größe",
    "%loops run {run.id}",
    "%loops watch {run.id}",
    "from IPython.display import display",
    "display(run)",
    "run.name",
    "%loops run 训练",
    "%loops tag {run.id} ✓",
    "%loops curves",
    "%loops --help",
    "%loops doctor",
    "%loops deactivate run {run.id} -y",
    "%unload_ext loops_nb",
):
    print(">>>", ascii(line))
    ip.run_cell(line)
"""


@pytest.mark.parametrize(
    ("encoding", "extra"),
    [
        ("cp1252", {}),
        ("ascii", {"PYTHONIOENCODING": "", "LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}),
    ],
)
def test_all_output_is_encodable_on_limited_consoles(
    service: str, home: Path, encoding: str, extra: dict[str, str]
) -> None:
    program = home.parent / "lines.py"
    program.write_text(LINES.replace("URL", service), "utf-8")
    environment = os.environ | {"PYTHONIOENCODING": encoding, "NO_COLOR": "1", "COLUMNS": "200"} | extra
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program)], env=environment, capture_output=True, timeout=120, check=False
    )
    said = (done.stdout + done.stderr).decode(encoding, "replace")
    assert done.returncode == 0, said
    assert "UnicodeEncodeError" not in said
    assert "Warning:" not in said, "a warning of ours, which -W error makes an error"
    assert "Traceback" not in said
    assert "p2syas8" in said
    name = "Größe" if encoding != "ascii" else "Gr??e"
    assert said.count(name) >= 5
    assert "NotFoundError" in said
    assert "Usage:" in said


class Nameless(io.TextIOBase):
    """A stream that tells no encoding and takes ASCII only."""

    encoding = None  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.written = ""

    def write(self, text: str) -> int:
        text.encode("ascii")
        self.written += text
        return len(text)


def test_stream_without_encoding_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = io.StringIO()
    nameless: Any = Nameless()
    console.say("Größe …", out=memory)
    assert memory.getvalue() == "Größe …\n"
    console.say("Größe …", out=nameless)
    assert nameless.written == "Gr??e ...\n"
    monkeypatch.setattr(sys, "stdout", None)
    console.say("to no console")


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", "na?ve ... ???? x"),
        ("cp1252", "naïve … ???? x"),
        ("utf-8", "naïve … 训练 x"),
        ("odd", "na?ve ... ???? x"),
    ],
)
def test_replaced_characters_keep_their_width(encoding: str, shown: str) -> None:
    out: Any = type("Out", (), {"encoding": encoding})()
    assert console.encodable("naïve … 训练 x", out) == shown


def test_status_lines_and_errors_are_encodable(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    TerminalProgress(out).finish("训练 …", DownloadProgress(1, 1, 1, 1, 0, 1))
    assert raw.getvalue() == b"\r???? ...\n"
    monkeypatch.setattr(sys, "stdout", out)
    assert LoopsError("No run Größe.")._render_traceback_() == ["LoopsError: No run Gr??e."]
