"""A home of its own for every test, so that none sees the experiments of another or of the person who runs them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from loops_nb.tracking import Store, store_path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    monkeypatch.setenv("LOOPS_NB_HOME", str(folder))
    return folder


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    found = Store()
    assert found.path == home / "experiments.sqlite" == store_path()
    yield found
    found.close()
