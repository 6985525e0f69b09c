"""Fixtures of the recipes' tests: a loopback guard; outside of their environment nothing is collected."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

from tests.sdk import loopback_guard

#: ``python -m tests.recipes`` makes the environment that has them.
collect_ignore_glob = [] if importlib.util.find_spec("tinker_cookbook") else ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def _this_machine_only() -> Iterator[None]:
    loopback_guard.guard()
    yield
    assert loopback_guard.refused == []
