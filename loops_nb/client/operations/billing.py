"""``/v1/instance_type_prices`` and ``/v1/billing/usage_summary``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from loops_nb.api.decoding import decode_many, decode_object
from loops_nb.api.models import InstanceTypePrice, UsageSummary
from loops_nb.client import checks
from loops_nb.client.request import Request
from loops_nb.errors import InvalidArgumentError

LONGEST_USAGE = timedelta(days=31)
#: The service answers nothing before.
FIRST_USAGE = datetime(2026, 1, 1, tzinfo=UTC)


def prices() -> Request[list[InstanceTypePrice]]:
    """``GET /v1/instance_type_prices``."""
    decode = partial(decode_many, key="instance_types", kind=InstanceTypePrice)
    return Request("GET", "/v1/instance_type_prices", decode, "list the prices of instance types")


def usage(start: datetime, end: datetime | None) -> Request[UsageSummary]:
    """``GET /v1/billing/usage_summary``; without an end until now, or until 31 days after the start."""
    first = checks.moment("start", start)
    last = min(datetime.now(UTC), first + LONGEST_USAGE) if end is None else checks.moment("end", end)
    if first < FIRST_USAGE:
        raise InvalidArgumentError(
            f"start must not be before {FIRST_USAGE:%Y-%m-%d}: the service has no usage before.", argument="start"
        )
    if first >= last:
        raise InvalidArgumentError("start must be before end.", argument="start")
    if last - first > LONGEST_USAGE:
        raise InvalidArgumentError(
            f"The range from start to end must be at most {LONGEST_USAGE.days} days.", argument="start"
        )
    return Request(
        "GET",
        "/v1/billing/usage_summary",
        partial(decode_object, kind=UsageSummary),
        "get the billed usage",
        query={"start_date": _text(first), "end_date": _text(last)},
    )


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
