"""Where what is created runs: scope, capacity and reuse, from arguments or else from the variables of the SDK."""

from __future__ import annotations

from typing import NamedTuple

from loops_nb.api.models import AVAILABILITY_MODELS, RUN_SCOPES, SAMPLER_SCOPES
from loops_nb.client import checks
from loops_nb.config.creation_defaults import (
    ENV_AVAILABILITY,
    ENV_REUSE_RUN,
    ENV_REUSE_SESSION,
    ENV_SCOPE,
    creation_default,
)


class Placement(NamedTuple):
    """Fields of a creation's body, None where nothing is sent; and the variables that gave some, for messages."""

    scope: str | None
    availability_model: str | None
    reuse_from_run_id: str | None
    reuse_from_session_id: str | None
    variables: tuple[str, ...]

    @property
    def origin(self) -> str:
        """The variables in brackets, or nothing: what a message says of fields that no line names."""
        return f" ({', '.join(self.variables)} in the environment)" if self.variables else ""


def run_placement(
    *,
    scope: str | None,
    availability_model: str | None,
    reuse_from_run_id: str | None,
    reuse_from_session_id: str | None,
) -> Placement:
    """Return where a run is created; an argument beats its variable, and a run to reuse beats a session.

    Raises
    ------
    InvalidArgumentError
        If an argument or a variable has a value that there is not; the text names it.
    """
    used: list[str] = []
    wanted = _or_variable("scope", scope, ENV_SCOPE, RUN_SCOPES, used)
    availability = _or_variable("availability_model", availability_model, ENV_AVAILABILITY, AVAILABILITY_MODELS, used)
    run = checks.optional_identifier("reuse_from_run_id", reuse_from_run_id)
    session = checks.optional_identifier("reuse_from_session_id", reuse_from_session_id)
    if run is None and session is None:
        # An argument decides over both variables: they mean the same wish.
        run = _variable_id(ENV_REUSE_RUN, used)
        session = None if run is not None else _variable_id(ENV_REUSE_SESSION, used)
    return Placement(_sent(wanted), availability, run, session, tuple(used))


def sampler_placement(
    *, scope: str | None, availability_model: str | None, reuse_from_session_id: str | None, run_id: str | None
) -> Placement:
    """Return where a sampler is created.

    One that is paired with a run is where the run is, so that the variables do not count for it.

    Raises
    ------
    InvalidArgumentError
        As `run_placement`.
    """
    used: list[str] = []
    session = checks.optional_identifier("reuse_from_session_id", reuse_from_session_id)
    if run_id is not None:
        wanted = checks.optional_one_of("scope", scope, SAMPLER_SCOPES)
        availability = checks.optional_one_of("availability_model", availability_model, AVAILABILITY_MODELS)
        return Placement(_sent(wanted), availability, None, session, ())
    # One variable is for runs and samplers, and samplers know no team scope.
    if scope is None and creation_default(ENV_SCOPE) == "team":
        scope = "default"
    wanted = _or_variable("scope", scope, ENV_SCOPE, SAMPLER_SCOPES, used)
    availability = _or_variable("availability_model", availability_model, ENV_AVAILABILITY, AVAILABILITY_MODELS, used)
    if session is None and creation_default(ENV_REUSE_RUN) is None:
        session = _variable_id(ENV_REUSE_SESSION, used)
    return Placement(_sent(wanted), availability, None, session, tuple(used))


def _or_variable(
    argument: str, value: str | None, variable: str, choices: tuple[str, ...], used: list[str]
) -> str | None:
    if value is not None:
        return checks.one_of(argument, value, choices)
    found = creation_default(variable)
    if found is None:
        return None
    used.append(variable)
    return checks.one_of(variable, found, choices)


def _variable_id(variable: str, used: list[str]) -> str | None:
    found = creation_default(variable)
    if found is not None:
        used.append(variable)
        checks.identifier(variable, found)
    return found


def _sent(scope: str | None) -> str | None:
    """Return what is sent of a scope: nothing for the default, which services before 2026-11 understand too."""
    return None if scope == "default" else scope
