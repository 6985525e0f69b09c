"""Registers ``df.loops`` with pandas, for every program that makes a frame of this package."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pandas as pd


@pd.api.extensions.register_dataframe_accessor("loops")
class _Accessor:
    """Stands for `loops_nb.accessor.LoopsAccessor`, which is imported when it is used."""

    def __new__(cls, frame: pd.DataFrame) -> Any:
        # By name: the accessor's methods use the packages that make frames.
        return import_module("loops_nb.accessor").LoopsAccessor(frame)
