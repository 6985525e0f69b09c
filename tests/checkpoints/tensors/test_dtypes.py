"""Number formats, bit by bit."""

from __future__ import annotations

import math
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

from loops_nb.checkpoints.tensors.dtypes import BITS, READERS
from loops_nb.checkpoints.tensors.folder import open_folder
from loops_nb.errors import UnreadableTensorsError
from tests.checkpoints.tensors.safetensors_files import file_of, one, put
from tests.frames.strategies import ANY_MACHINE


def read(folder: Path, dtype: str, raw: bytes, shape: tuple[int, ...] | None = None) -> npt.NDArray[Any]:
    """Write a tensor of these bytes to a file and read it."""
    count = len(raw) * 8 // BITS.get(dtype, 8)
    put(folder, {"model.safetensors": file_of({"t": one(dtype, list(shape or (count,)), [0, len(raw)])}, raw)})
    return open_folder(folder).tensor("t")


def same_bits(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> bool:
    """Whether two arrays are equal, including signs of zeros and positions of NaN."""
    is_same = found.dtype == expected.dtype and found.shape == expected.shape
    return is_same and bool(
        np.all((np.isnan(found) & np.isnan(expected)) | (found.view(np.uint32) == expected.view(np.uint32)))
    )


def test_float16_is_read_exactly(tmp_path: Path) -> None:
    raw = np.arange(1 << 16, dtype="<u2").tobytes()
    expected = np.array([value for (value,) in struct.iter_unpack("<e", raw)], np.float32)
    assert same_bits(read(tmp_path, "F16", raw), expected)


def test_bfloat16_is_read_exactly(tmp_path: Path) -> None:
    raw = np.arange(1 << 16, dtype="<u2").tobytes()
    # The upper half of a float32, most significant bytes first.
    wide = b"".join(struct.pack(">HH", code, 0) for (code,) in struct.iter_unpack("<H", raw))
    expected = np.frombuffer(wide, ">f4").astype(np.float32)
    assert same_bits(read(tmp_path, "BF16", raw), expected)


def test_bfloat16_matches_known_values(tmp_path: Path) -> None:
    codes = {
        0x3F80: 1.0,
        0xC040: -3.0,
        0x7F80: math.inf,
        0xFF80: -math.inf,
        0x0001: 2.0**-133,
        0x7F7F: (2 - 2**-7) * 2.0**127,
        0x8000: -0.0,
    }
    found = read(tmp_path, "BF16", np.array(list(codes), "<u2").tobytes())
    assert found.tolist() == list(codes.values())
    assert math.copysign(1, found[-1]) == -1
    assert np.isnan(read(tmp_path, "BF16", np.array([0x7FC0, 0xFFC0, 0x7F81], "<u2").tobytes())).all()


def test_float8_e5m2_is_read_exactly(tmp_path: Path) -> None:
    # The upper half of a float16.
    expected = np.array([struct.unpack(">e", bytes([code, 0]))[0] for code in range(256)], np.float32)
    assert same_bits(read(tmp_path, "F8_E5M2", bytes(range(256))), expected)


def e4m3(code: int) -> float:
    """Return an E4M3 number by definition: 4 exponent bits (bias 7), 3 fraction bits, no infinity, one NaN per sign."""
    sign, exponent, fraction = (-1.0 if code >= 128 else 1.0), code // 8 % 16, code % 8
    if exponent == 15 and fraction == 7:
        return math.nan
    return sign * (fraction * 2.0**-9 if exponent == 0 else math.ldexp(8 + fraction, exponent - 10))


def test_float8_e4m3_is_read_exactly(tmp_path: Path) -> None:
    found = read(tmp_path, "F8_E4M3", bytes(range(256)))
    assert same_bits(found, np.array([e4m3(code) for code in range(256)], np.float32))
    assert found[[0x00, 0x01, 0x08, 0x38, 0x7E, 0xFE]].tolist() == [0.0, 2.0**-9, 2.0**-6, 1.0, 448.0, -448.0]
    assert math.copysign(1, found[0x80]) == -1
    assert np.flatnonzero(np.isnan(found)).tolist() == [0x7F, 0xFF]


@pytest.mark.parametrize("dtype", ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"])
@ANY_MACHINE
@given(data=st.data())
def test_arrays_of_the_library_are_read_back(
    tmp_path_factory: pytest.TempPathFactory, dtype: str, data: st.DataObject
) -> None:
    shape = tuple(data.draw(st.lists(st.integers(0, 4), max_size=3)))
    raw = data.draw(
        st.binary(
            min_size=math.prod(shape) * np.dtype(dtype).itemsize, max_size=math.prod(shape) * np.dtype(dtype).itemsize
        )
    )
    array = np.frombuffer(bytes(byte & 1 for byte in raw) if dtype == "?" else raw, dtype).reshape(shape)
    folder = put(tmp_path_factory.mktemp("t"), {"model.safetensors": save({"t": array})})
    found = open_folder(folder).tensor("t")
    theirs = load(save({"t": array}))["t"]
    with warnings.catch_warnings():
        # NumPy warns of signalling NaN in the conversion of this test.
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = theirs.astype(np.float32) if dtype == "f2" else theirs
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    if dtype in {"f8", "f4"}:
        assert found.tobytes() == expected.tobytes()
    else:
        np.testing.assert_array_equal(found, expected)
    assert found.flags.writeable
    assert found.flags.c_contiguous


def test_nonzero_bytes_are_true(tmp_path: Path) -> None:
    assert read(tmp_path, "BOOL", bytes([0, 1, 2, 255])).tolist() == [False, True, True, True]


@pytest.mark.parametrize("dtype", sorted(set(BITS) - set(READERS)) + ["F2_SOON"])
def test_unreadable_format_is_refused_and_raw_works(tmp_path: Path, dtype: str) -> None:
    raw = bytes(range(24))
    with pytest.raises(UnreadableTensorsError, match=f"t in model.safetensors of .* has the number format {dtype}"):
        read(tmp_path, dtype, raw)
    checkpoint = open_folder(tmp_path)
    assert checkpoint.raw(checkpoint.tensors["t"]) == raw
    with pytest.raises(UnreadableTensorsError, match=dtype):
        list(checkpoint.read_many([*checkpoint.infos, *checkpoint.infos]))


@pytest.mark.parametrize("dtype", ["F64", "F32", "BF16", "F8_E4M3"])
def test_tensor_read_in_pieces_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str) -> None:
    raw = np.random.default_rng(1).bytes(1000)
    whole = read(tmp_path, dtype, raw)
    monkeypatch.setattr("loops_nb.checkpoints.tensors.checkpoint.PIECE", 64)
    np.testing.assert_array_equal(read(tmp_path, dtype, raw), whole)


def test_scalar_and_empty_tensor_are_read(tmp_path: Path) -> None:
    put(tmp_path, {"m.safetensors": save({"one": np.array(2.5, np.float32), "none": np.zeros((0, 7), np.float16)})})
    checkpoint = open_folder(tmp_path)
    assert checkpoint.tensor("one").shape == ()
    assert checkpoint.tensor("one") == 2.5
    assert checkpoint.tensor("none").shape == (0, 7)
    assert checkpoint.raw(checkpoint.tensors["none"]) == b""
