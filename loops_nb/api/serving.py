"""Addresses of a service: where a deployed checkpoint answers, and the page of a run."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from loops_nb.config.trusted_hosts import is_hosted

_DASHBOARD = "https://app.baseten.co"


def openai_base_url(model_id: str, deployment_id: str, service_url: str) -> str:
    """Return the address that OpenAI's client takes as ``base_url`` for a model deployment.

    Parameters
    ----------
    model_id, deployment_id : str
        The deployment.
    service_url : str
        Address of the service; one that is not the hosted one answers below its own address, as the local one.

    Examples
    --------
    >>> openai_base_url("abc123", "dep456", "https://api.baseten.co")
    'https://model-abc123.api.baseten.co/deployment/dep456/sync/v1'
    """
    model, path = quote(model_id, safe=""), f"deployment/{quote(deployment_id, safe='')}/sync/v1"
    if _is_hosted_service(service_url):
        return f"https://model-{model}.api.baseten.co/{path}"
    return f"{service_url.rstrip('/')}/models/{model}/{path}"


def run_page(run_id: str, service_url: str) -> str | None:
    """Return the page of a run in the dashboard of the hosted service; None for another service.

    Parameters
    ----------
    run_id : str
        Id of the run.
    service_url : str
        Address of the service.

    Examples
    --------
    >>> run_page("k4q95w5", "https://api.baseten.co")
    'https://app.baseten.co/training/loop/k4q95w5'
    """
    return f"{_DASHBOARD}/training/loop/{quote(run_id, safe='')}" if _is_hosted_service(service_url) else None


def _is_hosted_service(service_url: str) -> bool:
    return is_hosted(urlsplit(service_url).hostname or "")
