"""Any answer gives a result or a `LoopsError` in one line; after a create the outcome is unknown."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import json
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loops_nb import AsyncLoops, Loops, RetryPolicy
from loops_nb.api.models import APIObject
from loops_nb.client.http import Body
from loops_nb.client.responses import readable
from loops_nb.errors import (
    APIError,
    LoopsError,
    OutcomeUnknownError,
    RateLimitError,
    RedirectRefusedError,
    ServiceUnreachableError,
    UnreadableAnswerError,
)
from tests.client.scripted_server import Answer, Received, ScriptedServer, serving
from tests.client.test_operations import CASES, SPEC, template_of

ONCE = RetryPolicy(attempts=1)
NEW_RUN: dict[str, Any] = {"session_id": "sess_1", "base_model": "Qwen/Qwen3-8B"}
#: Operations that change something: their answers, once lost, leave it open whether they did.
WRITES = ("create", "deactivate", "deploy", "update")
FRAMES = [
    ("runs.frame", {}),
    ("samplers.frame", {}),
    ("checkpoints.frame", {"run_id": "k4"}),
    ("deployments.frame", {}),
]
FRAMES += [
    ("checkpoints.files_frame", {"checkpoint_id": "c"}),
    ("deployments.logs_frame", {"deployment_id": "d"}),
    ("capabilities.frame", {}),
]
CALLS = [(name, kwargs, args) for name, kwargs, args, *_ in CASES] + [(name, kwargs, ()) for name, kwargs in FRAMES]

HOSTILE_VALUES = [
    b"9" * 400,
    b"-" + b"9" * 5000,
    b"1e999",
    b"1.5",
    b"9223372036854775808",
    b"null",
    b"true",
    b"{}",
    b"[]",
    b'""',
    b"NaN",
    b"-Infinity",
    b'"\\ud800"',
    b'"\xff\xfe"',
    b'"\\u0000\\u001b[2J\\r\\n"',
    b'"' + b"x" * 100_000 + b'"',
    b"[" * 700 + b"]" * 700,
    b"[" * 20_000,
    b'{"message":' * 700 + b"1" + b"}" * 700,
    b'"0001-01-01T00:00:00+23:59"',
    b'"9999-12-31T23:59:59.999999-23:59"',
    b'"2026-07-01T00:00:00"',
    b'"2026-07-01T00:00:00+99:99"',
    b'"99999-01-01T00:00:00Z"',
    b'{"a": 1, "a": 2}',
]
HOSTILE_HEADERS = [
    {},
    {"retry-after": "9" * 400},
    {"retry-after": "1e999"},
    {"retry-after": "-1"},
    {"retry-after": "nan"},
    {"retry-after": "Wed, 21 Oct 2015 07:28:00 +" + "9" * 400},
    {"retry-after": "Wed, 31 Dec 9999 23:59:59 -2359", "date": "Mon, 01 Jan 0001 00:00:00 +2359"},
    {"content-encoding": "gzip"},
    {"content-encoding": "br"},
    {"content-type": "\xff\xfe"},
    {"set-cookie": "a=b; expires=Wed, 99 Foo 99999 99:99:99 GMT; max-age=" + "9" * 400},
    {"x-big": "y" * 90_000},
    {"x-bigger": "y" * 200_000},
    *(
        {"location": where}
        for where in ("//[", "javascript:alert(1)", "http://[::1", "http://127.0.0.1:99999/", "\xff\xfe", "", "/v1/ /x")
    ),
]
STATUSES = [
    200,
    200,
    200,
    201,
    204,
    301,
    302,
    303,
    307,
    308,
    400,
    401,
    403,
    404,
    408,
    409,
    422,
    429,
    500,
    503,
    504,
    599,
    600,
    999,
]
_HERE = "HOSTILE"


def whole(schema: dict[str, Any], depth: int = 4) -> Any:
    """Return a value that a schema of the contract describes, with every optional field."""
    if "$ref" in schema:
        return whole(SPEC["components"]["schemas"][schema["$ref"].rpartition("/")[2]], depth)
    for several in ("oneOf", "anyOf", "allOf"):
        if several in schema and "properties" not in schema:
            return whole(next((one for one in schema[several] if one.get("type") != "null"), {}), depth)
    if "const" in schema or "enum" in schema:
        return schema.get("const") or schema["enum"][0]
    kind = schema.get("type", "object")
    kind = kind if isinstance(kind, str) else kind[0]
    if kind == "object":
        return {name: whole(part, depth - 1) for name, part in schema.get("properties", {}).items()} if depth else {}
    if kind == "array":
        return [whole(schema.get("items", {}), depth - 1)] if depth else []
    if kind == "string":
        return "2026-07-01T20:50:39.854Z" if schema.get("format") == "date-time" else "text"
    return {"integer": 1, "number": 1.5, "boolean": True}.get(kind)


def places(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value of a document."""
    found = [at]
    for key, value in (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    ):
        found += places(value, (*at, key))
    return found


def replaced(document: Any, at: tuple[Any, ...]) -> Any:
    if not at:
        return _HERE
    copy = dict(document) if isinstance(document, dict) else list(document)
    copy[at[0]] = replaced(document[at[0]], at[1:])
    return copy


def body_for(request: Received, pick: int, value: bytes, *, unknown: bool) -> bytes:
    """Return the documented answer to a request, with one value replaced, or with one more field in that value."""
    path = request.target.partition("?")[0]
    operation = SPEC["paths"][template_of(request.method, path)][request.method.lower()]
    document = whole(operation["responses"]["200"]["content"]["application/json"]["schema"])
    if isinstance(document, dict) and document.get("next_page_token"):
        document["next_page_token"] = None
    at = places(document)
    path_of_value = at[pick % len(at)]
    if unknown and isinstance(document, dict):
        inner = next((one for one in document.values() if isinstance(one, dict)), document)
        inner["a_field_of_tomorrow"] = _HERE
        text = json.dumps(document)
    else:
        text = json.dumps(replaced(document, path_of_value))
    return text.encode().replace(f'"{_HERE}"'.encode(), value)


def touched(result: Any) -> None:
    """Look at everything that an object of the client shows."""
    for item in result if isinstance(result, list) else [result]:
        if isinstance(item, APIObject):
            repr(item)
            for name in ("extra", "uri", "lora_adapter_config"):
                getattr(item, name, None)
            item.to_dict()


@pytest.fixture(scope="module")
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer(lambda _: Answer({})) as running:
        yield running


def sync_outcome(url: str, name: str, kwargs: dict[str, Any], args: tuple[Any, ...]) -> None:
    with Loops("key", url, retry=ONCE, timeout=5) as loops:
        group, method = name.split(".")
        result = getattr(getattr(loops, group), method)(*args, **kwargs)
        touched(list(result) if inspect.isgenerator(result) else result)


def async_outcome(url: str, name: str, kwargs: dict[str, Any], args: tuple[Any, ...]) -> None:
    async def go() -> None:
        async with AsyncLoops("key", url, retry=ONCE, timeout=5) as loops:
            group, method = name.split(".")
            pending = getattr(getattr(loops, group), method)(*args, **kwargs)
            touched([one async for one in pending] if isinstance(pending, AsyncIterator) else await pending)

    asyncio.run(go())


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(
    call=st.sampled_from(CALLS),
    pick=st.integers(0, 200),
    value=st.sampled_from(HOSTILE_VALUES) | st.binary(max_size=20),
    unknown=st.booleans(),
    headers=st.sampled_from(HOSTILE_HEADERS),
    status=st.sampled_from(STATUSES),
    flavour=st.sampled_from([sync_outcome, sync_outcome, async_outcome]),
)
def test_any_answer_gives_a_result_or_a_loops_error(
    server: ScriptedServer,
    call: Any,
    *,
    pick: int,
    value: bytes,
    unknown: bool,
    headers: dict[str, str],
    status: int,
    flavour: Any,
) -> None:
    name, kwargs, args = call
    server.received.clear()
    caught: LoopsError | None = None
    server.script = lambda request: Answer(body_for(request, pick, value, unknown=unknown), status, headers)
    try:
        flavour(server.url, name, kwargs, args)
    except LoopsError as error:
        caught = error
    if caught is not None:
        text = str(caught)
        assert text.isprintable()
        assert len(text) < 3000
        assert "a fault of loops_nb" not in text
        # An unknown field is read when it is asked for; the create itself is known then.
        if (
            name.partition(".")[2].startswith(WRITES)
            and 200 <= status < 300
            and "a field that cannot be read" not in text
        ):
            # A team is looked for in the listing of teams; where that cannot be read, nothing else is sent.
            sent = [request.method for request in server.received if request.method != "GET"]
            assert len(sent) == isinstance(caught, OutcomeUnknownError), "a create is never sent twice"
            assert sent or server.received[0].target == "/v1/teams"


RAW = {
    "no http": b"SSH-2.0-OpenSSH_9.6\r\n",
    "status of letters": b"HTTP/1.1 abc OK\r\n\r\n",
    "endless line": b"HTTP/1.1 200 " + b"x" * 300_000,
    "null in a header": b"HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n",
    "negative length": b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
    "length of 5000 digits": b"HTTP/1.1 200 OK\r\ncontent-length: " + b"9" * 5000 + b"\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
    "chunk size of nonsense": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "huge chunk size": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffffff\r\n{}",
    "other transfer encoding": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n{}",
    "only interim answers": b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
    "upgrade": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "cut gzip": b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n" + gzip.compress(b'{"runs": []}')[:-9],
    "no body of a redirect": b"HTTP/1.1 302 Found\r\nlocation: //[\r\n\r\n",
}


@pytest.mark.parametrize("outcome", [sync_outcome, async_outcome], ids=["sync", "async"])
@pytest.mark.parametrize("raw", RAW.values(), ids=RAW.keys())
def test_non_http_bytes_are_an_error_and_a_create_is_outcome_unknown(outcome: Any, raw: bytes) -> None:
    with serving(Answer(raw=raw)) as server:
        with pytest.raises((ServiceUnreachableError, UnreadableAnswerError, RedirectRefusedError, APIError)):
            outcome(server.url, "runs.list", {}, ())
        with pytest.raises((OutcomeUnknownError, APIError)):
            outcome(server.url, "runs.create", NEW_RUN, ())
        assert [request.method for request in server.received] == ["GET", "POST"]


@pytest.mark.parametrize(
    "where",
    ["//[", "http://[", "javascript:alert(1)", "http://127.0.0.1:99999/x", "ftp://x/", "data:,x", "\xff", "/\xff"],
)
@pytest.mark.parametrize("outcome", [sync_outcome, async_outcome], ids=["sync", "async"])
def test_malformed_redirect_is_refused_in_one_line(outcome: Any, where: str) -> None:
    raw = b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\nlocation: " + where.encode("latin-1") + b"\r\n\r\n"
    with serving(Answer(raw=raw)) as server:
        with pytest.raises(RedirectRefusedError, match="the key was not sent there"):
            outcome(server.url, "runs.list", {}, ())
        with pytest.raises(OutcomeUnknownError, match="may or may not have happened"):
            outcome(server.url, "runs.create", NEW_RUN, ())
        assert len(server.received) == 2


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "Infinity"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 +" + "9" * 400}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:30:00 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 120.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "Wed, 21 Oct 2015 07:30:00 GMT"}, 0.0),
        ({"retry-after": "7"}, 7.0),
    ],
)
def test_retry_after_date_uses_the_clock_of_the_service(headers: dict[str, str], wait: float | None) -> None:
    with serving(Answer({"error": "slow"}, 429, headers)) as server, pytest.raises(RateLimitError) as caught:
        sync_outcome(server.url, "runs.list", {}, ())
    assert caught.value.retry_after == wait


@pytest.mark.parametrize("wait", [b"9" * 400, b"-5", b'"nan"', b"1e999", b"true", b"[]", b"9" * 5000])
def test_malformed_retry_after_in_a_body_is_ignored(wait: bytes) -> None:
    with (
        serving(Answer(b'{"error": "slow", "retry_after": ' + wait + b"}", 429)) as server,
        pytest.raises(RateLimitError) as caught,
    ):
        sync_outcome(server.url, "runs.list", {}, ())
    assert caught.value.retry_after is None


ERROR_BODIES = {
    "deep details": b'{"message": "m", "details": ' + b'{"a":' * 800 + b"1" + b"}" * 801,
    "deep list": b"[" * 800 + b"]" * 800,
    "deep message": b'{"message":' * 800 + b'"m"' + b"}" * 800,
    "10 MB of text": b'{"message": "' + b"http://" * 1_500_000 + b'"}',
    "10 MB of HTML": b"<html>" + b"x" * 10_000_000,
    "binary": bytes(range(256)) * 100,
    "escapes": json.dumps({"message": "\x1b]0;owned\x07\x1b[2J\u202egnp", "code": "A\nB"}).encode(),
    "number of 400 digits": b"9" * 400,
}


@pytest.mark.parametrize("body", ERROR_BODIES.values(), ids=ERROR_BODIES.keys())
def test_an_error_body_becomes_one_bounded_line(body: bytes) -> None:
    with serving(Answer(body, 400)) as server, pytest.raises(APIError) as caught:
        sync_outcome(server.url, "runs.list", {}, ())
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    assert len(repr(caught.value.details)) < 10_000


def test_undecodable_unknown_field_fails_on_access() -> None:
    body = b'{"runs": [{"id": "a", "odd": "\xff"}, {"id": "b", "odd": ' + b"9" * 5000 + b"}]}"
    with serving(Answer(body)) as server, Loops("key", server.url) as loops:
        listed = loops.runs.list()
        assert [run.id for run in listed] == ["a", "b"]
        for run in listed:
            with pytest.raises(UnreadableAnswerError, match="a field that cannot be read"):
                _ = run.extra


def test_a_time_without_an_offset_counts_as_utc_and_sorts_with_the_others() -> None:
    runs = [
        {"id": "a", "created_at": "2026-07-01T00:00:00"},
        {"id": "b", "created_at": "2026-07-01T00:00:01Z"},
        {"id": "c"},
    ]
    with serving(Answer({"runs": runs})) as server, Loops("key", server.url) as loops:
        assert [run.id for run in loops.runs.find()] == ["b", "a", "c"]


def test_compressed_answer_is_decompressed_and_a_zip_bomb_refused() -> None:
    packed = gzip.compress(json.dumps({"runs": [{"id": "a"}]}).encode())
    with serving(Answer(packed, headers={"content-encoding": "gzip"})) as server, Loops("key", server.url) as loops:
        assert [run.id for run in loops.runs.list()] == ["a"]
    bomb = gzip.compress(b"[" + b" " * 70_000_000 + b"]", 9)
    with serving(Answer(bomb, headers={"content-encoding": "gzip"})) as server:
        with pytest.raises(UnreadableAnswerError, match="grows too much"):
            sync_outcome(server.url, "runs.list", {}, ())
        with pytest.raises(OutcomeUnknownError, match="grows too much"):
            sync_outcome(server.url, "runs.create", NEW_RUN, ())


@settings(deadline=None)
@given(st.lists(st.binary(max_size=50)), st.integers(1, 20))
def test_compressed_body_does_not_depend_on_chunks(parts: list[bytes], size: int) -> None:
    whole_body = b"".join(parts)
    packed = zlib.compress(whole_body)
    body = Body({"content-encoding": "deflate"})
    for at in range(0, len(packed), size):
        body.add(packed[at : at + size])
    assert body.end() == whole_body


def test_fault_in_a_decoder_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UnreadableAnswerError, match=r"ZeroDivisionError.*a fault of loops_nb"), readable():
        _ = 1 // 0
    assert "Traceback" in caplog.text
