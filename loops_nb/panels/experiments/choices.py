"""What a user has chosen in panels of experiments, kept in a file, so that the next panel starts with it."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

import msgspec

from loops_nb.config.paths import home_dir
from loops_nb.errors import LoopsError
from loops_nb.panels.experiments.messages import Choices

_LOG = logging.getLogger(__name__)
_NAME = "experiments-panel.json"
_MOST_BYTES = 1_000_000


def load_choices() -> Choices:
    """Return what was chosen last; nothing where that cannot be read."""
    try:
        path = _path()
        if path.stat().st_size <= _MOST_BYTES:
            return msgspec.json.decode(path.read_bytes(), type=Choices)
    except FileNotFoundError:
        pass
    except (OSError, LoopsError, msgspec.DecodeError):
        _LOG.debug("The choices of columns cannot be read.", exc_info=True)
    return Choices()


def save_choices(choices: Choices) -> None:
    """Keep what was chosen; where that is impossible, it counts for this panel alone."""
    try:
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{_NAME}.", delete=False) as file:
            file.write(msgspec.json.encode(choices))
        Path(file.name).replace(path)
    except (OSError, LoopsError):
        _LOG.debug("The choices of columns cannot be kept.", exc_info=True)


def _path() -> Path:
    return home_dir() / _NAME
