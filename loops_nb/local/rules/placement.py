"""Rules of where a run or a sampler executes: on a deployment of its own, or on shared (serverless) capacity."""

from __future__ import annotations

from typing import NamedTuple

from loops_nb.local import base_models
from loops_nb.local.http_errors import HTTPError, invalid

RUN_SCOPES = ("default", "serverless", "team", "deployment")
SAMPLER_SCOPES = ("default", "serverless", "deployment")


class Asked(NamedTuple):
    """What a creation asks for, as far as shared capacity may not have it; None where nothing is said."""

    base_model: str
    lora_rank: int | None
    length: int | None
    reuses: bool


def check_scope(scope: str | None, known: tuple[str, ...]) -> None:
    """Refuse a scope that there is not."""
    if scope is not None and scope not in known:
        raise invalid("scope", f"scope must be one of {', '.join(known)}, not {scope[:200]!r}.")


def is_serverless(scope: str | None, asked: Asked, *, preferred: bool) -> bool:
    """Tell whether something is created on shared capacity.

    Parameters
    ----------
    scope : str or None
        As in the request.
    asked : Asked
        The rest of it.
    preferred : bool
        Whether the default is shared capacity, where it has what is asked for.

    Raises
    ------
    HTTPError
        400, if shared capacity is asked for and does not have it.
    """
    if scope == "serverless":
        found = _refusal(asked)
        if found is not None:
            raise found
        return True
    return scope in {None, "default"} and preferred and _refusal(asked) is None


def _refusal(asked: Asked) -> HTTPError | None:
    model, longest = asked.base_model, base_models.serverless_length(asked.base_model)
    reason, words = "", ""
    if not base_models.model(model).serverless:
        reason, words = "SERVERLESS_NOT_ENABLED", f"{model} is not offered on serverless capacity here"
    elif asked.lora_rank is not None and asked.lora_rank > base_models.SERVERLESS_RANK:
        reason = "LORA_RANK_UNSUPPORTED"
        words = f"serverless capacity takes a LoRA rank of at most {base_models.SERVERLESS_RANK}, not {asked.lora_rank}"
    elif asked.length is not None and asked.length > longest:
        reason = "SEQUENCE_LENGTH_UNSUPPORTED"
        words = f"serverless capacity takes at most {longest} tokens a sequence of {model}, not {asked.length}"
    elif asked.reuses:
        reason, words = "REUSE_REQUESTED", "reusing a deployment needs a deployment"
    if not reason:
        return None
    text = f"scope=serverless cannot be had: {words}. Use scope=deployment."
    return HTTPError(400, "VALIDATION_ERROR", text, details={"field": "scope", "reason": reason})
