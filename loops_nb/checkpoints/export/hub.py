"""Pushes an exported folder to the Hugging Face Hub, by ``huggingface_hub`` and the login that it keeps."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from loops_nb.config.redaction import without_queries
from loops_nb.errors import ExportError, InvalidArgumentError, one_line

if TYPE_CHECKING:
    from pathlib import Path

_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_LONGEST_REASON = 300
_NOTHING_DONE = "Nothing was exported."


class HubRepository:
    """A repository of the Hub that an export is pushed to.

    Parameters
    ----------
    name : str
        ``ORG/NAME``.
    private : bool
        Whether it is private if it has to be made.

    Raises
    ------
    InvalidArgumentError
        If it is no such name; no request was made.
    ExportError
        If ``huggingface_hub`` is not installed, or the Hub knows no login of this user.
    """

    def __init__(self, name: str, *, private: bool) -> None:
        if not isinstance(name, str) or not _REPO.fullmatch(name) or name.endswith((".git", ".")) or ".." in name:
            raise InvalidArgumentError(
                f"push must be ORG/NAME, the name of a repository on the Hugging Face Hub, not {name!r:.100}. "
                f"{_NOTHING_DONE}",
                argument="push",
            )
        self.name = name
        self._private = private
        self._api = _api()

    def push(self, folder: Path, message: str) -> str:
        """Upload a folder as one commit; make the repository if there is none.

        Parameters
        ----------
        folder : Path
            What is uploaded.
        message : str
            Message of the commit.

        Returns
        -------
        str
            Address of the repository.

        Raises
        ------
        ExportError
            If it failed; the folder stays.
        """
        try:
            made = self._api.create_repo(self.name, private=self._private, exist_ok=True)
            self._api.upload_folder(repo_id=self.name, folder_path=folder, commit_message=message)
        except Exception as error:  # noqa: BLE001 - the library raises errors of its own HTTP client too
            raise ExportError(
                f"The export is in {folder}, and was not pushed to {self.name}: {_reason(error)}",
                hint=f"Try again with: hf upload {self.name} {folder}",
            ) from None
        return str(made)


def _api() -> Any:
    try:
        from huggingface_hub import HfApi, get_token
    except ImportError:
        raise ExportError(
            f"Pushing needs the package huggingface_hub, which is not installed here. {_NOTHING_DONE}",
            hint="pip install huggingface_hub",
        ) from None
    if get_token() is None:
        raise ExportError(
            f"You are not logged in to the Hugging Face Hub. {_NOTHING_DONE}",
            hint="Run hf auth login in a terminal, or set HF_TOKEN.",
        )
    # Read here too: the library reads it once, when it is imported.
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    try:
        api.whoami()
    except Exception as error:  # noqa: BLE001 - the library raises errors of its own HTTP client too
        raise ExportError(
            f"The Hugging Face Hub does not confirm the login: {_reason(error)} {_NOTHING_DONE}",
            hint="hf auth whoami checks it in a terminal.",
        ) from None
    return api


def _reason(error: Exception) -> str:
    """Return the first line of an error, without queries of URLs, which sign uploads."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    text = one_line(without_queries(lines[0]), limit=_LONGEST_REASON) if lines else ""
    kind = type(error)
    if not text:
        return f"{kind.__name__}."
    # The text of a KeyError is a key, which says nothing alone.
    is_own = kind.__module__ != "builtins" or isinstance(error, OSError)
    return text if is_own else f"{kind.__name__}: {text}"
