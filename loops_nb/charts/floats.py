"""Arithmetic of pictures under NumPy's default error handling, whatever the user has set."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

_Given = ParamSpec("_Given")
_Returned = TypeVar("_Returned")


def ignore_float_errors(function: Callable[_Given, _Returned]) -> Callable[_Given, _Returned]:
    """Run a function with NumPy's floating-point errors ignored, and restore the user's settings afterwards.

    Pictures are drawn of denormals, infinities and NaN, where ``np.seterr(all="raise")`` or ``-W error`` would raise.
    """

    # A new context each time: one instance of np.errstate cannot be entered by two threads.
    @functools.wraps(function)
    def wrapped(*given: _Given.args, **named: _Given.kwargs) -> _Returned:
        with np.errstate(all="ignore"):
            return function(*given, **named)

    return wrapped
