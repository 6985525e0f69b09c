"""Ways to bring the same files home, each in a process of its own, and each checked afterwards."""

from __future__ import annotations

import filecmp
import shutil
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.downloads import measure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.downloads.far_end import FarEnd, Source
    from benchmarks.downloads.measure import Figures
    from benchmarks.downloads.tools import Tools

#: aria2c as fast as it goes: nothing allocated beforehand, nothing read from the person's own configuration.
_ARIA2C = ("--no-conf", "--quiet", "--file-allocation=none", "--allow-overwrite=true", "--auto-file-renaming=false")
_CURL = ("--disable", "--fail", "--no-progress-meter", "--parallel", "--parallel-immediate")


class Way(NamedTuple):
    """One way.

    Parameters
    ----------
    label
        How the tables call it.  Of ways with the same label the fastest counts.
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


class Desk:
    """Carries out ways.

    Parameters
    ----------
    far_end
        Where the files come from.
    programs
        The peers that are programs.
    ours, sdk
        Interpreters; the second is None on a machine without the Python that the SDK wants.
    """

    def __init__(self, far_end: FarEnd, programs: Tools, ours: Path, sdk: Path | None) -> None:
        self.far_end = far_end
        self._programs = programs
        self.ours = ours
        self.sdk = sdk
        self._home = far_end.folder / "home"
        self._seen: set[tuple[Way, str]] = set()
        self._kinds: dict[str, Callable[[Way, Sequence[Source], str], Figures]] = {
            "ours": self._by_worker,
            "sdk": self._by_worker,
            "aria2c": self._by_aria2c,
            "curl": self._by_curl,
            "cp": self._by_cp,
        }

    def take(self, way: Way, sources: Sequence[Source], speed: str) -> Figures:
        """Bring the files home into an empty folder, check that they are there, and remove them."""
        self._home.mkdir()
        try:
            figures = self._kinds[way.kind](way, sources, way.speed or speed)
            self._check(way, sources, speed)
        finally:
            shutil.rmtree(self._home)
        return figures

    def _by_worker(self, way: Way, sources: Sequence[Source], speed: str) -> Figures:
        checkpoint = f"{sources[0].name.split('/')[0]}{speed}"
        self.far_end.publish(checkpoint, sources, speed)
        interpreter = self.ours if way.kind == "ours" else self.sdk
        assert interpreter is not None
        return measure.python(interpreter, way.kind, self.far_end.url, checkpoint, str(self._home), *(way.settings or ("1",)))

    def _by_aria2c(self, way: Way, sources: Sequence[Source], speed: str) -> Figures:
        listed = "".join(f"{self.far_end.address(source, speed)}\n  out={_last(source)}\n" for source in sources)
        (self.far_end.folder / "urls").write_text(listed)
        command = [self._programs.aria2c, *_ARIA2C, *way.settings, "--dir=.", f"--input-file={self.far_end.folder / 'urls'}"]
        return measure.program(command, self._home)

    def _by_curl(self, way: Way, sources: Sequence[Source], speed: str) -> Figures:
        listed = "".join(f'url = "{self.far_end.address(source, speed)}"\noutput = "{_last(source)}"\n' for source in sources)
        (self.far_end.folder / "urls").write_text(listed)
        return measure.program([self._programs.curl, *_CURL, *way.settings, "--config", str(self.far_end.folder / "urls")], self._home)

    def _by_cp(self, way: Way, sources: Sequence[Source], speed: str) -> Figures:
        assert speed
        assert not way.settings
        folder = (self.far_end.files / sources[0].name).parent
        return measure.program([self._programs.cp, "-r", str(folder), "."], self._home)

    def _check(self, way: Way, sources: Sequence[Source], speed: str) -> None:
        """Look at the sizes each time, and at every byte the first time."""
        found = {path.name: path for path in self._home.rglob("*.safetensors")}
        for source in sources:
            path = found.get(_last(source))
            if path is None or path.stat().st_size != source.size:
                raise RuntimeError(f"{way.label} ended well, but {source.name} is not there as a whole")
            if (way, speed) not in self._seen and not filecmp.cmp(path, self.far_end.files / source.name, shallow=False):
                raise RuntimeError(f"{way.label} ended well, but {source.name} has other bytes")
        self._seen.add((way, speed))


def _last(source: Source) -> str:
    return source.name.rsplit("/", 1)[1]
