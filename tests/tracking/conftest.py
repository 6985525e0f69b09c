"""A separate data folder for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from loops_nb.tracking import ExperimentStore, store_path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("LOOPS_NB_HOME", str(folder))
    return folder


@pytest.fixture
def store(home: Path) -> Iterator[ExperimentStore]:
    found = ExperimentStore()
    assert found.path == home / "experiments.sqlite" == store_path()
    yield found
    found.close()
