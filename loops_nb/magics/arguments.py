"""Arguments and options that several verbs share, and the conversion of their values."""

from __future__ import annotations

from datetime import datetime, timedelta

from loops_nb.api.models import AVAILABILITY_MODELS, SAMPLER_SCOPES
from loops_nb.api.states import DEPLOYMENT_STATUSES, RUN_STATUSES, SAMPLER_STATUSES
from loops_nb.config.time_text import EXAMPLES, age_of_text, text_of_age, time_of_text
from loops_nb.errors import InvalidArgumentError
from loops_nb.magics.grammar import Argument, Option, option, switch

_LONGEST_AGE = timedelta(days=100 * 365)

SCOPE = option("--scope", "SCOPE", "'org' lists the whole organisation's, not only your own", choices=("org",))
ALIVE = switch("--alive", "leave out what has ended")
TEAM = option("--team", "TEAM", "of this team (its name or id)", name="team_id", completes="team")
BASE_MODEL = option("-m --base-model", "MODEL", "only of this base model, e.g. Qwen/Qwen3-8B", completes="base_model")
STATUS = option(
    "--status",
    "STATE",
    "state of the run, its deployment or its sampler",
    choices=tuple(dict.fromkeys((*RUN_STATUSES, *DEPLOYMENT_STATUSES, *SAMPLER_STATUSES))),
)
SESSION = option(
    "--session",
    "SESSION",
    "session it belongs to; %loops create session makes one",
    name="session_id",
    completes="session",
    required=True,
)
AVAILABILITY = option(
    "--availability", "KIND", "dedicated or spot capacity", name="availability_model", choices=AVAILABILITY_MODELS
)
PLACEMENT = option(
    "--scope",
    "SCOPE",
    "serverless (shared, billed by tokens) or deployment (its own GPUs); default BASETEN_LOOPS_SCOPE, or the service's "
    "choice",
    choices=SAMPLER_SCOPES,
)
YES = switch("-y --yes", "do not ask first", name="sure")
REUSE_SESSION = option(
    "--reuse-session", "SESSION", "reuse that session's deployment", name="reuse_from_session_id", completes="session"
)
LOGGED = Argument(
    "target",
    "RUN|DEPLOYMENT|SAMPLER",
    "id or name of a run, id of a Loops deployment, or id of a sampler",
    completes="logged",
    required=True,
)


def describe_filters(*pairs: tuple[str, object]) -> str:
    """Return the filters of a listing for a message: "--base-model M and --alive"."""
    given = [(flag, value) for flag, value in pairs if value is not None and value is not False]
    return " and ".join(flag if value is True else f"{flag} {value}" for flag, value in given)


def int_option(flags: str, text: str, *, name: str = "", default: int | None = None, repeated: bool = False) -> Option:
    """Return an option that takes a whole number; parameters as of `option`."""
    return option(flags, "N", text, name=name, convert=to_int, free_text=True, default=default, repeated=repeated)


def id_argument(kind: str, text: str) -> Argument:
    """Return the argument that names one run, sampler or deployment."""
    return Argument("id", "ID", text, completes=kind, required=True)


def to_int(text: str) -> int:
    """Convert to a whole number; the client checks its bounds."""
    try:
        return int(text)
    except ValueError:
        raise InvalidArgumentError(f"must be a whole number, not {text[:40]!r}.") from None


def to_float(text: str) -> float:
    """Convert to a number."""
    try:
        return float(text)
    except ValueError:
        raise InvalidArgumentError(f"must be a number, not {text[:40]!r}.") from None


def age_or_time(text: str) -> timedelta | datetime:
    """Convert an age (``90m``, ``36h``, ``2d``) or an ISO time, which without an offset is in the local time zone."""
    age = age_of_text(text)
    if age is not None and age <= _LONGEST_AGE:
        return age
    at = time_of_text(text)
    if at is None:
        raise InvalidArgumentError(f"must be an age or a time, not {text[:40]!r}.", hint=EXAMPLES)
    return at


def format_age_or_time(value: timedelta | datetime | None) -> str | None:
    """Return the text that `age_or_time` converts back."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    return text_of_age(value)
