"""Which hosts may get the API key."""

from __future__ import annotations

import pytest

from loops_nb.config.trusted_hosts import (
    is_plain_http_to_network,
    is_same_origin,
    is_trusted_for_project,
    is_trusted_sampler,
)

HOSTED = "https://api.baseten.co"
OWN = "https://loops.example.com:8443"
LOCAL = "http://127.0.0.1:8787"


@pytest.mark.parametrize(
    ("scheme", "host", "expected"),
    [
        ("http", "loops.example.com", True),
        ("http", "127.0.0.1.example.com", True),
        ("https", "loops.example.com", False),
        ("http", "localhost", False),
        ("http", "127.0.0.1", False),
        ("http", "::1", False),
    ],
)
def test_plain_http_is_refused_except_to_this_machine(scheme: str, host: str, expected: bool) -> None:
    assert is_plain_http_to_network(scheme, host) is expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (HOSTED, True),
        ("https://API.BASETEN.CO", True),
        (LOCAL, True),
        ("https://evilbaseten.co", False),
        ("https://baseten.co.evil.example", False),
        (OWN, False),
    ],
)
def test_project_file_is_trusted_only_with_the_hosted_service_or_this_machine(url: str, expected: bool) -> None:
    assert is_trusted_for_project(url) is expected


@pytest.mark.parametrize(
    ("sampler", "service", "expected"),
    [
        ("https://model-abc.api.baseten.co/sync", HOSTED, True),
        ("https://model-abc.api.baseten.co:8443/sync", HOSTED, False),
        ("http://model-abc.api.baseten.co/sync", HOSTED, False),
        (f"{OWN}/sync", HOSTED, False),
        (f"{OWN}/sync", OWN, True),
        ("https://loops.example.com/sync", OWN, False),
        (f"{HOSTED}/sync", OWN, False),
        (f"{LOCAL}/sync", LOCAL, True),
        ("http://127.0.0.1:8788/sync", LOCAL, False),
        (f"{HOSTED}/sync", LOCAL, False),
        (f"{LOCAL}/sync", HOSTED, False),
    ],
)
def test_sampler_is_trusted_at_the_service_or_with_both_hosted(sampler: str, service: str, expected: bool) -> None:
    assert is_trusted_sampler(sampler, service) is expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (f"{OWN}/v1?page=2", True),
        ("https://LOOPS.example.com:8443/", True),
        ("http://loops.example.com:8443/", False),
        ("https://loops.example.com/", False),
        ("https://loops.example.com.evil.example:8443/", False),
        ("", False),
    ],
)
def test_origin_is_the_same_only_with_scheme_host_and_port(other: str, expected: bool) -> None:
    assert is_same_origin(OWN, other) is expected
