"""Credentials of buckets: whether the engine can find any, and those of profiles, which it does not know.

They are never read here, and never kept.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_logger = logging.getLogger(__name__)
#: Variables that say how to get credentials, or hold them; the engine reads them.
_VARIABLES = {
    "s3": re.compile(r"AWS_.*(KEY|TOKEN|CREDENTIALS|SKIP_SIGNATURE|ROLE).*"),
    "gs": re.compile(r"GOOGLE_.*(CREDENTIALS|SERVICE_ACCOUNT|KEY|TOKEN|SKIP_SIGNATURE).*"),
    "az": re.compile(r"(AZURE_.*(KEY|TOKEN|CLIENT|SECRET|SAS|CLI|SKIP_SIGNATURE|ENDPOINT)|IDENTITY_|MSI_).*"),
}
_FILES = {"gs": ("~/.config/gcloud/application_default_credentials.json",)}
#: Where a machine of a cloud, and only such a one, is told its role.
_METADATA = "http://169.254.169.254"
_METADATA_SECONDS = 1.0


def has_variables(scheme: str) -> bool:
    """Return whether the environment says how to get credentials."""
    return any(value and _VARIABLES[scheme].fullmatch(name) for name, value in os.environ.items())


def are_missing(scheme: str) -> bool:
    """Return whether there are none for certain: neither variables nor files, and this is no machine of a cloud.

    The engine would ask for the role of the machine again and again, which takes half a minute elsewhere.
    """
    if has_variables(scheme) or any(_exists(file) for file in _FILES.get(scheme, ())):
        return False
    address = urlsplit(os.environ.get("AWS_METADATA_ENDPOINT", "") if scheme == "s3" else "")
    if not address.hostname:
        address = urlsplit(_METADATA)
    try:
        socket.create_connection((address.hostname or "", address.port or 80), _METADATA_SECONDS).close()
    except OSError:
        return True
    return False


def profile_provider() -> Any:
    """Return a provider of what the profiles and logins in ``~/.aws`` give; None leaves it to the engine."""
    has_profile = bool(os.environ.get("AWS_PROFILE")) or _exists("~/.aws")
    if has_variables("s3") or not has_profile:
        return None
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider

        return Boto3CredentialProvider()
    except ImportError:
        return None
    except Exception as error:  # noqa: BLE001 - of botocore: no such profile, or it has no credentials; the error says what to set
        _logger.debug("The credentials of boto3 cannot be used (%s).", type(error).__name__)
        return None


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (RuntimeError, OSError):
        # This user has no home folder.
        return False
