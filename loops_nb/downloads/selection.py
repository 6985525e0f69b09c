"""Which files of a checkpoint are meant: patterns on their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from loops_nb.errors import InvalidArgumentError
from loops_nb.storage import StoredFile

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Selection:
    """Patterns as the shell has them; ``exclude`` wins.

    Parameters
    ----------
    include
        At least one of these has to fit; all files where there are none.
    exclude
        None of these may fit.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @classmethod
    def of(cls, include: Sequence[str], exclude: Sequence[str]) -> Selection:
        """Check patterns.

        Raises
        ------
        InvalidArgumentError
            If they are no list of texts.
        """
        for argument, patterns in (("include", include), ("exclude", exclude)):
            if isinstance(patterns, str) or not all(isinstance(pattern, str) and pattern for pattern in patterns):
                raise InvalidArgumentError(f'{argument} must be a list of patterns such as ["*.json"].', argument=argument)
        return cls(tuple(include), tuple(exclude))

    def takes(self, name: str) -> bool:
        """Tell whether a file is meant; a pattern may fit its whole name or the last part of it."""
        return (not self.include or _fits(self.include, name)) and not _fits(self.exclude, name)

    def of_files(self, files: Sequence[StoredFile], label: str, *, is_one_of_many: bool = False) -> list[StoredFile]:
        """Return the files of a checkpoint that are meant.

        Raises
        ------
        InvalidArgumentError
            If there are files, but none of them is meant.
        """
        taken = [file for file in files if self.takes(file.name)]
        if files and not taken:
            some = ", ".join(repr(file.name) for file in files[:_SHOWN])
            more = f" and {len(files) - _SHOWN:,} more" if len(files) > _SHOWN else ""
            raise InvalidArgumentError(
                f"No file of {label} fits these patterns; nothing was downloaded.",
                argument="include" if self.include else "exclude",
                hint=f"It has {some}{more}."
                + (" Leave this checkpoint out, for example with --target, or take wider patterns." if is_one_of_many else ""),
            )
        return taken


def _fits(patterns: Sequence[str], name: str) -> bool:
    last = name.rpartition("/")[2]
    return any(fnmatchcase(name, pattern) or fnmatchcase(last, pattern) for pattern in patterns)
