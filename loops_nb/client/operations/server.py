"""``/v1/loops/capabilities``, ``/v1/loops/user_config``, ``/v1/teams`` and ``/v1/models``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

import msgspec

from loops_nb.api.decoding import decode_dict, decode_many, decode_object, decode_one, decode_parts
from loops_nb.api.models import (
    USE_CASES,
    InstanceType,
    LogLine,
    Model,
    ModelDeployment,
    ModelMetrics,
    SecretName,
    SupportedModel,
    Team,
    UserConfig,
)
from loops_nb.client import checks
from loops_nb.client.operations.deployments import log_query
from loops_nb.client.operations.line_filters import NO_FILTERS, LineFilters
from loops_nb.client.operations.paths import loops_path
from loops_nb.client.request import DELETE_SECONDS, Request, sent
from loops_nb.errors import InvalidArgumentError

METRIC_MODES = ("CURRENT", "SUMMARY", "SERIES")
LONGEST_METRICS = timedelta(days=7)


class Unchanged:
    """The default of a field that a patch does not change; None clears it."""

    def __repr__(self) -> str:
        return "UNCHANGED"


UNCHANGED: Final = Unchanged()
_user_config = partial(decode_one, key="user_config", kind=UserConfig)


def capabilities(*, model: str | None, use_case: str, max_seq_len: int | None) -> Request[list[SupportedModel]]:
    """``GET /v1/loops/capabilities``."""
    query = {
        "model": checks.optional_text("model", model),
        "use_case": checks.one_of("use_case", use_case, USE_CASES),
        "max_seq_len": checks.optional_whole("max_seq_len", max_seq_len, least=1),
    }
    decode = partial(decode_many, key="supported_models", kind=SupportedModel)
    return Request("GET", loops_path("capabilities"), decode, "list the supported models", query=query)


def get_user_config() -> Request[UserConfig]:
    """``GET /v1/loops/user_config``."""
    return Request("GET", loops_path("user_config"), _user_config, "get the user config")


def update_user_config(**fields: Sequence[str] | Unchanged | None) -> Request[UserConfig]:
    """``PATCH /v1/loops/user_config``, a merge patch."""
    body: dict[str, Any] = {}
    for name, value in fields.items():
        if not isinstance(value, Unchanged):
            body[name] = None if value is None else checks.texts(name, value)
    if not body:
        raise InvalidArgumentError(f"Nothing to change: give {' or '.join(fields)}.", argument=next(iter(fields)))
    return Request(
        "PATCH",
        loops_path("user_config"),
        _user_config,
        "change the user config",
        body=body,
        safe=False,
        recovery="See the current values: loops.user_config.get()",
    )


def teams(*, name: str | None = None) -> Request[list[Team]]:
    """``GET /v1/teams``."""
    decode = partial(decode_many, key="teams", kind=Team)
    return Request("GET", "/v1/teams", decode, "list teams", query={"name": checks.optional_text("name", name)})


def team(team_id: str) -> Request[Team]:
    """``GET /v1/teams/{team_id}``; the team stands bare in the answer."""
    path = f"/v1/teams/{checks.path_part('team_id', team_id)}"
    return Request("GET", path, partial(decode_object, kind=Team), f"get team {team_id}")


def instance_types() -> Request[list[InstanceType]]:
    """``GET /v1/instance_types``."""
    decode = partial(decode_parts, key="instance_types", kind=InstanceType)
    return Request("GET", "/v1/instance_types", decode, "list instance types")


def secrets(*, team_id: str | None) -> Request[list[SecretName]]:
    """``GET /v1/secrets``, or ``GET /v1/teams/{team_id}/secrets``."""
    path = "/v1/secrets" if team_id is None else f"/v1/teams/{checks.path_part('team_id', team_id)}/secrets"
    return Request("GET", path, partial(decode_many, key="secrets", kind=SecretName), "list the names of secrets")


def models(*, name: str | None) -> Request[list[Model]]:
    """``GET /v1/models``."""
    query = {"name": checks.optional_text("name", name)}
    return Request("GET", "/v1/models", partial(decode_many, key="models", kind=Model), "list models", query=query)


def model(model_id: str) -> Request[Model]:
    """``GET /v1/models/{model_id}``."""
    path = f"/v1/models/{checks.path_part('model_id', model_id)}"
    return Request("GET", path, partial(decode_object, kind=Model), f"get model {model_id}")


def model_deployments(model_id: str) -> Request[list[ModelDeployment]]:
    """``GET /v1/models/{model_id}/deployments``."""
    path = f"/v1/models/{checks.path_part('model_id', model_id)}/deployments"
    decode = partial(decode_many, key="deployments", kind=ModelDeployment)
    return Request("GET", path, decode, f"list the deployments of model {model_id}")


def model_deployment(model_id: str, deployment_id: str) -> Request[ModelDeployment]:
    """``GET /v1/models/{model_id}/deployments/{deployment_id}``."""
    return Request(
        "GET",
        _model_path(model_id, deployment_id),
        partial(decode_object, kind=ModelDeployment),
        f"get model deployment {deployment_id}",
    )


def deactivate_model_deployment(model_id: str, deployment_id: str) -> Request[dict[str, Any]]:
    """``POST /v1/models/{model_id}/deployments/{deployment_id}/deactivate``."""
    return Request(
        "POST",
        f"{_model_path(model_id, deployment_id)}/deactivate",
        decode_dict,
        f"deactivate model deployment {deployment_id}",
        body={},
        safe=False,
        recovery=f"See its state: loops.model_deployments.get({model_id!r}, {deployment_id!r})",
    )


def activate_model_deployment(model_id: str, deployment_id: str) -> Request[dict[str, Any]]:
    """``POST /v1/models/{model_id}/deployments/{deployment_id}/activate``."""
    return _start(model_id, deployment_id, "activate")


def retry_model_deployment(model_id: str, deployment_id: str) -> Request[dict[str, Any]]:
    """``POST /v1/models/{model_id}/deployments/{deployment_id}/retry``."""
    return _start(model_id, deployment_id, "retry")


def _start(model_id: str, deployment_id: str, verb: str) -> Request[dict[str, Any]]:
    return Request(
        "POST",
        f"{_model_path(model_id, deployment_id)}/{verb}",
        decode_dict,
        f"{verb} model deployment {deployment_id}",
        body={},
        safe=False,
        recovery=f"See its state: loops.model_deployments.get({model_id!r}, {deployment_id!r})",
    )


def delete_model_deployment(model_id: str, deployment_id: str) -> Request[dict[str, Any]]:
    """``DELETE /v1/models/{model_id}/deployments/{deployment_id}``; one that is gone at a repetition was deleted."""
    gone = {"id": deployment_id, "deleted": True, "model_id": model_id}
    return _deletion(_model_path(model_id, deployment_id), f"delete model deployment {deployment_id}", gone)


def delete_model(model_id: str) -> Request[dict[str, Any]]:
    """``DELETE /v1/models/{model_id}``; one that is gone at a repetition was deleted by the attempt before."""
    path = f"/v1/models/{checks.path_part('model_id', model_id)}"
    return _deletion(path, f"delete model {model_id}", {"id": model_id, "deleted": True})


def _deletion(path: str, description: str, gone: dict[str, Any]) -> Request[dict[str, Any]]:
    return Request(
        "DELETE",
        path,
        decode_dict,
        description,
        safe=False,
        repeatable=True,
        if_gone=msgspec.json.encode(gone),
        recovery="See whether it is still there: loops.models.list()",
        seconds=DELETE_SECONDS,
    )


def model_deployment_logs(
    model_id: str,
    deployment_id: str,
    *,
    start: datetime | None,
    end: datetime | None,
    direction: str | None,
    limit: int | None,
    min_level: str | None,
    filters: LineFilters = NO_FILTERS,
) -> Request[list[LogLine]]:
    """``GET /v1/models/{model_id}/deployments/{deployment_id}/logs``."""
    query = log_query(start=start, end=end, direction=direction, limit=limit, min_level=min_level)
    decode = partial(decode_many, key="logs", kind=LogLine)
    return Request(
        "GET",
        f"{_model_path(model_id, deployment_id)}/logs",
        decode,
        f"get the logs of model deployment {deployment_id}",
        query={**query, **filters.fields()},
    )


def search_model_deployment_logs(
    model_id: str,
    deployment_id: str,
    *,
    start: datetime | None,
    end: datetime | None,
    direction: str | None = None,
    limit: int | None = None,
    min_level: str | None = None,
    filters: LineFilters = NO_FILTERS,
) -> Request[list[LogLine]]:
    """``POST /v1/models/{model_id}/deployments/{deployment_id}/logs``; it reads, so it may be repeated."""
    query = log_query(start=start, end=end, direction=direction, limit=limit, min_level=min_level)
    decode = partial(decode_many, key="logs", kind=LogLine)
    description = f"search the logs of model deployment {deployment_id}"
    return Request(
        "POST",
        f"{_model_path(model_id, deployment_id)}/logs",
        decode,
        description,
        body=sent(**query, **filters.fields()),
    )


def model_deployment_metrics(
    model_id: str,
    deployment_id: str,
    *,
    mode: str | None,
    start: datetime | None,
    end: datetime | None,
    metrics: Sequence[str] | None,
) -> Request[ModelMetrics]:
    """``GET /v1/models/{model_id}/deployments/{deployment_id}/metrics``."""
    first, last = checks.epoch_millis("start", start), checks.epoch_millis("end", end)
    checks.window(first, last, longest=LONGEST_METRICS)
    if mode is None:
        mode = "SERIES"
    checks.one_of("mode", mode, METRIC_MODES)
    if mode == "CURRENT" and (first is not None or last is not None):
        raise InvalidArgumentError("mode CURRENT takes neither start nor end.", argument="mode")
    return Request(
        "GET",
        f"{_model_path(model_id, deployment_id)}/metrics",
        partial(decode_object, kind=ModelMetrics),
        f"get the metrics of model deployment {deployment_id}",
        query={
            "mode": mode,
            "start_epoch_millis": first,
            "end_epoch_millis": last,
            "metrics": None if metrics is None else checks.texts("metrics", metrics),
        },
    )


def _model_path(model_id: str, deployment_id: str) -> str:
    model = checks.path_part("model_id", model_id)
    return f"/v1/models/{model}/deployments/{checks.path_part('deployment_id', deployment_id)}"
