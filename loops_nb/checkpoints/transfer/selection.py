"""Selection of the files of a checkpoint by patterns on their names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from loops_nb.checkpoints.http import StoredFile
from loops_nb.errors import InvalidArgumentError
from loops_nb.render.formatting import first_and_more

_MAX_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Selection:
    """Patterns as the shell has them; ``exclude`` wins.

    Parameters
    ----------
    include : tuple of str, default ()
        At least one of these has to match; all files are selected without any.
    exclude : tuple of str, default ()
        None of these may match.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @classmethod
    def of(cls, include: Sequence[str], exclude: Sequence[str]) -> Selection:
        """Return a selection of checked patterns.

        Raises
        ------
        InvalidArgumentError
            If they are not lists of strings.
        """
        for argument, patterns in (("include", include), ("exclude", exclude)):
            if isinstance(patterns, str) or not all(isinstance(pattern, str) and pattern for pattern in patterns):
                raise InvalidArgumentError(
                    f'{argument} must be a list of patterns such as ["*.json"].', argument=argument
                )
        return cls(tuple(include), tuple(exclude))

    def takes(self, name: str) -> bool:
        """Return whether a file is selected; a pattern may match its whole name or the last part of it."""
        return (not self.include or _matches(self.include, name)) and not _matches(self.exclude, name)

    def of_files(self, files: Sequence[StoredFile], label: str, *, is_one_of_many: bool = False) -> list[StoredFile]:
        """Return the selected files of a checkpoint.

        Raises
        ------
        InvalidArgumentError
            If there are files, but none of them is selected.
        """
        taken = [file for file in files if self.takes(file.name)]
        if files and not taken:
            hint = f"It has {first_and_more([repr(file.name) for file in files], _MAX_SHOWN)}."
            if is_one_of_many:
                hint += " Leave this checkpoint out, for example with --target, or take wider patterns."
            raise InvalidArgumentError(
                f"No file of {label} fits these patterns; nothing was downloaded.",
                argument="include" if self.include else "exclude",
                hint=hint,
            )
        return taken


def _matches(patterns: Sequence[str], name: str) -> bool:
    last = name.rpartition("/")[2]
    return any(fnmatchcase(name, pattern) or fnmatchcase(last, pattern) for pattern in patterns)
