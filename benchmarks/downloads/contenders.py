"""Programs that download the same files, each in a process of its own, and each checked afterwards."""

from __future__ import annotations

import filecmp
import shutil
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.downloads import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.downloads.measure import Figures
    from benchmarks.downloads.nginx_server import OriginServer, Source
    from benchmarks.downloads.programs import Tools

#: aria2c as fast as it goes: nothing allocated beforehand, nothing read from the person's own configuration.
_ARIA2C = ("--no-conf", "--quiet", "--file-allocation=none", "--allow-overwrite=true", "--auto-file-renaming=false")
_CURL = ("--disable", "--fail", "--no-progress-meter", "--parallel", "--parallel-immediate")


class Contender(NamedTuple):
    """A program with its settings.

    Parameters
    ----------
    label
        How the tables call it.  Of contenders with the same label the fastest counts.
    kind
        ``ours``, ``sdk``, ``aria2c``, ``curl`` or ``cp``.
    settings
        Ours: how many connections.  A program: its options.
    speed
        Where the files come from, if not from where the case says.
    """

    label: str
    kind: str
    settings: tuple[str, ...] = ()
    speed: str = ""


class ContenderRunner:
    """Runs contenders.

    Parameters
    ----------
    origin
        Where the files come from.
    programs
        The peers that are programs.
    ours, sdk
        Interpreters; the second is None on a machine without the Python that the SDK wants.
    """

    def __init__(self, origin: OriginServer, programs: Tools, ours: Path, sdk: Path | None) -> None:
        self.origin = origin
        self._programs = programs
        self.ours = ours
        self.sdk = sdk
        self._home = origin.folder / "home"
        self._seen: set[tuple[Contender, str]] = set()
        self._kinds: dict[str, Callable[[Contender, Sequence[Source], str], Figures]] = {
            "ours": self._by_worker,
            "sdk": self._by_worker,
            "aria2c": self._by_aria2c,
            "curl": self._by_curl,
            "cp": self._by_cp,
        }

    def take(self, contender: Contender, sources: Sequence[Source], speed: str) -> Figures:
        """Download the files into an empty folder, check that they are there, and remove them."""
        self._home.mkdir()
        try:
            figures = self._kinds[contender.kind](contender, sources, contender.speed or speed)
            self._check(contender, sources, speed)
        finally:
            shutil.rmtree(self._home)
        return figures

    def _by_worker(self, contender: Contender, sources: Sequence[Source], speed: str) -> Figures:
        checkpoint = f"{sources[0].name.split('/')[0]}{speed}"
        self.origin.publish(checkpoint, sources, speed)
        interpreter = self.ours if contender.kind == "ours" else self.sdk
        assert interpreter is not None
        return measure.python(
            interpreter, contender.kind, self.origin.url, checkpoint, str(self._home), *(contender.settings or ("1",))
        )

    def _by_aria2c(self, contender: Contender, sources: Sequence[Source], speed: str) -> Figures:
        listed = "".join(f"{self.origin.address(source, speed)}\n  out={_last(source)}\n" for source in sources)
        (self.origin.folder / "urls").write_text(listed)
        command = [
            self._programs.aria2c,
            *_ARIA2C,
            *contender.settings,
            "--dir=.",
            f"--input-file={self.origin.folder / 'urls'}",
        ]
        return measure.program(command, self._home)

    def _by_curl(self, contender: Contender, sources: Sequence[Source], speed: str) -> Figures:
        listed = "".join(
            f'url = "{self.origin.address(source, speed)}"\noutput = "{_last(source)}"\n' for source in sources
        )
        (self.origin.folder / "urls").write_text(listed)
        return measure.program(
            [self._programs.curl, *_CURL, *contender.settings, "--config", str(self.origin.folder / "urls")], self._home
        )

    def _by_cp(self, contender: Contender, sources: Sequence[Source], speed: str) -> Figures:
        assert speed
        assert not contender.settings
        folder = (self.origin.files / sources[0].name).parent
        return measure.program([self._programs.cp, "-r", str(folder), "."], self._home)

    def _check(self, contender: Contender, sources: Sequence[Source], speed: str) -> None:
        """Look at the sizes each time, and at every byte the first time."""
        found = {path.name: path for path in self._home.rglob("*.safetensors")}
        for source in sources:
            path = found.get(_last(source))
            if path is None or path.stat().st_size != source.size:
                raise RuntimeError(f"{contender.label} ended well, but {source.name} is not there as a whole")
            if (contender, speed) not in self._seen and not filecmp.cmp(
                path, self.origin.files / source.name, shallow=False
            ):
                raise RuntimeError(f"{contender.label} ended well, but {source.name} has other bytes")
        self._seen.add((contender, speed))


def _last(source: Source) -> str:
    return source.name.rsplit("/", 1)[1]
