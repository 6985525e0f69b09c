"""What panels are shown over: the real service, with the sample in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.service import AnyService, running_service


@pytest.fixture(scope="module")
def service() -> Iterator[AnyService]:
    """A service in this process."""
    with running_service(sample=True, in_process=True, speed=1.0) as found:
        yield found
