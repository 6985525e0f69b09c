"""No fault of the package's own code vanishes: what is caught broadly is logged, raised again, or handed on."""

from __future__ import annotations

import ast
import logging
from pathlib import Path

import pytest

import loops_nb
from loops_nb import faults

PACKAGE = Path(loops_nb.__file__).parent
_BROAD = {"Exception", "BaseException"}
_LOGS = {"debug", "info", "warning", "error", "exception", "critical", "record"}
#: Handlers that hand the error on to another place, which raises or shows it, by file and the call that does it.
_HANDED_ON = {
    ("sampling/executor.py", "throw"): "the sampling protocol gets it raised",
    ("sampling/_async/executor.py", "throw"): "the sampling protocol gets it raised",
    ("magics/cell_text.py", "type"): "the cell says what the user's own object raised",
    ("panels/panel.py", "report_fault"): "the panel records and shows it",
    ("checkpoints/executors.py", "Outcome"): "the outcome of a task raises it where its result is taken",
    ("checkpoints/executors.py", "_give_up"): "raises it as an error of the executor",
    ("tracking/postgres/sender.py", "_set_trouble"): "`log` warns of it",
    ("live/threads.py", "set_exception"): "the future raises it to its caller",
}
#: Code whose handlers are held by tests of their own.
_ELSEWHERE = ("local/", "tracking/writer.py", "client/")


def _names(node: ast.expr | None) -> set[str]:
    if node is None:
        return {"BaseException"}
    nodes = node.elts if isinstance(node, ast.Tuple) else [node]
    return {found.id for found in nodes if isinstance(found, ast.Name)}


def _calls(nodes: list[ast.stmt]) -> set[str]:
    found = set()
    for node in (inner for statement in nodes for inner in ast.walk(statement)):
        if isinstance(node, ast.Call):
            found.add(node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", ""))
    return found


def _silent(path: Path) -> list[str]:
    name = path.relative_to(PACKAGE).as_posix()
    found: list[str] = []
    text = path.read_text("utf-8")
    if "except" not in text and "suppress" not in text:
        return found
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler) and _names(node.type) & _BROAD:
            calls = _calls(node.body)
            raises = any(isinstance(inner, ast.Raise) for statement in node.body for inner in ast.walk(statement))
            if not raises and not calls & _LOGS and not any((name, call) in _HANDED_ON for call in calls):
                found.append(f"{name}:{node.lineno}")
        suppresses = isinstance(node, ast.Call) and "suppress" in {
            getattr(node.func, "attr", ""),
            getattr(node.func, "id", ""),
        }
        if suppresses and isinstance(node, ast.Call) and any(_names(argument) & _BROAD for argument in node.args):
            found.append(f"{name}:{node.lineno}")
    return found


def test_every_broad_except_logs_raises_or_hands_on() -> None:
    files = [path for path in PACKAGE.rglob("*.py") if not path.relative_to(PACKAGE).as_posix().startswith(_ELSEWHERE)]
    assert len(files) > 100
    assert [place for path in files for place in _silent(path)] == []


def test_recorded_fault_has_its_traceback_in_the_log_and_its_place_in_words(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("loops_nb.tests")
    with caplog.at_level(logging.ERROR, "loops_nb"):
        try:
            raise KeyError("sentinel")  # noqa: TRY301 - what is caught needs a traceback
        except KeyError as error:
            fault = faults.record(logger, "testing", error)
    assert "KeyError: 'sentinel'" in caplog.text
    assert "Traceback" in caplog.text
    assert faults.recorded()[-1] is fault
    assert fault.reason.startswith("loops_nb itself failed while testing (KeyError, test_faults.py:")
    assert "sentinel" in fault.traceback


def test_package_logger_prints_nothing_by_itself(capfd: pytest.CaptureFixture[str]) -> None:
    assert any(isinstance(handler, logging.NullHandler) for handler in logging.getLogger("loops_nb").handlers)
    logging.getLogger("loops_nb.live").error("sentinel")
    assert "sentinel" not in "".join(capfd.readouterr())
