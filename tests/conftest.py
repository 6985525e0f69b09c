"""Options of all tests."""

from __future__ import annotations

import signal

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-fixtures", action="store_true", help="write the files that the page's tests share with these")


def pytest_configure(config: pytest.Config) -> None:
    # Who is started in the background inherits that Ctrl-C is ignored; these tests are about people who press it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
