"""The scene of most tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.downloads.scene import Scene, scene

#: A file on each Python; what a server may say does not depend on it.
ON_EACH = {"test_destination.py", "test_local_urls.py", "test_processes.py", "test_checksums.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent and item.path.name not in ON_EACH:
            item.add_marker(pytest.mark.once)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Scene]:
    with scene(tmp_path) as made:
        yield made
