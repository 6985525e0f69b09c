"""Paths in buckets: ``s3://bucket/prefix``, ``gs://bucket/prefix``, ``az://container/prefix``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath

from loops_nb.errors import InvalidArgumentError

#: From the scheme to what its service calls a bucket.
SCHEMES = {"s3": "bucket", "gs": "bucket", "az": "container"}
_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_SCHEME = re.compile(rf"({'|'.join(SCHEMES)}):", re.IGNORECASE)
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")


@dataclass(frozen=True, slots=True)
class BucketPath:
    """Place in a bucket; ``str()`` returns its address.

    Parameters
    ----------
    scheme : {"s3", "gs", "az"}
        Amazon S3 or a compatible server, Google Cloud Storage, or Azure Blob Storage.
    bucket : str
        Name of the bucket (of the container, with Azure).
    key : str, default ""
        Path in it, without slashes at its ends.

    Examples
    --------
    >>> str(BucketPath("s3", "models", "loops") / "k4q95w5/weights/step-100")
    's3://models/loops/k4q95w5/weights/step-100'
    """

    scheme: str
    bucket: str
    key: str = ""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}" if self.key else f"{self.scheme}://{self.bucket}"

    def __fspath__(self) -> str:
        """Return the address: libraries that read from buckets by themselves take it as a path."""
        return str(self)

    def __truediv__(self, below: str | PurePosixPath) -> BucketPath:
        """Return a path below this one."""
        return BucketPath(self.scheme, self.bucket, f"{self.key}/{below}" if self.key else str(below))

    @property
    def name(self) -> str:
        """Last part of the path, or the bucket."""
        return self.key.rpartition("/")[2] or self.bucket

    @property
    def parent(self) -> BucketPath:
        """The path without its last part."""
        return BucketPath(self.scheme, self.bucket, self.key.rpartition("/")[0])

    def relative_to(self, other: BucketPath) -> PurePosixPath:
        """Return the path below another one.

        Raises
        ------
        ValueError
            If it is not below it.
        """
        if (self.scheme, self.bucket) != (other.scheme, other.bucket):
            raise ValueError(f"{self} is not below {other}")
        return PurePosixPath(self.key).relative_to(other.key)


def is_bucket(given: object) -> bool:
    """Return whether something is a place in a bucket, or was meant to be one: a `BucketPath`, or begins as one."""
    return isinstance(given, BucketPath) or _scheme(given) is not None


def bucket_path(given: object, *, argument: str = "into") -> BucketPath | None:
    """Return the place in a bucket that an address names; None for what is no address.

    Parameters
    ----------
    given : BucketPath, or anything
        ``s3://bucket/prefix``, ``gs://bucket/prefix`` or ``az://container/prefix``; a path of this machine is none.
    argument : str, default "into"
        Name of the argument, for the error.

    Raises
    ------
    InvalidArgumentError
        If it has another scheme, or names no place in a bucket; no request was made.
    """
    if isinstance(given, BucketPath):
        return given
    scheme = _scheme(given)
    found = _ADDRESS.fullmatch(given.strip()) if isinstance(given, str) else None
    if scheme is not None and found is None:
        raise InvalidArgumentError(
            f"This is no usable {scheme}:// address: two slashes come after {scheme}:, and a Path keeps only one. No "
            "request was made.",
            argument=argument,
            hint=f"Give it as text, such as {_example(scheme)}; ./{scheme}:name is a folder of this machine.",
        )
    if found is None:
        return None
    scheme, rest = found[1].lower(), found[2]
    if scheme not in SCHEMES:
        raise InvalidArgumentError(
            f"{scheme}:// is neither a folder of this machine nor a bucket. No request was made.",
            argument=argument,
            hint="Buckets begin with s3:// (also for compatible servers), gs:// or az://; a folder has no scheme.",
        )
    bucket, _, key = rest.partition("/")
    problem = _bucket_problem(bucket, SCHEMES[scheme]) or _key_problem(key)
    if problem:
        # The text is not repeated: it may hold a key or a signature.
        raise InvalidArgumentError(
            f"This is no usable {scheme}:// address: {problem}. No request was made.",
            argument=argument,
            hint=f"For example: {_example(scheme)}",
        )
    return BucketPath(scheme, bucket, key.strip("/"))


def _scheme(given: object) -> str | None:
    """Return the scheme with which text or a path begins; a `Path` has lost one of the slashes after it."""
    found = _SCHEME.match(str(given).strip()) if isinstance(given, str | PurePath) else None
    return None if found is None else found[1].lower()


def _example(scheme: str) -> str:
    return f"{scheme}://{SCHEMES[scheme]}/prefix"


def _bucket_problem(bucket: str, what: str) -> str:
    if not bucket:
        return f"it names no {what}"
    if "@" in bucket:
        return "it holds an @; credentials are taken from the environment or the settings of your cloud, never from it"
    if ":" in bucket:
        return "it names a port; AWS_ENDPOINT_URL names a server that is not Amazon's"
    if not _BUCKET.fullmatch(bucket):
        return f"its {what} has a name that cannot be one"
    return ""


def _key_problem(key: str) -> str:
    if "?" in key:
        return "it holds a question mark; signed addresses are not used, and credentials are taken from the environment"
    if any(part in {"", ".", ".."} for part in key.strip("/").split("/")) and key.strip("/"):
        return "a part of its path is empty or only dots"
    if not key.isprintable():
        return "its path holds a character that cannot be seen"
    return ""
