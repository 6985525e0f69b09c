"""Sequences of faults drawn by hypothesis: nothing wrong is ever on disk, and in the end all is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.downloads.replies import Reply
from tests.downloads.scene import OURS, Scene, scene
from tests.downloads.stored import Asked, KiB, Stored, noise, safetensors
from tests.downloads.test_faults import CASES
from tests.frames.documents import ANY_MACHINE

#: Each silence costs its time; the other tests have them.  Where no size is listed, another size is another file, and a whole one.
FAULTS = {name: case.fault for name, case in CASES.items() if "silence" not in name and name != "another size"}
NAMES = ["adapter_model.safetensors", "optimizer/rank_0.bin", "adapter_config.json", "empty.bin"]
SEQUENCES = st.dictionaries(st.sampled_from(NAMES), st.lists(st.sampled_from(sorted(FAULTS)), max_size=8), max_size=len(NAMES))


def files() -> list[Stored]:
    return [
        Stored(NAMES[0], safetensors(KiB)),
        Stored(NAMES[1], noise(40 * KiB, 1)),
        Stored(NAMES[2], b'{"r": 8}' + b" " * 100),
        Stored(NAMES[3], b""),
    ]


def replace_a_file(lab: Scene) -> None:
    old = lab.server.files[1]
    (lab.folder / old.name).unlink(missing_ok=True)
    lab.server.files[1] = Stored(old.name, noise(40 * KiB, lab.server.listings + 10), listed=old.listed)


def spoil_our_files(lab: Scene) -> None:
    for path in sorted(lab.folder.rglob(f"{OURS}*")):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def list_no_sizes(lab: Scene) -> None:
    for stored in lab.server.files:
        stored.listed = {"size_bytes": None}


#: What may happen between two commands.
CHANGES: dict[str, Callable[[Scene], None]] = {
    "nothing": lambda _: None,
    "expire": lambda lab: lab.server.expire(),
    "replace a file": replace_a_file,
    "remove a file here": lambda lab: (lab.folder / NAMES[0]).unlink(missing_ok=True),
    "spoil our files here": spoil_our_files,
    "no sizes": list_no_sizes,
}


@given(rounds=st.lists(st.tuples(SEQUENCES, st.sampled_from(sorted(CHANGES))), min_size=1, max_size=4), connections=st.integers(1, 4))
@settings(ANY_MACHINE, max_examples=60)
def test_any_sequence_of_faults_ends_well(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[tuple[Mapping[str, list[str]], str]], connections: int
) -> None:
    with scene(tmp_path_factory.mktemp("random"), files()) as lab:
        for sequences, between in rounds:
            waiting: dict[str, list[Any]] = {name: [FAULTS[fault] for fault in faults] for name, faults in sequences.items()}

            def fault(asked: Asked, reply: Reply, waiting: dict[str, list[Any]] = waiting) -> Reply:
                queue = waiting.get(asked.file.name)
                return queue.pop(0)(asked, reply) if queue else reply

            lab.server.fault = fault
            if lab.attempt(connections=connections) is None:
                lab.check_whole()
            CHANGES[between](lab)
        lab.then_a_good_server_finishes_it()
