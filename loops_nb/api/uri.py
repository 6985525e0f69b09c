"""``bt://`` URIs of checkpoints: parse, format, validate.

The form is ``bt://loops:<run_id>/<kind>/<name>`` where kind is ``weights`` for a trainer checkpoint (resumable) and
``sampler_weights`` for a sampler checkpoint (servable, deployable).  The URI has the checkpoint's *name*
(``checkpoint_id`` of the API); the file routes take its *id*.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from loops_nb.errors import InvalidURIError

Target = Literal["trainer", "sampler"]

EXAMPLES: dict[str, str] = {
    "trainer": "bt://loops:k4q95w5/weights/step-100",
    "sampler": "bt://loops:k4q95w5/sampler_weights/step-100",
}
#: The word of a URI for each target.
KIND_OF_TARGET: dict[str, str] = {"trainer": "weights", "sampler": "sampler_weights"}
_TARGET_OF: dict[str, Target] = {"weights": "trainer", "sampler_weights": "sampler"}
_RUN_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,255}")
_FORM = re.compile(r"bt://loops:([^/]*)/([^/]*)/([^/]*)/?")


class CheckpointURI(NamedTuple):
    """The three parts of a checkpoint's URI.

    Parameters
    ----------
    run_id : str
        The run that saved the checkpoint.
    target : {"trainer", "sampler"}
        What can load it.
    name : str
        The saved name, unique per run and target.

    Examples
    --------
    >>> str(CheckpointURI("k4q95w5", "sampler", "step-100"))
    'bt://loops:k4q95w5/sampler_weights/step-100'
    """

    run_id: str
    target: Target
    name: str

    def __str__(self) -> str:
        return f"bt://loops:{self.run_id}/{KIND_OF_TARGET[self.target]}/{self.name}"


def parse_uri(text: str, *, target: Target | None = None, argument: str = "uri") -> CheckpointURI:
    """Parse a ``bt://`` URI.

    Parameters
    ----------
    text : str
        For example ``bt://loops:k4q95w5/sampler_weights/step-100``.  One trailing slash is allowed: trainers return
        such paths.
    target : {"trainer", "sampler"}, optional
        Refuse a URI of the other target.
    argument : str, default "uri"
        Name of the argument, for the error.

    Returns
    -------
    CheckpointURI
        A named tuple of ``run_id``, ``target`` and ``name``.

    Raises
    ------
    InvalidURIError
        If the text has another form, or names a checkpoint of the other target.

    Examples
    --------
    >>> parse_uri("bt://loops:k4q95w5/weights/step-100").name
    'step-100'
    """
    found = _FORM.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise InvalidURIError(
            f"{argument} must be a checkpoint URI of the form bt://loops:<run_id>/(weights|sampler_weights)/<name>, "
            f"not {text!r}.",
            argument=argument,
            hint=f"For example {EXAMPLES[target or 'sampler']}",
        )
    run_id, kind, name = found.groups()
    if kind not in _TARGET_OF:
        raise InvalidURIError(
            f"{argument}: the middle part of {text!r} must be weights (trainer checkpoint) or sampler_weights "
            f"(sampler checkpoint).",
            argument=argument,
        )
    if not is_run_id(run_id):
        raise InvalidURIError(
            f"{argument}: {run_id!r} in {text!r} is not a run id (letters, digits, _ and - only).", argument=argument
        )
    if not is_checkpoint_name(name):
        raise InvalidURIError(
            f"{argument}: {name!r} in {text!r} is not a checkpoint name (letters, digits, _ . and - only).",
            argument=argument,
        )
    uri = CheckpointURI(run_id, _TARGET_OF[kind], name)
    if target is not None and uri.target != target:
        other = CheckpointURI(run_id, target, name)
        raise InvalidURIError(
            f"{argument} must name a {target} checkpoint ({KIND_OF_TARGET[target]}), but {text} names a {uri.target} "
            f"checkpoint ({kind}).",
            argument=argument,
            hint=f"If the same name was saved for the {target} too, use {other}",
        )
    return uri


def format_uri(run_id: str, target: str, name: str) -> str:
    """Return the URI of a checkpoint, from the fields of a listing.

    Parameters
    ----------
    run_id, name : str
        As in the listing (``run_id`` and ``checkpoint_id``).
    target : str
        ``"trainer"``; anything else is a sampler checkpoint, as old rows of the service have no target.
    """
    return f"bt://loops:{run_id}/{'weights' if target == 'trainer' else 'sampler_weights'}/{name}"


def is_run_id(text: str) -> bool:
    """Tell whether a string can be a run id in a URI."""
    return _RUN_ID.fullmatch(text) is not None


def is_checkpoint_name(text: str) -> bool:
    """Tell whether a string can be a checkpoint name in a URI (not ``.`` and ``..``, which would change a path)."""
    return _NAME.fullmatch(text) is not None and text not in {".", ".."}
