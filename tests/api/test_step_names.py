"""The step in a checkpoint's name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.api.step_names import step_of
from tests.frames.strategies import ANY_MACHINE


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("step-100", 100),
        ("step_000100", 100),
        ("step100", 100),
        ("Step.7", 7),
        ("STEP=7", 7),
        ("ckpt-100", 100),
        ("checkpoint-2000", 2000),
        ("checkpoint_0", 0),
        ("iter-5", 5),
        ("iteration_12", 12),
        ("global_step_40", 40),
        ("globalstep40", 40),
        ("epoch-2-step-100", 100),
        ("step-100-of-500", 100),
        ("step-100-final", 100),
        ("sft-v2-step-30", 30),
        ("100-steps", 100),
        ("100steps", 100),
        ("000100", 100),
        ("step-100-0123456789abcdef0123456789abcdef", 100),
        ("step-100-0123456789abcdef0123456789abcdef-0123456789abcdef0123456789abcdef", 100),
        ("final", None),
        ("", None),
        ("step-", None),
        ("step-10k", None),
        ("step-1.5", None),
        ("epoch-3", None),
        ("v2", None),
        ("qwen3-8b", None),
        ("lora-r64", None),
        ("2026-11-21", None),
        ("lr-1e-4", None),
        ("substep-3", None),
        ("footstep-3", None),
        ("step-٣", None),
        ("step-" + "9" * 19, None),
        ("9" * 19, None),
        ("final-0123456789abcdef0123456789abcdef", None),
    ],
)
def test_names(name: str, step: int | None) -> None:
    assert step_of(name) == step


@ANY_MACHINE
@given(
    st.integers(0, 10**12),
    st.sampled_from(["step-", "step_", "step", "ckpt-", "checkpoint-", "iter_", "global_step_", ""]),
    st.integers(0, 12),
)
def test_every_padding_tells_the_same_step(step: int, before: str, width: int) -> None:
    assert step_of(f"{before}{step:0{width}d}") == step


@ANY_MACHINE
@given(st.text())
def test_any_text_is_a_step_that_fits_64_bits_or_none(name: str) -> None:
    step = step_of(name)
    assert step is None or 0 <= step < 2**63
