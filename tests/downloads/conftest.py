"""The scene of most tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.downloads.scene import Scene, scene


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made
