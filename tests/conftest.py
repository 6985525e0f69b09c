"""Options of all tests."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-fixtures", action="store_true", help="write the files that the page's tests share with these")
