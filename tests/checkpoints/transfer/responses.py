"""Answers byte by byte: the honest one, and what can be done to it."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from tests.checkpoints.transfer.stored_file import Asked

Ending = Literal["keep", "close", "reset", "silence"]
HTML = b"<!doctype html><html><body><h1>Sign in to the network</h1></body></html>"


@dataclass(frozen=True)
class Reply:
    """What goes over the wire.

    Parameters
    ----------
    status, headers, body
        Of the answer; only these headers are sent.
    ending
        What happens after the last byte: the connection stays open for the next request, is closed, is reset, or falls
        silent.
    cut
        Send only so many bytes of the whole answer, head included, counted from the end when negative; then comes the
        ending.
    held
        Wait for this event half way through.
    pieces
        Send it in pieces of this size.
    raw
        Send these bytes and nothing else.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    ending: Ending = "keep"
    cut: int | None = None
    held: threading.Event | None = None
    pieces: int = 1 << 20
    raw: bytes | None = None

    @property
    def head(self) -> bytes:
        """Status line and headers."""
        lines = [
            f"HTTP/1.1 {self.status} Whatever",
            *(f"{name}: {value}" for name, value in self.headers.items()),
            "",
            "",
        ]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape")

    @property
    def wire(self) -> bytes:
        """Every byte that is sent."""
        return (self.head + self.body if self.raw is None else self.raw)[: self.cut]

    def with_headers(self, **changed: str | None) -> Reply:
        """Return the same with other headers (``_`` for ``-``); None removes one."""
        wanted = {**self.headers, **{name.replace("_", "-"): value for name, value in changed.items()}}
        return replace(self, headers={name: value for name, value in wanted.items() if value is not None})


Fault = Callable[[Asked, Reply], Reply]


def honest(asked: Asked) -> Reply:
    """Answer as S3 does."""
    stored, wanted = asked.file, asked.range
    total = len(stored.body)
    headers = {"server": "AmazonS3", "accept-ranges": "bytes", "content-type": "binary/octet-stream", **stored.headers}
    if stored.etag:
        headers["etag"] = stored.etag
    if wanted is None or asked.headers.get("if-range", stored.etag) != stored.etag:
        return Reply(200, {**headers, "content-length": str(total)}, stored.body)
    first, last = wanted
    if first >= total:
        return Reply(416, {"content-range": f"bytes */{total}", "content-length": "0"})
    body = stored.body[first : last + 1]
    return Reply(
        206, {**headers, "content-length": str(len(body)), "content-range": f"bytes {first}-{last}/{total}"}, body
    )


def as_it_is(asked: Asked, reply: Reply) -> Reply:
    """Change nothing."""
    return reply


# Cuts.


def hang_up(asked: Asked, reply: Reply) -> Reply:
    """Close before the first byte of the answer."""
    return replace(reply, cut=0, ending="close")


def reset_at_once(asked: Asked, reply: Reply) -> Reply:
    """Reset before the first byte of the answer."""
    return replace(reply, cut=0, ending="reset")


def cut_in_the_status_line(asked: Asked, reply: Reply) -> Reply:
    """End after ``HTTP/1.``."""
    return replace(reply, cut=7, ending="close")


def cut_in_the_headers(asked: Asked, reply: Reply) -> Reply:
    """End in the middle of the headers."""
    return replace(reply, cut=len(reply.head) // 2, ending="close")


def cut_after_the_headers(asked: Asked, reply: Reply) -> Reply:
    """End before the first byte of the body."""
    return replace(reply, cut=len(reply.head), ending="close")


def _in_the_body(asked: Asked, reply: Reply) -> int:
    """Return where the first half of the file ends, or its third quarter; who is beyond gets nothing more."""
    first, total = (asked.range or (0, 0))[0], len(asked.file.body)
    until = next((end for end in (total // 2, total * 3 // 4) if end > first), first)
    return len(reply.head) + min(until - first, max(len(reply.body) - 1, 0))


def cut_in_the_body(asked: Asked, reply: Reply) -> Reply:
    """End half way through the file."""
    return replace(reply, cut=_in_the_body(asked, reply), ending="close")


def cut_before_the_last_byte(asked: Asked, reply: Reply) -> Reply:
    """Send all but one byte."""
    return replace(reply, cut=-1, ending="close")


def reset_in_the_body(asked: Asked, reply: Reply) -> Reply:
    """Reset half way through the file."""
    return replace(reply, cut=_in_the_body(asked, reply), ending="reset")


# Silence.


def silence(asked: Asked, reply: Reply) -> Reply:
    """Take the request and say nothing."""
    return replace(reply, cut=0, ending="silence")


def silence_in_the_headers(asked: Asked, reply: Reply) -> Reply:
    """Fall silent in the middle of the headers."""
    return replace(reply, cut=len(reply.head) // 2, ending="silence")


def silence_in_the_body(asked: Asked, reply: Reply) -> Reply:
    """Fall silent half way through the file."""
    return replace(reply, cut=_in_the_body(asked, reply), ending="silence")


def silence_before_the_last_byte(asked: Asked, reply: Reply) -> Reply:
    """Fall silent with one byte to go."""
    return replace(reply, cut=-1, ending="silence")


# Lengths.


def says_more(asked: Asked, reply: Reply) -> Reply:
    """Announce ten bytes more than there are, send those there are, and close."""
    return replace(reply.with_headers(content_length=str(len(reply.body) + 10)), ending="close")


def says_less(asked: Asked, reply: Reply) -> Reply:
    """Announce ten bytes less than are sent."""
    return replace(reply.with_headers(content_length=str(len(reply.body) - 10)), ending="close")


def sends_less(asked: Asked, reply: Reply) -> Reply:
    """Leave the last ten bytes away, and announce just that."""
    return replace(reply.with_headers(content_length=str(len(reply.body) - 10)), body=reply.body[:-10])


def sends_more(asked: Asked, reply: Reply) -> Reply:
    """Put ten bytes behind the file, and announce just that."""
    return replace(reply.with_headers(content_length=str(len(reply.body) + 10)), body=reply.body + b"0123456789")


def no_length_whole(asked: Asked, reply: Reply) -> Reply:
    """Send it without a length, and close at its end."""
    return replace(reply.with_headers(content_length=None), ending="close")


def no_length_short(asked: Asked, reply: Reply) -> Reply:
    """Close half way through a body whose length was never told."""
    return replace(reply.with_headers(content_length=None), body=reply.body[: len(reply.body) // 2], ending="close")


def no_length_long(asked: Asked, reply: Reply) -> Reply:
    """Send more than there is in a body whose length was never told."""
    return replace(reply.with_headers(content_length=None), body=reply.body + b"0123456789", ending="close")


def length_of_words(asked: Asked, reply: Reply) -> Reply:
    """Give a length that is no number."""
    return replace(reply.with_headers(content_length="many"), ending="close")


def length_below_zero(asked: Asked, reply: Reply) -> Reply:
    """Give a length below zero."""
    return replace(reply.with_headers(content_length="-1"), ending="close")


def endless_headers(asked: Asked, reply: Reply) -> Reply:
    """Send more headers than are read."""
    return replace(reply.with_headers(**{f"x_filler_{i}": "x" * 200 for i in range(2000)}), ending="close")


def chunked(asked: Asked, reply: Reply) -> Reply:
    """Send it in chunks."""
    half = len(reply.body) // 2
    body = b"".join(
        f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in (reply.body[:half], reply.body[half:]) if part
    )
    return replace(reply.with_headers(content_length=None, transfer_encoding="chunked"), body=body + b"0\r\n\r\n")


def chunked_cut(asked: Asked, reply: Reply) -> Reply:
    """Close in the second chunk."""
    whole = chunked(asked, reply)
    return replace(whole, cut=len(whole.head) + len(whole.body) * 3 // 4, ending="close")


def chunked_without_end(asked: Asked, reply: Reply) -> Reply:
    """Send all chunks but not the one that says that these were all."""
    return replace(chunked(asked, reply), cut=-5, ending="close")


def chunked_short(asked: Asked, reply: Reply) -> Reply:
    """End properly after half of the file."""
    return chunked(asked, replace(reply, body=reply.body[: len(reply.body) // 2]))


def chunked_nonsense(asked: Asked, reply: Reply) -> Reply:
    """Announce a chunk whose size is no number."""
    whole = chunked(asked, reply)
    return replace(whole, body=b"zz\r\n" + whole.body, ending="close")


def second_answer_in_its_wake(asked: Asked, reply: Reply) -> Reply:
    """Send another answer right behind this one: a client that reuses the connection would read it as the next file."""
    other = replace(reply, body=bytes(len(reply.body)))
    return replace(reply, body=reply.body + other.head + other.body)


# Contents.


def corrupt(asked: Asked, reply: Reply) -> Reply:
    """Change one byte in the middle, if there is one."""
    if not reply.body:
        return reply
    at = len(reply.body) // 2
    return replace(reply, body=reply.body[:at] + bytes([reply.body[at] ^ 1]) + reply.body[at + 1 :])


def html(asked: Asked, reply: Reply) -> Reply:
    """Answer with a page, as hotels do."""
    return Reply(200, {"content-type": "text/html; charset=utf-8", "content-length": str(len(HTML))}, HTML)


def html_of_the_same_length(asked: Asked, reply: Reply) -> Reply:
    """Answer with a page as long as the file."""
    page = HTML.ljust(len(reply.body))[: len(reply.body)]
    return replace(reply.with_headers(content_type="text/html", etag=None), body=page)


def gzip(asked: Asked, reply: Reply) -> Reply:
    """Compress on the way, as a proxy does that does not care what was accepted."""
    packed = zlib.compress(reply.body, wbits=31)
    return replace(reply.with_headers(content_encoding="gzip", content_length=str(len(packed))), body=packed)


def gzip_word_only(asked: Asked, reply: Reply) -> Reply:
    """Say that it is compressed, and send it as it is."""
    return reply.with_headers(content_encoding="gzip")


# Ranges.


def ignores_ranges(asked: Asked, reply: Reply) -> Reply:
    """Answer with the whole file, whatever was asked for."""
    headers = {name: value for name, value in reply.headers.items() if name not in {"content-range", "accept-ranges"}}
    return Reply(200, {**headers, "content-length": str(len(asked.file.body))}, asked.file.body)


def range_of_nothing(asked: Asked, reply: Reply) -> Reply:
    """Answer 416, as if the file had become shorter."""
    return Reply(416, {"content-range": "bytes */1", "content-length": "0"})


def _content_range(reply: Reply, first: int, last: int, total: str, unit: str = "bytes") -> Reply:
    return replace(reply, status=206, headers={**reply.headers, "content-range": f"{unit} {first}-{last}/{total}"})


def _bounds(asked: Asked) -> tuple[int, int, int]:
    total = len(asked.file.body)
    return *(asked.range or (0, total - 1)), total


def other_start(asked: Asked, reply: Reply) -> Reply:
    """Say that the bytes begin elsewhere."""
    first, last, total = _bounds(asked)
    return _content_range(reply, first + 1, last + 1, str(total))


def other_total(asked: Asked, reply: Reply) -> Reply:
    """Say that the file is longer."""
    first, last, total = _bounds(asked)
    return _content_range(reply, first, last, str(total + 1))


def other_unit(asked: Asked, reply: Reply) -> Reply:
    """Count in something else than bytes."""
    first, last, total = _bounds(asked)
    return _content_range(reply, first, last, str(total), "lines")


def part_without_a_place(asked: Asked, reply: Reply) -> Reply:
    """Answer 206 and do not say which part it is."""
    return replace(reply.with_headers(content_range=None), status=206)


def part_of_nonsense(asked: Asked, reply: Reply) -> Reply:
    """Answer 206 with a place that cannot be read."""
    return replace(reply.with_headers(content_range="bytes all/of-it"), status=206)


def several_parts(asked: Asked, reply: Reply) -> Reply:
    """Answer with parts within parts."""
    body = b"--X\r\ncontent-range: bytes 0-0/9\r\n\r\n" + reply.body + b"\r\n--X--\r\n"
    headers = {"content-type": "multipart/byteranges; boundary=X", "content-length": str(len(body))}
    return Reply(206, headers, body)


# Statuses.


def status(number: int, **headers: str) -> Fault:
    """Return a fault that answers with this status and an error document of S3, which repeats what it was asked for."""

    def refuse(asked: Asked, reply: Reply) -> Reply:
        body = f"<?xml version='1.0'?><Error><Code>Refused</Code><Resource>{asked.target}</Resource></Error>".encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Reply(number, {"content-type": "application/xml", "content-length": str(len(body)), **named}, body)

    return refuse


def redirect(to: Callable[[Asked], str], number: int = 307) -> Fault:
    """Return a fault that points elsewhere."""

    def point(asked: Asked, reply: Reply) -> Reply:
        return Reply(number, {"location": to(asked), "content-length": "0"})

    return point


def garbage(asked: Asked, reply: Reply) -> Reply:
    """Speak another protocol."""
    return Reply(raw=b"SSH-2.0-OpenSSH_9.6\r\n" * 4, ending="close")


# When.


def once(fault: Fault) -> Fault:
    """Return a fault that happens at the first request for a file."""
    return lambda asked, reply: fault(asked, reply) if asked.number == 1 else reply


def after_the_first(fault: Fault) -> Fault:
    """Return a fault that happens at all requests for a file but the first."""
    return lambda asked, reply: fault(asked, reply) if asked.number > 1 else reply


def only(name: str, fault: Fault) -> Fault:
    """Return a fault that one file has."""
    return lambda asked, reply: fault(asked, reply) if asked.file.name == name else reply
