"""Causes that log lines tell."""

from __future__ import annotations

import pytest

from loops_nb.client.diagnosis import CAUSES


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", "out_of_memory"),
        ("trainer process 71 was ended by signal 9", "out_of_memory"),
        ("container exited with code 137", "out_of_memory"),
        ("OSError: [Errno 28] No space left on device", "disk_full"),
        ("401 Client Error: Cannot access gated repo for url", "no_access"),
        ("no capacity for H100 x 8", "no_capacity"),
        ("forward_backward: the loss is nan", "not_finite"),
        ("RuntimeError: CUDA error: an illegal memory access was encountered", "hardware"),
        ("room 1370 out of reach, memory is fine", ""),
        ("step 137, 42 tokens, gradient norm 9", ""),
        ("KeyError: 'labels'", ""),
    ],
)
def test_cause_of_a_line(line: str, cause: str) -> None:
    assert next((one.name for one in CAUSES if one.words.search(line)), "") == cause
