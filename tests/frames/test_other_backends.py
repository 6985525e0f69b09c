"""Listings that went through Parquet with Arrow's dtypes, ``convert_dtypes`` or objects keep their methods."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest

from loops_nb import Loops
from loops_nb.magics.listing_table import listing_table
from loops_nb.render.tables import as_text
from tests.service import running_service

RUN = "p2syas8"


@pytest.fixture(scope="module")
def listings() -> Iterator[dict[str, pd.DataFrame]]:
    with running_service(sample=True, in_process=True) as service, Loops(service.key, service.url) as loops:
        checkpoints = loops.checkpoints.frame(run_id=RUN)
        yield {
            "runs": loops.runs.frame(),
            "samplers": loops.samplers.frame(),
            "deployments": loops.deployments.frame(),
            "checkpoints": checkpoints,
            "files": loops.checkpoints.files_frame(str(checkpoints["id"].iloc[0])),
        }


def through_parquet(frame: pd.DataFrame) -> pd.DataFrame:
    data = io.BytesIO()
    frame.to_parquet(data)
    return pd.read_parquet(data, dtype_backend="pyarrow")


def picture(frame: pd.DataFrame, name: str) -> str:
    """The page of a picture, without the id that each picture has for itself."""
    plots: Any = frame.loops.plot
    return re.sub(r"lp[0-9a-f]{6}(-\d+(?=-))?", "", getattr(plots, name)()._repr_mimebundle_()["text/html"])


BACKENDS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "parquet with Arrow's dtypes": through_parquet,
    "convert_dtypes": lambda frame: frame.convert_dtypes(dtype_backend="pyarrow"),
    "objects": lambda frame: frame.astype(object),
}
METHODS: dict[str, tuple[tuple[str, ...], Callable[[pd.DataFrame], Any]]] = {
    "latest": (
        ("runs", "samplers", "deployments", "checkpoints", "files"),
        lambda frame: frame.loops.latest()["created_at" if "created_at" in frame else "last_modified"].tolist(),
    ),
    "timeline": (
        ("runs", "samplers", "deployments", "checkpoints", "files"),
        lambda frame: frame.loops.timeline().to_csv(),
    ),
    "by_step": (("checkpoints",), lambda frame: frame.loops.by_step()["checkpoint_id"].tolist()),
    "uri": (("checkpoints",), lambda frame: frame.loops.uri.tolist()),
    "total_bytes": (("checkpoints", "files"), lambda frame: frame.loops.total_bytes),
    "plot.timeline": (("checkpoints",), lambda frame: picture(frame, "timeline")),
    "plot.sizes": (("checkpoints",), lambda frame: picture(frame, "sizes")),
    "display": (
        ("runs", "samplers", "deployments", "checkpoints", "files"),
        lambda frame: as_text(listing_table(frame, frame.loops.kind, row_limit=20, time_zone="UTC"), 200),
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("method", METHODS)
def test_a_listing_with_other_dtypes_gives_the_same(
    method: str, backend: str, listings: dict[str, pd.DataFrame]
) -> None:
    if (method, backend) == ("display", "objects"):
        pytest.skip("a column of objects is not aligned as numbers are")
    kinds, call = METHODS[method]
    for kind in kinds:
        frame = listings[kind]
        other = BACKENDS[backend](frame)
        other.attrs = dict(frame.attrs)
        assert call(other) == call(frame), kind
