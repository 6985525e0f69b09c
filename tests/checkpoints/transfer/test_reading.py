"""Single parts of files, as the readers of tensors ask for them: the right bytes or an error, never other bytes."""

from __future__ import annotations

import http.client

import pytest

from loops_nb.checkpoints.http import StoredFile
from loops_nb.errors import StorageError
from tests.checkpoints.transfer import responses
from tests.checkpoints.transfer.responses import once, only
from tests.checkpoints.transfer.scenario import WEIGHTS, DownloadScenario, assert_readable
from tests.checkpoints.transfer.stored_file import SECRET, KiB
from tests.checkpoints.transfer.test_faults import CASES, Case

FIRST, COUNT = 10 * KiB, 20 * KiB


def weights_of(files: list[StoredFile]) -> StoredFile:
    return next(file for file in files if file.name == WEIGHTS)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_read_returns_the_right_bytes_or_raises(scenario: DownloadScenario, case: Case) -> None:
    scenario.server.fault = only(WEIGHTS, case.fault)
    with scenario.storage(silence=case.silence) as storage:
        file = weights_of(storage.listing(scenario.ref.id))
        try:
            part = storage.read(file, FIRST, COUNT)
        except StorageError as error:
            assert_readable(error)
            assert WEIGHTS in str(error)  # noqa: PT017 - both ends are right
            assert case.kind != "harmless", "nothing was wrong with it"
        else:
            # One changed byte of a part is what no checksum of the whole can show.
            assert case.fault is responses.corrupt or part == scenario.weights.body[FIRST : FIRST + COUNT]
        scenario.server.behave()
        assert storage.read(file, FIRST, COUNT) == scenario.weights.body[FIRST : FIRST + COUNT]


def test_read_beyond_the_end_raises(scenario: DownloadScenario) -> None:
    size = len(scenario.weights.body)
    with scenario.storage() as storage:
        file = weights_of(storage.listing(scenario.ref.id))
        assert storage.read(file, size - 5, 5) == scenario.weights.body[-5:]
        assert storage.read(file, 5, 0) == b""
        for first, count in ((size - 5, 6), (size, 1), (size + 100, 1)):
            with pytest.raises(StorageError) as caught:
                storage.read(file, first, count)
            assert_readable(caught.value)


def test_reprs_contain_no_url(scenario: DownloadScenario) -> None:
    with scenario.storage() as storage:
        file = weights_of(storage.listing(scenario.ref.id))
        with storage.open(file) as body:
            texts = [repr(storage), repr(file), repr(body), str(vars(file)) if hasattr(file, "__dict__") else ""]
        assert all("://" not in text for text in texts)


def test_debug_log_of_http_libraries_contains_no_url(
    scenario: DownloadScenario,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The fixture looks for the secret in the log after each test; here it is known that there is a log."""
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    scenario.server.fault = once(responses.redirect(lambda asked: f"{asked.target}&again"))
    with scenario.storage() as storage:
        storage.read(weights_of(storage.listing(scenario.ref.id)), 0, 10)
    assert '"GET / HTTP/1.1" 307' in caplog.text
    assert SECRET not in "".join(capsys.readouterr())


def test_read_after_close_raises(scenario: DownloadScenario) -> None:
    with scenario.storage() as storage:
        file = weights_of(storage.listing(scenario.ref.id))
    with pytest.raises(StorageError):
        storage.read(file, 0, 1)
    assert scenario.server.asked == []
