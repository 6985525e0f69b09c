"""Measures steps of our model and of the peers in one process, turn by turn, and prints the figures as JSON.

It runs in the environment with PyTorch, with the number of threads that its caller set for both.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch  # in the peers' environment only
from safetensors.numpy import load

from benchmarks.rounds import take_turns
from benchmarks.training.peer import Peer
from loops_nb.local.nn.learner import Learner
from loops_nb.local.weights.formats import ADAPTER, GRADIENT

SEQUENCES, LENGTH = 4, 128
RATE = 1e-3
#: Steps that both take from the same start, to compare their numbers.
COMPARED = 20
#: Steps of one round.
STEPS = 10


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", required=True)
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    source = np.random.default_rng(1)
    batches = [source.integers(0, 256, (SEQUENCES, LENGTH + 1)) for _ in range(8)]
    print(
        json.dumps(
            {"apart": apart(asked.size, asked.rank, batches), **times(asked.size, asked.rank, batches, asked.rounds)}
        )
    )


def apart(size: str, rank: int, batches: list[Any]) -> dict[str, float]:
    """Return the differences to the peer: gradients of the first step, losses and weights over some steps."""
    ours = Learner(base_model=size, lora_rank=rank, seed=1)
    # A new adapter is half zeros, and so is its gradient.
    for batch in batches[:3]:
        our_step(ours, data_of(batch))
    theirs = Peer(size, tensors_in(ours, ADAPTER), merged=False)
    start = Learner(base_model=size, lora_rank=rank)
    with tempfile.TemporaryDirectory() as folder:
        for file in ours.sampler_files():
            Path(folder, file.name).write_bytes(file.data)
        start.restore(Path(folder), optimizer=False)
    optimizer = theirs.optimizer(RATE)
    gradient, loss = 0.0, 0.0
    for number in range(COMPARED):
        batch = batches[number % len(batches)]
        result = start.forward(data_of(batch), loss_fn="cross_entropy", backward=True)
        if number == 0:
            theirs.loss(*tensors_of(batch)).backward()
            for name, found in tensors_in(start, GRADIENT).items():
                gradient = max(gradient, relative(found / (SEQUENCES * LENGTH), theirs.weights[name].grad.numpy()))
        start.optim_step({"learning_rate": RATE})
        loss = max(loss, abs(result["loss"] / theirs.step(optimizer, *tensors_of(batch)) - 1))
    ended = tensors_in(start, ADAPTER)
    weights = max(relative(found, theirs.weights[name].detach().numpy()) for name, found in ended.items())
    return {"gradient": gradient, "loss": loss, "weights": weights}


def tensors_in(model: Learner, name: str) -> dict[str, Any]:
    """Return the tensors of one of the files that a model saves."""
    found: dict[str, Any] = load(next(file.data for file in model.trainer_files() if file.name == name))
    return found


def times(size: str, rank: int, batches: list[Any], rounds: int) -> dict[str, list[float]]:
    """Return seconds per step of every implementation, by round."""
    ours = Learner(base_model=size, lora_rank=rank, seed=1)
    thin, merged = (Peer(size, tensors_in(ours, ADAPTER), merged=way) for way in (False, True))
    ways: dict[str, Callable[[], float]] = {
        "ours": lambda: timed(lambda batch: our_step(ours, batch), [data_of(batch) for batch in batches]),
        "thin": lambda: timed(peer_step(thin), [tensors_of(batch) for batch in batches]),
        "merged": lambda: timed(peer_step(merged), [tensors_of(batch) for batch in batches]),
    }
    take_turns(ways, 1)
    return take_turns(ways, rounds)


def timed(step: Callable[[Any], object], batches: list[Any]) -> float:
    """Return the seconds of the fastest of some steps: others at work on the machine only add to it."""
    found = []
    for number in range(STEPS):
        start = time.perf_counter()
        step(batches[number % len(batches)])
        found.append(time.perf_counter() - start)
    return min(found)


def our_step(model: Learner, data: list[dict[str, Any]]) -> None:
    """Take a step as the trainer takes it: from the JSON of a request to the JSON of its result."""
    model.forward(data, loss_fn="cross_entropy", backward=True)
    model.optim_step({"learning_rate": RATE})


def peer_step(peer: Peer) -> Callable[[Any], object]:
    """Return the step of a peer, from tensors that are there already."""
    optimizer = peer.optimizer(RATE)
    return lambda batch: peer.step(optimizer, *batch)


def data_of(batch: Any) -> list[dict[str, Any]]:
    """Return a batch as data of a request."""
    return [
        {
            "model_input": {"chunks": [{"type": "encoded_text", "tokens": row[:-1].tolist()}]},
            "loss_fn_inputs": {"target_tokens": {"data": row[1:].tolist(), "dtype": "int64", "shape": [LENGTH]}},
        }
        for row in batch
    ]


def tensors_of(batch: Any) -> tuple[Any, Any]:
    """Return a batch as torch's tensors."""
    return torch.tensor(batch[:, :-1].copy()), torch.tensor(batch[:, 1:].copy())


def relative(ours: Any, theirs: Any) -> float:
    """Return the distance of two arrays, by the size of the second."""
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


if __name__ == "__main__":
    main()
