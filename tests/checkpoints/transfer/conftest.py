"""The download_scenario of most tests here."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.checkpoints.transfer.scenario import DownloadScenario, download_scenario
from tests.checkpoints.transfer.stored_file import SECRET

#: A file on each Python; what a server may say does not depend on it.
ON_EACH = {"test_destination.py", "test_local_urls.py", "test_processes.py", "test_checksums.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent and item.path.name not in ON_EACH:
            item.add_marker(pytest.mark.once)


@pytest.fixture
def scenario(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[DownloadScenario]:
    for name in ("urllib3", "loops_nb"):
        caplog.set_level(logging.DEBUG, name)
    with download_scenario(tmp_path) as made:
        yield made
    assert SECRET not in caplog.text, "a presigned URL is in the log"
