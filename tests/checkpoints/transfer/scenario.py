"""Download of a checkpoint from a hostile server, and the invariants that hold with every server."""

from __future__ import annotations

import hashlib
import json
import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from loops_nb import Loops, RetryPolicy
from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.http import Storage
from loops_nb.checkpoints.transfer import Download, execute_plan, plan
from loops_nb.errors import LoopsError
from tests.checkpoints.transfer.hostile_server import HostileServer
from tests.checkpoints.transfer.stored_file import SECRET, KiB, Stored, noise, safetensors

E = TypeVar("E", bound=LoopsError)
QUICK = RetryPolicy(attempts=3, total_seconds=30, first_wait_seconds=0.005, longest_wait_seconds=0.01)
REF = CheckpointRef("ckpt1", run_id="k4q95w5", name="step-100", target="trainer", base_model="Qwen/Qwen3-8B")
WEIGHTS = "adapter_model.safetensors"
MANIFEST = ".loops-manifest.json"
#: What stands in front of every name that is ours and no file of the checkpoint.
OURS = ".loops-"


def some_files() -> list[Stored]:
    """Return what a checkpoint has: the weights, small ones, one in a folder, an empty one."""
    return [
        Stored("adapter_config.json", b'{"r": 8, "lora_alpha": 16}'),
        Stored(WEIGHTS, safetensors(3 * KiB)),
        Stored("optimizer/rank_0.bin", noise(64 * KiB, 1)),
        Stored("optimizer/empty.bin", b""),
        Stored("tokenizer/vocabulary.txt", noise(3 * KiB, 2)),
    ]


@dataclass
class DownloadScenario:
    """A server, a destination, and the download commands.

    Parameters
    ----------
    server
        Where the files are.
    root
        A folder of the test's, with things in it that must not be touched; the checkpoints go to a folder in it.
    ref
        The checkpoint.
    """

    server: HostileServer
    root: Path
    ref: CheckpointRef = REF
    before: dict[str, bytes | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.root / "precious").mkdir(parents=True)
        (self.root / "precious" / "thesis.txt").write_text("years of work")
        (self.root / "notes.txt").write_text("more of it")
        self.before = self._outside()

    @property
    def into(self) -> Path:
        """The folder of all checkpoints."""
        return self.root / "checkpoints"

    @property
    def folder(self) -> Path:
        """The folder of this checkpoint."""
        return self.into / self.ref.folder

    @property
    def weights(self) -> Stored:
        """The file that the faults are about."""
        return next(f for f in self.server.files if f.name == WEIGHTS)

    def download(
        self,
        *,
        silence: float = 30.0,
        retry: RetryPolicy = QUICK,
        connections: int = 4,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
    ) -> Download:
        """Do what ``%loops download`` does."""
        with self.storage(silence=silence, retry=retry, connections=connections) as storage:
            return execute_plan(
                storage, plan(storage, [self.ref], self.into, include=include, exclude=exclude), connections=connections
            )

    @contextmanager
    def storage(self, *, silence: float = 30.0, retry: RetryPolicy = QUICK, connections: int = 4) -> Iterator[Storage]:
        """Open the storage as a new process does."""
        with (
            Loops(f"key-{SECRET}", self.server.url, retry=QUICK) as loops,
            Storage(loops.checkpoints, connections=connections, silence=silence, retry=retry) as storage,
        ):
            yield storage

    def attempt(self, **options: Any) -> LoopsError | None:
        """Download, look at everything that must be so however it ends, and return the error if there was one."""
        before = self._manifest()
        told = None
        try:
            self.download(**options)
        except LoopsError as error:
            assert_readable(error)
            told = error
        # What an earlier download wrote down stays until there is something better.
        self.check(manifest=self._manifest() != before)
        return told

    def fails(self, kind: type[E], **options: Any) -> E:
        """Download and expect an error of this kind."""
        told = self.attempt(**options)
        assert told is not None, "it went through"
        assert isinstance(told, kind), f"{type(told).__name__}: {told}"
        return told

    def completes(self, **options: Any) -> Download:
        """Download to the end and look at everything."""
        done = self.download(**options)
        self.check_whole()
        return done

    def completes_with_a_good_server(self) -> Download:
        """Give the same command again, to a server that behaves."""
        self.server.behave()
        return self.completes()

    # What must be so.

    def there(self) -> dict[str, bytes]:
        """Return what the folder holds that is not ours."""
        return {name: data for name, data in self._inside().items() if not name.rpartition("/")[2].startswith(OURS)}

    def check(self, *, manifest: bool = True) -> None:
        """Look at the disk and at the requests: true after every attempt, however it ended."""
        truth = {f.name: f.body for f in self.server.files}
        self.check_outside()
        for name, data in self._inside().items():
            if not name.rpartition("/")[2].startswith(OURS):
                assert name in truth, f"{name} is no file of the checkpoint"
                assert data == truth[name], f"{name} looks complete and is not"
            else:
                assert SECRET.encode() not in data, f"a secret is in {name}"
        for asked in self.server.asked:
            assert not {"authorization", "cookie", "referer"} & asked.headers.keys()
            assert asked.headers["accept-encoding"] == "identity"
            assert SECRET not in "".join(asked.headers.values())
        if manifest and self._manifest() is not None:
            self._check_manifest(truth)

    def check_outside(self) -> None:
        """Look at what is none of our business."""
        assert self._outside() == self.before, "something outside the folder was touched"

    def check_whole(self) -> None:
        """Look at a folder that is complete: every file, the manifest, and nothing else."""
        self.check()
        assert self.there() == {f.name: f.body for f in self.server.files}
        assert (self.folder / MANIFEST).is_file()

    def _manifest(self) -> bytes | None:
        place = self.folder / MANIFEST
        return place.read_bytes() if place.is_file() else None

    def _check_manifest(self, truth: dict[str, bytes]) -> None:
        manifest = json.loads((self.folder / MANIFEST).read_text("utf-8"))
        for row in manifest["files"]:
            body = truth[row["name"]]
            assert (row["size_bytes"], row["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())
            assert (self.folder / row["name"]).read_bytes() == body

    def _inside(self) -> dict[str, bytes]:
        found = _everything(self.folder) if self.folder.is_dir() else {}
        return {name: data for name, data in found.items() if data is not None}

    def _outside(self) -> dict[str, bytes | None]:
        return {name: data for name, data in _everything(self.root).items() if name.split("/")[0] != self.into.name}


def assert_readable(error: BaseException) -> None:
    """Check the texts of an error for secrets and form."""
    texts = [str(error), repr(error), *traceback.format_exception(error), json.dumps(error.__dict__, default=repr)]
    while_looking: list[BaseException] = [error]
    seen: set[int] = set()
    while while_looking:
        one = while_looking.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        texts += [str(one), repr(one), repr(one.args), *getattr(one, "__notes__", [])]
        while_looking += [other for other in (one.__cause__, one.__context__) if other is not None]
    for text in texts:
        assert SECRET not in text, "a secret is in the error"
        assert "X-Amz" not in text, "a URL is in the error"
    sentence = str(error)
    assert sentence.isprintable()
    assert "  " not in sentence
    assert len(sentence) < 1500


def _everything(folder: Path) -> dict[str, bytes | None]:
    """Return all below a folder, links as where they point to; folders have no bytes."""
    found: dict[str, bytes | None] = {}
    for at, folders, names in os.walk(folder):
        for name in folders:
            path = Path(at, name)
            found[path.relative_to(folder).as_posix()] = str(path.readlink()).encode() if path.is_symlink() else None
        for name in names:
            path = Path(at, name)
            inside = path.relative_to(folder).as_posix()
            if path.is_symlink():
                found[inside] = str(path.readlink()).encode()
            else:
                found[inside] = path.read_bytes() if path.is_file() else b"<special>"
    return found


@contextmanager
def download_scenario(
    root: Path, files: Sequence[Stored] | None = None, *, ref: CheckpointRef = REF
) -> Iterator[DownloadScenario]:
    """Set the download_scenario in an empty folder of the test's."""
    with HostileServer(some_files() if files is None else files) as server:
        yield DownloadScenario(server, root / "home", ref)
