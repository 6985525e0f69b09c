"""Errors of buckets in plain words: the engine's texts hold addresses and traces, and are never shown."""

from __future__ import annotations

import re
from typing import NamedTuple

from loops_nb.checkpoints.bucket.path import SCHEMES, BucketPath
from loops_nb.errors import BucketError

_STATUS = re.compile(r"status code: ([0-9]{3})")
_CODE = re.compile(
    r"<Code>([A-Za-z]{1,60})</Code>|\"reason\"\s*:\s*\"([A-Za-z]{1,60})\"|error ?code\W{1,3}([A-Za-z]{1,60})"
)
_RETRIES = re.compile(r"after ([0-9]{1,4}) retries")
_ENVIRONMENT = {
    "s3": "%env AWS_ACCESS_KEY_ID=... and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE with pip install boto3",
    "gs": "%env GOOGLE_APPLICATION_CREDENTIALS=/path/to/key.json, or gcloud auth application-default login",
    "az": "%env AZURE_STORAGE_ACCOUNT_NAME=... and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
}
_RIGHTS = {
    "s3": "s3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload",
    "gs": "the role Storage Object User",
    "az": "the role Storage Blob Data Contributor",
}


_MISSING = "Check the name{server}."
#: Of s3:// only: other clouds have one server.
_SERVER = ", and that AWS_ENDPOINT_URL names its server if it is not Amazon's"
_NO_CREDENTIALS = "there are no credentials for it"
_SET = "Set them: {environment}."
_RENEW = "Renew them: {environment}."


class _Rule(NamedTuple):
    """What an error means: a pattern on its status, code and text, the reason, and what to do."""

    pattern: re.Pattern[str]
    problem: str
    hint: str


def _rule(pattern: str, problem: str, hint: str) -> _Rule:
    return _Rule(re.compile(pattern), problem, hint)


#: The first one that fits counts.
_RULES = (
    _rule(
        "redirect without LOCATION|code=(PermanentRedirect|AuthorizationHeaderMalformed|IllegalLocation)|status=30[17]",
        "the {what} is in another region than the one that was asked",
        "Set its region, such as %env AWS_REGION=eu-west-1: aws s3api get-bucket-location --bucket {bucket} names it.",
    ),
    _rule(
        "code=(InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|TokenRefreshRequired"
        "|AuthenticationFailed|InvalidAuthenticationInfo|InvalidSecurity)|status=401",
        "these credentials are refused ({said})",
        _RENEW,
    ),
    _rule("code=RequestTimeTooSkewed", "the clock of this machine is wrong by many minutes", "Set the clock."),
    _rule("code=(NoSuchBucket|ContainerNotFound)", "there is no {what} {bucket!r}", _MISSING),
    # How the engine asks the machine that it runs on, where the environment has none.
    _rule(
        "latest/api/token|latest/meta-data/iam|computeMetadata|metadata/identity|token request",
        _NO_CREDENTIALS,
        _SET,
    ),
    _rule("status=403", "access is denied ({said})", "These credentials need {rights} for {bucket!r}."),
    _rule(
        "code=(SlowDown|ServerBusy|TooManyRequests|rateLimitExceeded|RequestLimitExceeded)|status=(429|503)",
        "the server asks to slow down ({said})",
        "Try again in a few minutes, or with fewer connections, such as connections=4.",
    ),
    _rule(
        "TimedOut|timed out|kind: Timeout",
        "the server did not answer in time",
        "Check the network, then try again.",
    ),
    _rule(
        "tcp connect error|dns error|kind: Connect|error sending request",
        "its server cannot be reached",
        "Check the network{server}.",
    ),
    _rule("MissingAccount", "the storage account is not known", "Set it: {environment}."),
    _rule("status=404", "it is not there", _MISSING),
    _rule(r"status=\d", "the server answered {answer}", "Try again in a moment."),
    _rule("", "the storage engine gave no reason that can be shown", "Try again in a moment."),
)


class Refusal(NamedTuple):
    """What an engine's error says.

    Parameters
    ----------
    status : int or None
        HTTP status.
    code : str
        The service's word for it; empty if it gave none.
    tries : str
        How often it was tried, as the end of a clause.
    """

    status: int | None
    code: str
    tries: str


def refusal_of(error: BaseException) -> Refusal:
    """Return what an engine's error says, without its addresses."""
    text = str(error)
    status, code, retries = _STATUS.search(text), _CODE.search(text), _RETRIES.search(text)
    tries = f", after {int(retries[1]) + 1} attempts" if retries and retries[1] != "0" else ""
    word = next(filter(None, code.groups()), "") if code else ""
    return Refusal(int(status[1]) if status else None, word, tries)


def bucket_error(error: BaseException, path: BucketPath, doing: str) -> BucketError:
    """Return the public error for an error of the engine.

    Parameters
    ----------
    error : BaseException
        What the engine raised.
    path : BucketPath
        What it was about.
    doing : str
        What was to be done with it: ``read``, ``written``, ``listed``, ``deleted``.
    """
    status, code, tries = refusal_of(error)
    text = f"status={status} code={code} {error}"
    rule = next(rule for rule in _RULES if rule.pattern.search(text))
    words = {
        "what": SCHEMES[path.scheme],
        "bucket": path.bucket,
        "said": code or status,
        "answer": f"{status} {code}".strip(),
        "environment": _ENVIRONMENT[path.scheme],
        "rights": _RIGHTS[path.scheme],
        "server": _SERVER if path.scheme == "s3" else "",
    }
    problem, hint = rule.problem.format(**words), rule.hint.format(**words)
    return BucketError(f"{path} could not be {doing}: {problem}{tries}.", status=status, hint=hint)


def missing_credentials(path: BucketPath) -> BucketError:
    """Return the error for a place for which there are no credentials; nothing was requested."""
    return BucketError(
        f"{path} could not be opened: {_NO_CREDENTIALS}. No request was made.",
        hint=_SET.format(environment=_ENVIRONMENT[path.scheme]),
    )
