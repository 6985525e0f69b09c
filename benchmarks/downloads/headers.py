"""Headers of two hundred remote checkpoints: ours, ours with a cache, and one request at a time."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.downloads.measure import python_tells
from benchmarks.downloads.nginx_server import DELAY, LATE, OriginServer, Source
from benchmarks.rounds import Ratio, compare, table, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable

#: What it is chosen by, beside the cases.
KEY = "headers"
CHECKPOINTS = 200
ROUNDS = 3
#: Of the bytes of all files; adapters of 10 MB and more.
SHARE = 0.01
_LAYERS, _RANK, _WIDTH = 24, 8, 1024
_MODULES = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)
_CONFIGURATION = {
    "peft_type": "LORA",
    "r": _RANK,
    "lora_alpha": 16,
    "target_modules": [name.split(".")[1] for name in _MODULES],
}
NOTE = (
    "{checkpoints} adapters of {size:.1f} MB with {tensors} tensors each, from nginx on 127.0.0.1 with {delay:.0f} ms "
    "to the first byte of a file, in a fresh process, without its imports. One after the other: listing, length, "
    "header and configuration over one shared httpx client, nothing made of them but what `json.loads` gives. The "
    "share is of the bytes of all files; against a limit the ratio is limit / ours."
)


def run(origin: OriginServer, interpreter: Path, rounds: int) -> str:
    """Measure and return the table."""
    adapter = _adapter(origin.files / "adapter")
    for number in range(CHECKPOINTS):
        origin.publish(f"adapter{number}", adapter, LATE)
    told: dict[str, list[dict[str, Any]]] = {"one": [], "fresh": [], "known": []}
    with tempfile.TemporaryDirectory(dir=origin.folder) as empty:
        # Each round reads all headers into a cache of its own, which "known" then finds.
        turns = iter(range(rounds * len(told)))

        def ask(method: str, cache: str) -> float:
            told[method].append(
                python_tells(
                    interpreter, "benchmarks.downloads.headers_worker", method, origin.url, str(CHECKPOINTS), cache
                )
            )
            return float(told[method][-1]["seconds"])

        def fresh() -> float:
            return ask("fresh", str(Path(empty, f"fresh{next(turns)}")))

        kept = str(Path(empty, "kept"))
        python_tells(interpreter, "benchmarks.downloads.headers_worker", "fresh", origin.url, str(CHECKPOINTS), kept)
        ways: dict[str, Callable[[], float]] = {
            "one": lambda: ask("one", ""),
            "fresh": fresh,
            "known": lambda: ask("known", kept),
        }
        seconds = take_turns(ways, rounds)
    peer = "one after the other"
    shares = [each["fetched"] / each["total"] for each in told["fresh"]]
    lines = [
        compare(f"{CHECKPOINTS} checkpoints opened", peer, seconds["fresh"], seconds["one"], unit="s"),
        compare(
            f"{CHECKPOINTS} checkpoints opened again, from the cache", peer, seconds["known"], seconds["one"], unit="s"
        ),
        Ratio(
            "share of the bytes that was fetched",
            "limit",
            SHARE / max(shares),
            ">= 1",
            f"{max(shares):.2%}",
            f"{SHARE:.0%}",
            (SHARE / max(shares), SHARE / min(shares)),
        ),
    ]
    assert not any(each["fetched"] for each in told["known"]), "what the cache knows was fetched"
    size, tensors = sum(source.size for source in adapter) / 1e6, _LAYERS * len(_MODULES) * 2
    return table(
        "Remote headers",
        NOTE.format(checkpoints=CHECKPOINTS, size=size, tensors=tensors, delay=DELAY * 1e3),
        lines,
    )


def _adapter(folder: Path) -> list[Source]:
    """Write a LoRA adapter whose tensors are holes, and return its files."""
    folder.mkdir()
    entries: dict[str, Any] = {}
    at = 0
    for layer in range(_LAYERS):
        for module in _MODULES:
            for half, shape in (("A", [_RANK, _WIDTH]), ("B", [_WIDTH, _RANK])):
                end = at + 4 * _RANK * _WIDTH
                name = f"base_model.model.model.layers.{layer}.{module}.lora_{half}.weight"
                entries[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, end]}
                at = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)
    size = 8 + len(text) + at
    with (folder / "adapter_model.safetensors").open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(size)
    (folder / "adapter_config.json").write_text(json.dumps(_CONFIGURATION))
    names = (f"{folder.name}/adapter_model.safetensors", f"{folder.name}/adapter_config.json")
    return [Source(name, (folder.parent / name).stat().st_size) for name in names]
