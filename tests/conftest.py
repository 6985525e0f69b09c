"""Options of all tests."""

from __future__ import annotations

import gc
import importlib.util
import os
import signal
import ssl
from collections.abc import Iterator
from typing import Any

import certifi
import pytest

# The environment of the official SDK has no hypothesis.
if importlib.util.find_spec("hypothesis"):
    from hypothesis import settings

    # Thirty examples find what a change broke; ``HYPOTHESIS_PROFILE=thorough`` looks for what never worked, and
    # ``repeatable`` draws the same examples each time, so that a submission fails for what is in it.
    settings.register_profile("quick", max_examples=30)
    settings.register_profile("repeatable", max_examples=30, derandomize=True)
    settings.register_profile("thorough", max_examples=1000)
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-fixtures", action="store_true", help="write the files that the page's tests share with these"
    )


def pytest_configure(config: pytest.Config) -> None:
    # Who is started in the background inherits that Ctrl-C is ignored; these tests are about people who press it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _certificates_read_once() -> Iterator[None]:
    """Give all ``httpx.Client()`` one TLS context: each reads all certificates, for services that speak plain HTTP.

    Clients of ``loops_nb`` make theirs with other arguments, so nothing changes for them.
    """
    original, shared = ssl.create_default_context, ssl.create_default_context(cafile=certifi.where())

    def create(*words: Any, **named: Any) -> ssl.SSLContext:
        return shared if not words and named == {"cafile": certifi.where()} else original(*words, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", create)
        yield


def pytest_collection_finish() -> None:
    """Take what was imported and collected out of the garbage collector: it stays until the end.

    A full collection, which IPython makes for each reset of a shell, would look at these millions of objects again.
    """
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with whole notebooks: the others fill the time of the other workers until these have ended."""
    items.sort(key=lambda item: item.path.name != "test_notebooks.py")
