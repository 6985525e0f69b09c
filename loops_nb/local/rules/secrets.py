"""The secrets of the local service: names without values, since nothing here is fetched from elsewhere."""

from __future__ import annotations

#: The name that the hosted service's own guide uses comes first.
SECRETS = ("hf_access_token", "local_example")
