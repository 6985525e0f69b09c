"""``%loops config``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.api.models import UserConfig
from loops_nb.errors import InvalidArgumentError, LoopsError
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb, option

if TYPE_CHECKING:
    from loops_nb.client.operations.server import Unchanged

_INHERIT = "inherit"
_EXAMPLE = "For example %loops config --trainer H200,H100"


def _priority(text: str) -> tuple[str, ...]:
    """Convert ``H200,H100``; ``inherit`` is empty."""
    if text.strip().casefold() == _INHERIT:
        return ()
    gpus = tuple(part.strip() for part in text.split(","))
    if not all(gpus):
        raise InvalidArgumentError(
            f"must be GPU types with commas between them, or {_INHERIT}, not {text[:40]!r}.", hint=_EXAMPLE
        )
    if len(set(gpus)) < len(gpus):
        raise InvalidArgumentError(f"names a GPU type twice: {text[:40]!r}.", hint=_EXAMPLE)
    return gpus


def _wanted(priority: tuple[str, ...] | None) -> tuple[str, ...] | Unchanged | None:
    from loops_nb.client.operations.server import UNCHANGED  # parsing a line needs no client

    if priority is None:
        return UNCHANGED
    return priority or None


def _say_unlisted(context: MagicContext, wanted: list[str]) -> None:
    """Say which GPU types no instance type has: the service takes any text, and passes over what it does not have."""
    if not wanted:
        return
    try:
        types = context.loops.instance_types.list()
    except LoopsError:
        # The preferences are set; only a warning is missing.
        return
    listed = {item.gpu_type.casefold(): item.gpu_type for item in types if item.gpu_type}
    unlisted = [gpu for gpu in dict.fromkeys(wanted) if gpu.casefold() not in listed]
    if listed and unlisted:
        context.say(
            f"No instance type here has {' or '.join(unlisted)}; there are {', '.join(sorted(listed.values()))}."
        )


def _run(context: MagicContext, values: Values) -> UserConfig:
    user_config = context.loops.user_config
    if values.trainer is None and values.sampler is None:
        found = user_config.get()
    else:
        found = user_config.update(
            trainer_accelerator_priority=_wanted(values.trainer), sampler_accelerator_priority=_wanted(values.sampler)
        )
        _say_unlisted(context, [*(values.trainer or ()), *(values.sampler or ())])
    trainer, sampler = found.trainer_accelerator_priority or [], found.sampler_accelerator_priority or []
    context.cache.add("gpu_type", [*trainer, *sampler])
    for what, priority in (("trainers", trainer), ("samplers", sampler)):
        context.say(f"GPUs of new {what}: {', else '.join(priority) or 'as your organisation has it'}")
    return found


VERB = Verb(
    name="config",
    summary="your GPU preferences in the service: show them, or set them for new trainers and samplers",
    run=_run,
    returns_object=True,
    options=(
        option(
            "--trainer",
            "GPUS",
            f"GPU types of trainers, best first: H200,H100; {_INHERIT} takes your organisation's again",
            convert=_priority,
            completes="gpu_types",
            keywords=(_INHERIT,),
        ),
        option(
            "--sampler", "GPUS", "the same for samplers", convert=_priority, completes="gpu_types", keywords=(_INHERIT,)
        ),
    ),
    notes="What already runs stays where it is. The settings of %loops itself, such as the number of rows shown, are "
    "on this machine: %config LoopsMagics.",
    when_interrupted="The preferences may have been changed: see %loops config.",
    examples=("%loops config", "%loops config --trainer H200,H100", "%loops config --sampler inherit"),
)
