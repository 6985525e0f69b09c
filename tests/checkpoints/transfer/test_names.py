"""Names that leave the folder, that cannot be files everywhere, or that collide: refused before the first byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.api.references import CheckpointRef
from loops_nb.errors import DownloadIncompleteError, InvalidArgumentError, LoopsError, UnsafeNameError
from tests.checkpoints.transfer import responses
from tests.checkpoints.transfer.responses import only
from tests.checkpoints.transfer.scenario import MANIFEST, OURS, WEIGHTS, DownloadScenario, download_scenario
from tests.checkpoints.transfer.stored_file import Stored
from tests.frames.strategies import ANY_MACHINE

UNSAFE = {
    "absolute": "/etc/cron.d/evil",
    "absolute, twice": "//etc/evil",
    "up": "../evil",
    "up, later": "optimizer/../../evil",
    "up, and back down": "optimizer/../adapter_model.safetensors",
    "up and nothing else": "..",
    "here": "./adapter_config.json",
    "here, in the middle": "optimizer/./x",
    "here and nothing else": ".",
    "nothing": "",
    "only a slash": "/",
    "a slash at the end": "optimizer/",
    "an empty part": "optimizer//x",
    "a drive": "C:/evil",
    "a drive and a name": "C:evil",
    "a drive later": "optimizer/C:/evil",
    "another stream of a file": "adapter_config.json:hidden",
    "a share": "//server/share/evil",
    "a share of Windows": "\\\\server\\share\\evil",
    "a device of Windows": "\\\\.\\PhysicalDrive0",
    "a long path of Windows": "\\\\?\\C:\\evil",
    "backslashes": "..\\..\\evil",
    "a backslash": "optimizer\\x",
    "NUL": "adapter\x00.json",
    "a line end": "adapter\n.json",
    "an escape": "adapter\x1b[2J.json",
    "delete": "adapter\x7f.json",
    "a C1 control": "adapter\x9b2J.json",
    "a reserved name": "NUL",
    "a reserved name with an end": "con.txt",
    "a reserved name in a folder": "aux/x.json",
    "a reserved port": "COM1.safetensors",
    "a reserved port of another number": "LPT\u00b9",
    "a line separator": "adapter\u2028.json",
    "text turned round": "adapter\u202ejson.exe",
    "a dot at the end": "adapter.",
    "a space at the end": "adapter ",
    "a dot at the end of a folder": "optimizer./x",
    "too long": "x" * 256,
    "too long in bytes": "ä" * 128,
    "our manifest": MANIFEST,
    "our manifest, shouted": MANIFEST.upper(),
    "our manifest in a folder": f"optimizer/{MANIFEST}",
}


def listing_as(*names: str) -> list[Stored]:
    return [Stored("fine.json", b"{}"), *(Stored(name, b"evil" * 10, rank=i) for i, name in enumerate(names))]


@pytest.mark.parametrize("name", UNSAFE.values(), ids=UNSAFE.keys())
def test_unsafe_name_is_refused_before_the_first_byte(tmp_path: Path, name: str) -> None:
    with download_scenario(tmp_path, listing_as(name)) as scenario:
        error = scenario.fails(UnsafeNameError)
        assert list(error.refused) == [name]
        assert "--exclude" in error.hint
        assert scenario.server.asked == []
        assert not scenario.into.exists()
        # Who wants the rest gets the rest.
        scenario.download(include=["fine.json"])
        assert scenario.there() == {"fine.json": b"{}"}


def test_name_with_a_lone_surrogate_is_refused(tmp_path: Path) -> None:
    with download_scenario(tmp_path, listing_as("adapter\ud800.json")) as scenario:
        scenario.fails(LoopsError)
        assert not scenario.into.exists()


def test_error_lists_all_unsafe_names(tmp_path: Path) -> None:
    with download_scenario(tmp_path, listing_as(*UNSAFE.values())) as scenario:
        error = scenario.fails(UnsafeNameError)
        assert set(error.refused) == set(UNSAFE.values())


COLLISIONS = {
    "the same from two nodes": ("rank.bin", "rank.bin"),
    "case": ("Weights.bin", "weights.bin"),
    "one letter in two ways": ("caf\u00e9.bin", "cafe\u0301.bin"),
    "sharp s": ("stra\u00dfe.bin", "STRASSE.bin"),
    "a Kelvin sign": ("k.bin", "\u212a.bin"),
    "a folder where a file is": ("state", "state/0.bin"),
    "a file where a folder is": ("state/0.bin", "state"),
    "a folder where a file is, in another case": ("State", "state/0.bin"),
    "a folder deep below a file": ("a/b", "a/b/c/d.bin"),
}


@pytest.mark.parametrize("names", COLLISIONS.values(), ids=COLLISIONS.keys())
def test_colliding_names_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    with download_scenario(tmp_path, listing_as(*names)) as scenario:
        error = scenario.fails(UnsafeNameError)
        assert error.refused
        assert set(error.refused) <= set(names)
        assert scenario.server.asked == []
        assert not scenario.into.exists()


FINE = [
    "adapter_config.json",
    ".gitattributes",
    "a b.txt",
    "...bin",
    "model-00001-of-00002.bin",
    "optimizer/deep/er/still/x.bin",
    "\u00fcmlaut/\u6a21\u578b.bin",
    "100%.txt",
    "#1.txt",
    "a&b=c;d.txt",
    "$HOME",
    "~/x",
    "-rf",
    "'quoted'",
    "x" * 200,
    "console.txt",
    "com10",
    "state/0.bin",
    "state.d",
    "State/1.bin",
]


def test_unusual_safe_names_are_downloaded(tmp_path: Path) -> None:
    with download_scenario(tmp_path, [Stored(name, name.encode() * 100) for name in FINE]) as scenario:
        scenario.completes()
        assert sorted(scenario.there()) == sorted(FINE)


def test_too_long_path_is_reported(tmp_path: Path) -> None:
    """Every part is short enough; the system has a limit for the whole."""
    name = "/".join(["d" * 200] * 30) + "/x.bin"
    with download_scenario(tmp_path, [Stored("adapter_config.json", b"{}"), Stored(name, b"deep")]) as scenario:
        scenario.attempt()


REFS = [
    CheckpointRef("ckpt1", run_id="..", name="step-100", target="trainer"),
    CheckpointRef("ckpt1", run_id="/etc", name="step-100", target="trainer"),
    CheckpointRef("ckpt1", run_id="k4q95w5", name="..", target="trainer"),
    CheckpointRef("ckpt1", run_id="k4q95w5", name="../../../evil", target="trainer"),
    CheckpointRef("ckpt1", run_id="k4q95w5", name="/evil", target="trainer"),
    CheckpointRef("ckpt1", run_id="k4q95w5", name="a\\b", target="trainer"),
    CheckpointRef("ckpt1", run_id="k4q95w5", name="C:evil", target="trainer"),
    CheckpointRef("ckpt1", run_id="k4q95w5", name="", target="trainer"),
    CheckpointRef("ckpt1", run_id="", name="step-100", target="trainer"),
    CheckpointRef("ckpt1", run_id="k4q95w5", name="a\x00b", target="trainer"),
    CheckpointRef("ckpt1", run_id="k4q95w5", name="a\nb", target="trainer"),
    CheckpointRef("ckpt1", run_id="NUL", name="step-100", target="trainer"),
    CheckpointRef("ckpt1", run_id="k4q95w5", name=MANIFEST, target="trainer"),
    CheckpointRef("../evil"),
    CheckpointRef(".."),
    CheckpointRef("/evil"),
]


@pytest.mark.parametrize(
    "ref", REFS, ids=[f"{ref.run_id}-{ref.name}-{ref.id}".replace("/", "|").replace("\x00", "0") for ref in REFS]
)
def test_checkpoint_with_an_unsafe_folder_name_is_refused(tmp_path: Path, ref: CheckpointRef) -> None:
    with download_scenario(tmp_path, ref=ref) as scenario:
        assert isinstance(scenario.attempt(), UnsafeNameError | InvalidArgumentError)
        assert not scenario.into.exists()
        assert scenario.server.asked == []


BAD_PARTS = ["..", ".", "", "NUL", "x.", "C:", "\\", "a\\b", MANIFEST, f"{OURS}x.part", "con.json"]
PARTS = st.one_of(st.sampled_from([*BAD_PARTS, "a", "A", "b", "e\u0301", "\u00e9", "~"]), st.text(max_size=8))
NAMES = st.lists(st.lists(PARTS, min_size=1, max_size=4).map("/".join), min_size=1, max_size=5)


@given(names=NAMES)
@ANY_MACHINE
def test_arbitrary_names_write_nothing_outside_the_folder(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    with download_scenario(tmp_path_factory.mktemp("names"), listing_as(*names)) as scenario:
        if scenario.attempt() is None:
            assert len(set(names)) == len(names)
            assert set(scenario.there()) == {"fine.json", *names}


def tree(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def test_names_of_internal_files_are_refused(scenario: DownloadScenario, tmp_path: Path) -> None:
    """Take the names that an interrupted download leaves, and offer them as files of a checkpoint."""
    scenario.server.fault = only(WEIGHTS, responses.cut_in_the_body)
    scenario.fails(DownloadIncompleteError)
    ours = {name for name in tree(scenario.folder) if name.rpartition("/")[2].startswith(OURS)}
    for number, name in enumerate(sorted(ours)):
        with download_scenario(tmp_path / str(number), listing_as(name)) as other:
            error = other.fails(UnsafeNameError)
            assert list(error.refused) == [name]
