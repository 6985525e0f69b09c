"""Options that several verbs share, so that they read and complete alike everywhere."""

from __future__ import annotations

from loops_nb.magics.grammar import Option, Takes
from loops_nb.magics.values import whole_number
from loops_nb.models import AVAILABILITY_MODELS

SCOPE = Option(
    name="scope", flags=("--scope",), metavar="SCOPE", choices=("org",), help="'org' lists the whole organisation's, not only your own"
)
TEAM = Option(name="team_id", flags=("--team",), metavar="TEAM_ID", knows="team", help="of this team (its id)")
BASE_MODEL = Option(
    name="base_model", flags=("-m", "--base-model"), metavar="MODEL", knows="base_model", help="only of this base model, e.g. Qwen/Qwen3-8B"
)
SESSION = Option(
    name="session_id",
    flags=("--session",),
    metavar="SESSION",
    knows="session",
    required=True,
    help="session it belongs to; %loops create session makes one",
)
AVAILABILITY = Option(
    name="availability_model", flags=("--availability",), metavar="KIND", choices=AVAILABILITY_MODELS, help="dedicated or spot capacity"
)
SURE = Option(name="sure", flags=("-y", "--yes"), help="do not ask first")
REUSE_SESSION = Option(
    name="reuse_from_session_id", flags=("--reuse-session",), metavar="SESSION", knows="session", help="reuse that session's deployment"
)


def of_filter(*pairs: tuple[str, object]) -> str:
    """Return the conditions of a listing as people read them."""
    return " and ".join(f"{flag} {value}" for flag, value in pairs if value is not None)


def count(name: str, flag: str, text: str, *, default: int | None = None) -> Option:
    """Return an option that takes a whole number."""
    return Option(name=name, flags=(flag,), metavar="N", convert=whole_number, free=True, help=text, default=default)


def identifier(kind: str, text: str) -> Takes:
    """Return the argument that names one thing."""
    return Takes(name="id", metavar="ID", knows=kind, required=True, help=text)
