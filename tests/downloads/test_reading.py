"""Single parts of files, as the readers of tensors ask for them: the right bytes or an error, never other bytes."""

from __future__ import annotations

import pytest

from loops_nb.errors import StorageError
from loops_nb.storage import StoredFile
from tests.downloads import replies
from tests.downloads.replies import only
from tests.downloads.scene import WEIGHTS, Scene, assert_fit_to_read
from tests.downloads.stored import KiB
from tests.downloads.test_faults import CASES, Case

FIRST, COUNT = 10 * KiB, 20 * KiB


def the_weights(files: list[StoredFile]) -> StoredFile:
    return next(file for file in files if file.name == WEIGHTS)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_part_is_right_or_an_error(lab: Scene, case: Case) -> None:
    lab.server.fault = only(WEIGHTS, case.fault)
    with lab.storage(silence=case.silence) as storage:
        file = the_weights(storage.listing(lab.ref.id))
        try:
            part = storage.read(file, FIRST, COUNT)
        except StorageError as error:
            assert_fit_to_read(error)
            assert WEIGHTS in str(error)  # noqa: PT017 - both ends are right
            assert case.kind != "harmless", "nothing was wrong with it"
        else:
            # One changed byte of a part is what no checksum of the whole can show.
            assert case.fault is replies.corrupt or part == lab.weights.body[FIRST : FIRST + COUNT]
        lab.server.behave()
        assert storage.read(file, FIRST, COUNT) == lab.weights.body[FIRST : FIRST + COUNT]


def test_a_part_beyond_the_end_is_an_error(lab: Scene) -> None:
    size = len(lab.weights.body)
    with lab.storage() as storage:
        file = the_weights(storage.listing(lab.ref.id))
        assert storage.read(file, size - 5, 5) == lab.weights.body[-5:]
        assert storage.read(file, 5, 0) == b""
        for first, count in ((size - 5, 6), (size, 1), (size + 100, 1)):
            with pytest.raises(StorageError) as caught:
                storage.read(file, first, count)
            assert_fit_to_read(caught.value)


def test_nothing_shows_a_url(lab: Scene) -> None:
    with lab.storage() as storage:
        file = the_weights(storage.listing(lab.ref.id))
        with storage.open(file) as body:
            texts = [repr(storage), repr(file), repr(body), str(vars(file)) if hasattr(file, "__dict__") else ""]
        assert all("http" not in text for text in texts)


def test_after_closing_nothing_is_read(lab: Scene) -> None:
    with lab.storage() as storage:
        file = the_weights(storage.listing(lab.ref.id))
    with pytest.raises(StorageError):
        storage.read(file, 0, 1)
    assert lab.server.asked == []
