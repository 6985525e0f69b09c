"""Sequences of faults drawn by hypothesis: nothing wrong is ever on disk, and in the end all is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checkpoints.transfer.responses import Reply
from tests.checkpoints.transfer.scenario import OURS, DownloadScenario, download_scenario
from tests.checkpoints.transfer.stored_file import Asked, KiB, Stored, noise, safetensors
from tests.checkpoints.transfer.test_faults import CASES
from tests.frames.strategies import ANY_MACHINE

#: Each silence costs its time; the other tests have them.  Where no size is listed, another size is another file, and a
#: whole one.
FAULTS = {name: case.fault for name, case in CASES.items() if "silence" not in name and name != "another size"}
NAMES = ["adapter_model.safetensors", "optimizer/rank_0.bin", "adapter_config.json", "empty.bin"]
SEQUENCES = st.dictionaries(
    st.sampled_from(NAMES), st.lists(st.sampled_from(sorted(FAULTS)), max_size=8), max_size=len(NAMES)
)


def files() -> list[Stored]:
    return [
        Stored(NAMES[0], safetensors(KiB)),
        Stored(NAMES[1], noise(40 * KiB, 1)),
        Stored(NAMES[2], b'{"r": 8}' + b" " * 100),
        Stored(NAMES[3], b""),
    ]


def replace_a_file(scenario: DownloadScenario) -> None:
    old = scenario.server.files[1]
    (scenario.folder / old.name).unlink(missing_ok=True)
    scenario.server.files[1] = Stored(old.name, noise(40 * KiB, scenario.server.listings + 10), listed=old.listed)


def spoil_our_files(scenario: DownloadScenario) -> None:
    for path in sorted(scenario.folder.rglob(f"{OURS}*")):
        if path.is_file():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def list_no_sizes(scenario: DownloadScenario) -> None:
    for stored in scenario.server.files:
        stored.listed = {"size_bytes": None}


#: What may happen between two commands.
CHANGES: dict[str, Callable[[DownloadScenario], None]] = {
    "nothing": lambda _: None,
    "expire": lambda scenario: scenario.server.expire(),
    "replace a file": replace_a_file,
    "remove a file here": lambda scenario: (scenario.folder / NAMES[0]).unlink(missing_ok=True),
    "spoil our files here": spoil_our_files,
    "no sizes": list_no_sizes,
}


@given(
    rounds=st.lists(st.tuples(SEQUENCES, st.sampled_from(sorted(CHANGES))), min_size=1, max_size=4),
    connections=st.integers(1, 4),
)
@settings(ANY_MACHINE)
def test_random_faults_leave_no_wrong_bytes_and_download_resumes(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[tuple[Mapping[str, list[str]], str]], connections: int
) -> None:
    with download_scenario(tmp_path_factory.mktemp("random"), files()) as scenario:
        for sequences, between in rounds:
            waiting: dict[str, list[Any]] = {
                name: [FAULTS[fault] for fault in faults] for name, faults in sequences.items()
            }

            def fault(asked: Asked, reply: Reply, waiting: dict[str, list[Any]] = waiting) -> Reply:
                queue = waiting.get(asked.file.name)
                return queue.pop(0)(asked, reply) if queue else reply

            scenario.server.fault = fault
            if scenario.attempt(connections=connections) is None:
                scenario.check_whole()
            CHANGES[between](scenario)
        scenario.completes_with_a_good_server()
