"""Header parser: agrees with the safetensors library on valid files, and refuses all others."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import deserialize
from safetensors.numpy import save

from loops_nb.checkpoints.tensors.dtypes import BITS
from loops_nb.checkpoints.tensors.header import LONGEST_HEADER
from loops_nb.checkpoints.tensors.info import TensorInfo
from loops_nb.errors import UnreadableTensorsError
from tests.checkpoints.tensors.safetensors_files import adapter, file_of, one, parsed
from tests.frames.strategies import ANY_MACHINE, JUNK

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda name: name != "__metadata__"
)
SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)


@st.composite
def documents(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """Draw a valid header, and the data that it describes."""
    header: dict[str, Any] = {}
    if draw(st.booleans()):
        header["__metadata__"] = draw(st.dictionaries(NAMES, NAMES, max_size=2))
    at = 0
    for name in draw(st.lists(NAMES, unique=True, max_size=6)):
        dtype, shape = draw(st.sampled_from(sorted(BITS))), list(draw(SHAPES))
        bits = int(np.prod(shape, dtype=np.int64)) * BITS[dtype]
        if bits % 8:
            shape, bits = [*shape, 8], bits * 8
        header[name] = one(dtype, shape, [at, at + bits // 8])
        at += bits // 8
    order = draw(st.permutations(list(header)))
    return {name: header[name] for name in order}, bytes(at)


def theirs(file: bytes) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Return the tensors of a file as the library reads them."""
    found: list[tuple[str, dict[str, Any]]] = deserialize(file)  # type: ignore[no-untyped-call]
    return {name: (entry["dtype"], tuple(entry["shape"]), bytes(entry["data"])) for name, entry in found}


def data_of(file: bytes, info: TensorInfo) -> bytes:
    return file[info.first : info.last]


@ANY_MACHINE
@given(documents())
def test_parser_agrees_with_the_library(document: tuple[dict[str, Any], bytes]) -> None:
    header, data = document
    file = file_of(header, bytes(np.arange(len(data), dtype=np.uint8)))
    assert {info.name: (info.dtype, info.shape, data_of(file, info)) for info in parsed(file)} == theirs(file)


@ANY_MACHINE
@given(
    st.lists(
        st.tuples(NAMES, SHAPES, st.sampled_from(["f4", "f2", "f8", "i8", "u1", "?"])),
        max_size=6,
        unique_by=lambda item: item[0],
    )
)
def test_files_of_the_library_are_read(drawn: list[tuple[str, tuple[int, ...], str]]) -> None:
    arrays = {name: np.ones(shape, dtype) for name, shape, dtype in drawn}
    file = save(arrays)
    found = {info.name: info for info in parsed(file)}
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        assert found[name].shape == array.shape
        assert found[name].parameters == array.size
        assert found[name].nbytes == array.nbytes
        assert data_of(file, found[name]) == array.tobytes()


def test_tensors_are_ordered_by_offset() -> None:
    file = file_of({"z": one(offsets=[0, 8]), "a": one(offsets=[16, 24]), "m": one(offsets=[8, 16])}, bytes(24))
    assert [info.name for info in parsed(file)] == ["z", "m", "a"]


def test_padding_belongs_to_the_header() -> None:
    raw = json.dumps({"a": one()}).encode() + b"   "
    (info,) = parsed(file_of(raw, bytes(8)))
    assert (info.first, info.last) == (8 + len(raw), 16 + len(raw))


def test_unknown_number_format_is_listed() -> None:
    (info,) = parsed(file_of({"a": one("F2_SOON", [3], [0, 5])}, bytes(5)))
    assert (info.dtype, info.shape, info.nbytes) == ("F2_SOON", (3,), 5)


def test_file_without_tensors_is_empty() -> None:
    assert parsed(file_of({})) == ()
    assert parsed(file_of({"__metadata__": {"format": "pt"}})) == ()


TWO = {"a": one(offsets=[0, 8]), "b": one(offsets=[8, 16])}
REFUSED: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "less than any such file"),
    "seven bytes": (bytes(7), "it has 7 bytes"),
    "a header behind the end": (file_of({}, length=3), "its header would be 3 bytes long, and the file has 10 bytes"),
    "a header of 2**64 bytes": (file_of({}, length=2**64 - 1), "its header would be an absurd number of bytes long"),
    "a header above the limit": (file_of({}, length=LONGEST_HEADER + 1), "100.0 MB is the most"),
    "no header": (file_of(b""), "does not start as one"),
    "leading space": (file_of(b" {}"), "does not start as one"),
    "html": (b"<!DOCTYPE html><html><body>Sign in</body></html>", "absurd|its header would be"),
    "cut JSON": (file_of(b'{"a":'), "not complete JSON"),
    "two documents": (file_of(b"{}{}"), "not complete JSON"),
    "no UTF-8": (file_of(b'{"\xff":1}'), "not complete JSON"),
    "a number of many digits": (file_of(b'{"a":' + b"9" * 5000 + b"}"), "not complete JSON"),
    "deep": (file_of(b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"), "nested too deeply"),
    "NaN": (file_of(b'{"a":NaN}'), "holds NaN"),
    "a name twice": (file_of(b'{"a":%b,"a":%b}' % ((json.dumps(one()).encode(),) * 2), bytes(8)), "has 'a' twice"),
    "a key twice": (
        file_of(b'{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}', bytes(8)),
        "has 'dtype' twice",
    ),
    "metadata that is a list": (file_of({"__metadata__": []}), "metadata"),
    "metadata that holds a number": (file_of({"__metadata__": {"a": 1}}), "metadata"),
    "no description": (file_of({"a": 1}), "does not describe 'a'"),
    "an empty description": (file_of({"a": {}}), "no dtype of 'a'"),
    "a dtype that is a number": (file_of({"a": one(32)}, bytes(8)), "no dtype of 'a'"),
    "metadata with half a character": (file_of(b'{"__metadata__":{"format":"\\ud800"}}'), "are not texts"),
    "a name that is no text": (file_of(b'{"\\ud800":%b}' % json.dumps(one()).encode(), bytes(8)), "is no text"),
    "no shape": (file_of({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, bytes(8)), "no usable shape of 'a'"),
    "a shape below zero": (file_of({"a": one(shape=[-2])}, bytes(8)), "no usable shape of 'a'"),
    "a shape of halves": (file_of({"a": one(shape=[2.0])}, bytes(8)), "no usable shape of 'a'"),
    "a shape of truth": (file_of({"a": one(shape=[True, 2])}, bytes(8)), "no usable shape of 'a'"),
    "a shape of infinity": (
        file_of(b'{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,8]}}', bytes(8)),
        "no usable shape of 'a'",
    ),
    "a shape above 64 bits": (file_of({"a": one(shape=[2**64, 0], offsets=[0, 0])}), "no usable shape of 'a'"),
    "a shape whose product is too large": (
        file_of({"a": one(shape=[2**40, 2**40, 0], offsets=[0, 0])}),
        "no array can have the shape of 'a'",
    ),
    "forty dimensions": (
        file_of({"a": one(shape=[1] * 40, offsets=[0, 4])}, bytes(4)),
        "no array can have the shape of 'a'",
    ),
    "offsets that are one number": (file_of({"a": one(offsets=8)}, bytes(8)), "does not tell where 'a' lies"),
    "three offsets": (file_of({"a": one(offsets=[0, 4, 8])}, bytes(8)), "does not tell where 'a' lies"),
    "offsets below zero": (file_of({"a": one(offsets=[-8, 0])}, bytes(8)), "does not tell where 'a' lies"),
    "offsets that run backwards": (file_of({"a": one(offsets=[8, 0])}, bytes(8)), "does not tell where 'a' lies"),
    "offsets behind the end": (
        file_of({"a": one(offsets=[0, 8])}, bytes(7)),
        "'a' would end 1 byte behind the end of the file",
    ),
    "far behind the end": (file_of({"a": one(offsets=[0, 2**62])}, bytes(8)), "behind the end of the file"),
    "another extent": (file_of({"a": one("F64")}, bytes(8)), "'a' is 2 of F64, which does not fit its 8 bytes"),
    "half a byte": (file_of({"a": one("F4", [1], [0, 1])}, bytes(1)), "'a' is 1 of F4"),
    "overlapping": (file_of({"a": one(), "b": one(offsets=[4, 12])}, bytes(12)), "'a' and 'b' overlap"),
    "the same place twice": (file_of({"a": one(), "b": one()}, bytes(8)), "overlap"),
    "a hole": (file_of({"a": one(), "b": one(offsets=[9, 17])}, bytes(17)), "a hole of 1 byte before 'b'"),
    "a hole at the start": (file_of({"a": one(offsets=[2, 10])}, bytes(10)), "a hole of 2 bytes before 'a'"),
    "bytes behind the last": (file_of(TWO, bytes(20)), "its last 4 bytes belong to no tensor"),
    "bytes of no tensor": (file_of({}, bytes(3)), "it holds 3 bytes that belong to no tensor"),
}


@pytest.mark.parametrize(("file", "says"), REFUSED.values(), ids=REFUSED)
def test_invalid_header_is_refused_with_the_file_name(file: bytes, says: str) -> None:
    with pytest.raises(UnreadableTensorsError, match=says) as refused:
        parsed(file, place="adapter_model.safetensors of r1/weights/step-1")
    assert refused.value.message.startswith(
        "adapter_model.safetensors of r1/weights/step-1 is not a safetensors file that can be read: "
    )
    assert refused.value.message.endswith("Nothing of it was used.")
    assert len(str(refused.value)) < 600


@pytest.mark.parametrize("file", [file for file, _ in REFUSED.values()], ids=REFUSED)
def test_refusal_is_not_cached_as_success(file: bytes) -> None:
    for _ in range(2):
        with pytest.raises(UnreadableTensorsError):
            parsed(file)


def test_long_name_is_abbreviated_in_errors() -> None:
    with pytest.raises(UnreadableTensorsError) as refused:
        parsed(file_of({"n" * 100_000: one("F64")}, bytes(8)))
    assert len(str(refused.value)) < 600


def holds(file: bytes, infos: tuple[TensorInfo, ...]) -> None:
    """Check the invariants of accepted headers."""
    at = 8 + int.from_bytes(file[:8], "little")
    for info in infos:
        assert info.first == at
        assert info.last >= info.first
        assert np.empty(info.shape, np.bool_).size == info.parameters if info.parameters < 10_000 else True
        at = info.last
    assert at == len(file)
    assert len({info.name for info in infos}) == len(infos)


def survives(file: bytes) -> None:
    """Check that a file is refused, or read in agreement with the library."""
    try:
        infos = parsed(file)
    except UnreadableTensorsError:
        return
    holds(file, infos)
    if all(info.dtype in BITS for info in infos):
        assert set(theirs(file)) == {info.name for info in infos}


@ANY_MACHINE
@given(
    documents(),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
    st.integers(-3, 3),
)
def test_changed_bytes_are_valid_or_refused(
    document: tuple[dict[str, Any], bytes], changes: list[tuple[int, int]], cut: int
) -> None:
    file = bytearray(file_of(*document))
    for at, value in changes:
        file[at % len(file)] = value
    survives(bytes(file[:cut] if cut < 0 else file + bytes(cut)))


#: Copies: the test changes lists that it has drawn before.
ODD = JUNK | st.sampled_from(
    [2**31, 2**63, 2**64, 10**400, -1, 1e308, True, [], [0, 0], [2**63, 2**63], "F32", "\ud800", {}]
).map(deepcopy)


@ANY_MACHINE
@given(documents(), st.data())
def test_changed_values_are_valid_or_refused(document: tuple[dict[str, Any], bytes], data: st.DataObject) -> None:
    header, body = document
    header = json.loads(json.dumps(header))
    for _ in range(data.draw(st.integers(1, 2))):
        if not header or data.draw(st.booleans()):
            header[data.draw(NAMES)] = data.draw(ODD)
            continue
        name = data.draw(st.sampled_from(sorted(header)))
        entry = header[name]
        if isinstance(entry, dict) and data.draw(st.booleans()):
            field = data.draw(st.sampled_from(["dtype", "shape", "data_offsets"]))
            old = entry.get(field)
            if isinstance(old, list) and old and data.draw(st.booleans()):
                old[data.draw(st.integers(0, len(old) - 1))] = data.draw(ODD | st.integers(0, 40))
            else:
                entry[field] = data.draw(ODD)
        else:
            header[name] = data.draw(ODD)
    survives(file_of(header, body))


@ANY_MACHINE
@given(st.binary(max_size=200))
def test_any_bytes_are_valid_or_refused(file: bytes) -> None:
    survives(file)
    survives(len(file).to_bytes(8, "little") + file)
    survives(file_of(b"{" + file))


def test_equal_headers_share_their_tensors() -> None:
    first, second = (save(adapter(seed=seed)) for seed in (1, 2))
    assert parsed(first)[0] is parsed(second)[0]
    assert parsed(first, "another.safetensors")[0].file == "another.safetensors"
