"""Worker process: reads calls from its standard input and writes replies to its standard output.

It ends when its input does, which is also what happens when the service dies.  It imports little: a live run
fits in 150 MB.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import secrets
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from loops_nb.local.errors import InvalidInputError
from loops_nb.local.weights.files import write_files
from loops_nb.local.workers.messages import WorkerCall, WorkerReply, pack, read_call
from loops_nb.local.workers.output import log_to_service

if TYPE_CHECKING:
    from loops_nb.local.nn.generation import Generator
    from loops_nb.local.nn.learner import Learner

# Of this name, also when the module is run as a program.
logger: logging.Logger = logging.getLogger("loops_nb.local.workers.main")
#: The service answers while several of these compute.
_NICENESS = 5
_MOST_GENERATORS = 3


class CallHandler:
    """Methods behind the calls: each takes the request's body and the options, and returns a JSON value."""

    def __init__(self) -> None:
        self._learner: Learner | None = None
        self._generators: OrderedDict[tuple[str, str], Generator] = OrderedDict()

    def open(self, _: bytes, options: dict[str, Any]) -> dict[str, Any]:
        """Make the learner, from a state if one is given."""
        from loops_nb.local.nn.learner import Learner  # a sampler does not need it

        learner = Learner(base_model=options["base_model"], lora_rank=options["lora_rank"], seed=options["seed"])
        if options["folder"]:
            learner.restore(Path(options["folder"]), optimizer=True)
        self._learner = learner
        logger.info(
            "opened %s with an adapter of rank %d, at step %d",
            options["base_model"],
            options["lora_rank"],
            learner.step,
        )
        return {"step": learner.step}

    def forward(self, body: bytes, options: dict[str, Any]) -> dict[str, Any]:
        """Run the model over data, and back if asked for."""
        wanted = _read(body)
        # What the service looked at before need not be looked at again; a large body it passes on as it is.
        if wanted.get("run_id") not in {None, options["run_id"]}:
            raise InvalidInputError(
                f"The body names run {str(wanted['run_id'])[:80]}; this is the trainer of run {options['run_id']}."
            )
        if "data" not in wanted:
            raise InvalidInputError("The body has no data; send at least one datum.")
        name, started = "forward_backward" if options["backward"] else "forward", time.perf_counter()
        found = self._trainer().forward(
            wanted["data"],
            loss_fn=wanted.get("loss_fn") or "cross_entropy",
            loss_fn_config=wanted.get("loss_fn_config"),
            top_k_logprobs=wanted.get("top_k_logprobs") or 0,
            backward=options["backward"],
        )
        logger.debug("%s of %d sequences, loss %.6g, %s", name, len(wanted["data"]), found["loss"], _took(started))
        if not math.isfinite(found["loss"]):
            logger.warning("%s: the loss is %s", name, found["loss"])
        return found

    def optim_step(self, body: bytes, _: dict[str, Any]) -> dict[str, Any]:
        """Take one step with the gradients so far."""
        started = time.perf_counter()
        found = self._trainer().optim_step(msgspec.json.decode(body).get("adam_params"))
        metrics = found["metrics"]
        logger.info(
            "step %d, %d tokens, gradient norm %.6g, %s",
            metrics["step"],
            metrics["tokens"],
            metrics["grad_norm"],
            _took(started),
        )
        return found

    def write(self, _: bytes, options: dict[str, Any]) -> dict[str, Any]:
        """Write the state (or the weights that sampling needs) into a new folder, on the disk when this returns."""
        learner, started = self._trainer(), time.perf_counter()
        files = learner.trainer_files() if options["target"] == "trainer" else learner.sampler_files()
        written = write_files(Path(options["folder"]), files)
        logger.info("wrote %d %s files of step %d, %s", len(written), options["target"], learner.step, _took(started))
        return {"files": written, "step": learner.step}

    def restore(self, _: bytes, options: dict[str, Any]) -> dict[str, Any]:
        """Go on from the state in a folder."""
        learner = self._trainer()
        learner.restore(Path(options["folder"]), optimizer=options["optimizer"])
        if not options["optimizer"]:
            # The count belongs to the optimizer, which restarts.
            learner.step = 0
        logger.info("restored a state, now at step %d", learner.step)
        return {"step": learner.step}

    def status(self, _: bytes, __: dict[str, Any]) -> dict[str, Any]:
        """Say how many steps the optimizer has taken."""
        return {"step": self._trainer().step}

    def sample(self, body: bytes, options: dict[str, Any]) -> dict[str, Any]:
        """Complete a prompt."""
        asked, started = _read(body), time.perf_counter()
        found = self._generator(options["base_model"], options["folder"]).complete(asked)
        usage = found.get("usage") or {}
        logger.info(
            "%d completions, %s tokens after a prompt of %s, %s",
            len(found["choices"]),
            usage.get("completion_tokens", "?"),
            usage.get("prompt_tokens", "?"),
            _took(started),
        )
        if options["repeat_prompt"]:
            for choice in found["choices"]:
                _repeat_prompt(choice, asked.get("prompt") or [])
        return {**found, "id": f"cmpl-{secrets.token_hex(12)}", "created": int(time.time())}

    def _trainer(self) -> Learner:
        if self._learner is None:
            raise RuntimeError("the trainer has not been opened")
        return self._learner

    def _generator(self, base_model: str, folder: str) -> Generator:
        from loops_nb.local.nn.generation import Generator  # a trainer does not need it

        found = self._generators.get((base_model, folder))
        if found is None:
            found = Generator(base_model=base_model, adapter=Path(folder) if folder else None)
            self._generators[base_model, folder] = found
            while len(self._generators) > _MOST_GENERATORS:
                self._generators.popitem(last=False)
        self._generators.move_to_end((base_model, folder))
        return found


def _took(started: float) -> str:
    return f"{(time.perf_counter() - started) * 1000:.1f} ms"


def _read(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInputError(f"The request body is not a JSON object: {error}.") from None


def _repeat_prompt(choice: dict[str, Any], prompt: list[int]) -> None:
    """Put the prompt in front of a completion that begins like it.

    The training client cuts the prompt off such a completion, which it takes for one that was returned with its prompt.
    """
    if prompt and choice["token_ids"][: len(prompt)] == prompt:
        choice["token_ids"] = prompt + choice["token_ids"]
        shown = choice.get("logprobs")
        if shown:
            shown["tokens"] = [f"token_id:{token}" for token in prompt] + shown["tokens"]
            shown["token_logprobs"] = [0.0] * len(prompt) + shown["token_logprobs"]


def answer(worker: CallHandler, call: WorkerCall) -> WorkerReply:
    """Do what a call asks for."""
    methods: dict[str, Callable[[bytes, dict[str, Any]], dict[str, Any]]] = {
        "open": worker.open,
        "forward": worker.forward,
        "optim_step": worker.optim_step,
        "write": worker.write,
        "restore": worker.restore,
        "status": worker.status,
        "sample": worker.sample,
    }
    try:
        return WorkerReply(result=msgspec.json.encode(methods[call.name](call.body, call.options)))
    except Exception as error:
        if isinstance(error, ValueError):
            logger.warning("%s refused: %s", call.name, error)
        else:
            logger.exception("%s failed", call.name)
        # A bad request is a ValueError for those who sent it, whatever class it has in here.
        name = "ValueError" if isinstance(error, ValueError) else type(error).__name__
        return WorkerReply(error_class=name, error=str(error) or type(error).__name__)


def main() -> None:
    """Answer calls until there are no more."""
    # What a library prints must not get between the replies.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    log_to_service()
    if hasattr(os, "nice"):
        with contextlib.suppress(OSError):
            os.nice(_NICENESS)
    worker = CallHandler()
    while (call := read_call(sys.stdin.buffer)) is not None:
        replies.write(pack(answer(worker, call)))
        replies.flush()


if __name__ == "__main__":
    # The service ends its workers itself; Ctrl-C in a terminal reaches them too, and must not end them.
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):
        main()
