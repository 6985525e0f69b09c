"""Messages between the service and a worker process: length-prefixed msgpack, answered in order."""

from __future__ import annotations

import struct
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from loops_nb.local.weights.files import WrittenFile

#: Length of the header in front of each frame.
HEADER = struct.Struct(">Q")


class WorkerCall(Struct, kw_only=True, omit_defaults=True):
    """Something to do.

    Parameters
    ----------
    name : str
        What: a method of the worker.
    body : bytes, default b""
        The JSON body of the request behind it, as it came in.
    options : dict, optional
        What the service adds.
    """

    name: str
    body: bytes = b""
    options: dict[str, Any] = {}


class WorkerReply(Struct, kw_only=True, omit_defaults=True):
    """How it went: a result as JSON, or the class and the text of an error."""

    result: bytes = b""
    error_class: str = ""
    error: str = ""


class WriteReply(Struct):
    """Result of the call ``write``: the files, and the optimizer's steps behind them."""

    files: list[WrittenFile]
    step: int


def pack(frame: WorkerCall | WorkerReply) -> bytes:
    """Return a frame as bytes, header included."""
    data = msgspec.msgpack.encode(frame)
    return HEADER.pack(len(data)) + data


def read_call(stream: BinaryIO) -> WorkerCall | None:
    """Return the next call, None at the end of the stream."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    length = HEADER.unpack(header)[0]
    data = stream.read(length)
    return msgspec.msgpack.decode(data, type=WorkerCall) if len(data) == length else None


def read_reply(data: bytes) -> WorkerReply:
    """Return a reply without its header."""
    return msgspec.msgpack.decode(data, type=WorkerReply)
