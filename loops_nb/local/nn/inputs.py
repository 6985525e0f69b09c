"""Schemas and validation of training and sampling requests; loads no NumPy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from loops_nb.local.errors import InvalidInputError

Kind = TypeVar("Kind", bound=Struct)

#: Marks a target that nothing is learnt from.
MASKED = -100
MOST_TOP_LOGPROBS = 20
_LARGEST_ID = 2**31
#: Least and greatest value of what a sampler is asked for.
_RANGES = {
    "n": (1, 128),
    "max_tokens": (1, 1 << 20),
    "logprobs": (0, MOST_TOP_LOGPROBS),
    "prompt_logprobs": (0, 1024),
    "temperature": (0, 1e6),
    "top_k": (-1, 1 << 31),
}
#: What the local sampler cannot do, and why.
_BEYOND = {
    "structured_outputs": "The local model knows no structured outputs",
    "include_routed_experts": "The local model has no experts to route to",
    "stream": "The local sampler answers whole",
    "echo": "The local sampler answers without the prompt",
}

#: A smaller eps is zero in 32 bits, and divides nothing by nothing.
_LEAST_EPS = 1e-30
#: Adam's parameters with their defaults, as the SDK has them.
ADAM = {"learning_rate": 1e-4, "beta1": 0.9, "beta2": 0.95, "eps": 1e-12, "weight_decay": 0.0, "grad_clip_norm": 1.0}


class LossSpec(NamedTuple):
    """A loss: the inputs it cannot do without, and its settings with their defaults."""

    needs: tuple[str, ...]
    settings: Mapping[str, float]


_CLIP = {"clip_low_threshold": 0.8, "clip_high_threshold": 1.2}
_POLICY = ("logprobs", "advantages")
LOSSES: Mapping[str, LossSpec] = {
    "cross_entropy": LossSpec(("target_tokens",), {}),
    "importance_sampling": LossSpec(_POLICY, {}),
    "ppo": LossSpec(_POLICY, _CLIP),
    "cispo": LossSpec(_POLICY, _CLIP),
    "dro": LossSpec(_POLICY, {"beta": 0.05}),
    "dppo": LossSpec(_POLICY, {"dppo_mask_high": 0.2, "dppo_mask_low": 0.2, "adv_tau": 1.0, "kl_tau": 1e-3}),
    "dpo": LossSpec(("target_tokens", "ref_logprobs"), {"beta": 0.1, "label_smoothing": 0.0}),
}
#: A caller's own loss goes through cross_entropy with this setting, and reads back that it was heeded.
UNNORMALIZED = "skip_token_normalization"
_NUMBERS = {int, float, bool, type(None)}
_UNEVEN = "A tensor has numbers, or lists of numbers of one length, and nothing else."
_INPUTS = ("target_tokens", "weights", "mask", "logprobs", "advantages", "ref_logprobs")


class Chunk(Struct):
    """A part of an input: ``encoded_text`` with token ids."""

    type: str = "encoded_text"
    tokens: list[int] = []


class ModelInput(Struct):
    """What a model reads."""

    chunks: list[Chunk]


class TensorData(Struct):
    """Flat or nested numbers with their shape; null stands for NaN."""

    data: list[int | float | bool | list[Any] | None]
    dtype: str = "float32"
    shape: list[int] | None = None


class Datum(Struct):
    """One sequence, and what a loss reads for each of its positions."""

    model_input: ModelInput
    loss_fn_inputs: dict[str, TensorData] = {}

    @property
    def tokens(self) -> list[int]:
        """The token ids of all chunks."""
        chunks = self.model_input.chunks
        if len(chunks) == 1:
            return chunks[0].tokens
        return list(itertools.chain.from_iterable(chunk.tokens for chunk in chunks))


class TrainingRequest(Struct):
    """A ``forward`` or ``forward_backward``."""

    data: list[Datum]
    loss_fn: str = "cross_entropy"
    loss_fn_config: dict[str, float | bool | None] | None = None
    top_k_logprobs: int = 0

    @property
    def settings(self) -> dict[str, float]:
        """The loss's settings, with its defaults for what is missing."""
        sent = {name: float(value) for name, value in (self.loss_fn_config or {}).items() if value is not None}
        return {**LOSSES[self.loss_fn].settings, UNNORMALIZED: 0.0, **sent}


class OptimRequest(Struct):
    """An ``optim_step``."""

    adam_params: dict[str, float | None] | None = None

    @property
    def params(self) -> dict[str, float]:
        """Adam's parameters, with the defaults for what is missing."""
        return {**ADAM, **{name: value for name, value in (self.adam_params or {}).items() if value is not None}}


class SamplingRequest(Struct):
    """A ``/sample``."""

    prompt: list[int] = []
    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    max_tokens: int | None = None
    seed: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    model_input_chunks: list[Chunk] | None = None
    structured_outputs: dict[str, Any] | None = None
    include_routed_experts: bool | None = None
    ignore_eos: bool = False
    echo: bool = False
    stream: bool = False

    @property
    def tokens(self) -> list[int]:
        """The prompt's token ids."""
        return [*self.prompt, *(token for chunk in self.model_input_chunks or () for token in chunk.tokens)]

    @property
    def stop_texts(self) -> list[str]:
        """Texts that end a completion."""
        if isinstance(self.stop, str):
            return [self.stop]
        return list(self.stop or ())


def check_training(body: Mapping[str, Any]) -> TrainingRequest:
    """Return a ``forward`` or ``forward_backward`` as it was understood.

    Raises
    ------
    InvalidInputError
        If something in it is wrong: a loss that does not exist, an input that is missing, a shape that does not fit, an
        image.
    """
    asked = _parse(body, TrainingRequest)
    if asked.loss_fn not in LOSSES:
        raise InvalidInputError(f"There is no loss {asked.loss_fn!r}; there are {', '.join(LOSSES)}.")
    if not asked.data:
        raise InvalidInputError("data is empty; send at least one datum.")
    _check_settings(asked)
    if not 0 <= asked.top_k_logprobs <= MOST_TOP_LOGPROBS:
        raise InvalidInputError(f"top_k_logprobs is {asked.top_k_logprobs}; it is from 0 to {MOST_TOP_LOGPROBS}.")
    for number, datum in enumerate(asked.data):
        check_datum(datum, loss_fn=asked.loss_fn, where=f"data[{number}]")
    if asked.loss_fn == "dpo" and len(asked.data) % 2:
        raise InvalidInputError(f"dpo reads pairs, chosen then rejected; {len(asked.data)} data are not pairs.")
    return asked


def check_datum(datum: Datum, *, loss_fn: str, where: str) -> None:
    """Check one datum for a loss; ``where`` names it in the error.

    Raises
    ------
    InvalidInputError
        As `check_training`.
    """
    _check_chunks(datum.model_input.chunks, f"{where}.model_input")
    length = sum(len(chunk.tokens) for chunk in datum.model_input.chunks)
    if not length:
        raise InvalidInputError(f"{where}.model_input has no tokens.")
    inputs = datum.loss_fn_inputs
    missing = [name for name in LOSSES[loss_fn].needs if name not in inputs]
    if missing:
        raise InvalidInputError(f"{where}.loss_fn_inputs lacks {', '.join(missing)}, which {loss_fn} reads.")
    unknown = sorted(set(inputs) - set(_INPUTS))
    if unknown:
        raise InvalidInputError(
            f"{where}.loss_fn_inputs has {unknown[0]!r}, which no loss reads; losses read {', '.join(_INPUTS)}."
        )
    shapes = {name: _check_tensor(tensor, f"{where}.loss_fn_inputs.{name}") for name, tensor in inputs.items()}
    wide = shapes.get("target_tokens", (length,))
    dimensions, forms = 1, f"({length},)"
    if loss_fn == "cross_entropy":
        dimensions, forms = 2, f"({length},) or ({length}, K)"
    if wide[0] != length or len(wide) > dimensions:
        raise InvalidInputError(
            f"{where}.loss_fn_inputs.target_tokens has the shape {_shown(wide)}; {loss_fn} wants {forms}, a target a "
            f"token."
        )
    for name, shape in shapes.items():
        if shape not in {wide, (1,)} or (shape == (1,) != wide and name != "advantages"):
            raise InvalidInputError(
                f"{where}.loss_fn_inputs.{name} has the shape {_shown(shape)}, and the targets have {_shown(wide)}."
            )
    if "target_tokens" in inputs:
        _check_ids(flat(inputs["target_tokens"]), f"{where}.loss_fn_inputs.target_tokens", lowest=MASKED)


def check_optim(body: Mapping[str, Any]) -> OptimRequest:
    """Return an ``optim_step`` as it was understood.

    Raises
    ------
    InvalidInputError
        If a parameter is unknown or out of its range.
    """
    asked = _parse(body, OptimRequest)
    unknown = sorted(set(asked.params) - set(ADAM))
    if unknown:
        raise InvalidInputError(f"adam_params has no {unknown[0]!r}; it has {', '.join(ADAM)}.")
    for name, value in asked.params.items():
        lowest, limit, words = 0.0, math.inf, "a number from 0 on"
        if name == "eps":
            lowest, words = _LEAST_EPS, "a number above 0"
        elif name in {"beta1", "beta2"}:
            limit, words = 1.0, "from 0 to below 1"
        if not lowest <= value < limit:
            raise InvalidInputError(f"adam_params.{name} is {value}; it is {words}.")
    return asked


def check_sampling(body: Mapping[str, Any]) -> SamplingRequest:
    """Return a ``/sample`` as it was understood.

    Raises
    ------
    InvalidInputError
        If something in it is wrong or cannot be done here.
    """
    asked = _parse(body, SamplingRequest)
    _check_chunks(asked.model_input_chunks or [], "model_input_chunks")
    _check_ids(asked.prompt, "prompt", lowest=0)
    if not asked.tokens:
        raise InvalidInputError("The prompt is empty; send at least one token id.")
    for name, (low, high) in _RANGES.items():
        value = getattr(asked, name)
        if value is not None and not low <= value <= high:
            raise InvalidInputError(f"{name} is {value}; it is from {low} to {high}.")
    if not 0 < asked.top_p <= 1:
        raise InvalidInputError(f"top_p is {asked.top_p}; it is above 0 and at most 1.")
    if not all(asked.stop_texts):
        raise InvalidInputError("A stop text is empty; leave it out.")
    for name, why in _BEYOND.items():
        if getattr(asked, name):
            raise InvalidInputError(f"{why}; leave {name} out.")
    return asked


def flat(tensor: TensorData) -> list[Any]:
    """Return the numbers of a tensor one after the other.

    Raises
    ------
    InvalidInputError
        If numbers and lists are mixed.
    """
    data: list[Any] = tensor.data
    while data and isinstance(data[0], list):
        if set(map(type, data)) != {list}:
            raise InvalidInputError(_UNEVEN)
        data = [number for row in data for number in row]
    return data


def shape_of(tensor: TensorData) -> tuple[int, ...]:
    """Return a tensor's shape; what its lists say where it names none."""
    if tensor.shape is not None:
        return tuple(tensor.shape)
    found = []
    level: Any = tensor.data
    while isinstance(level, list):
        found.append(len(level))
        level = level[0] if level else None
    return tuple(found)


def _parse(body: Mapping[str, Any], kind: type[Kind]) -> Kind:
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"The body is not as it should be: {error}.") from None


def _check_settings(asked: TrainingRequest) -> None:
    known = {*LOSSES[asked.loss_fn].settings, UNNORMALIZED}
    for name, value in (asked.loss_fn_config or {}).items():
        if name not in known:
            raise InvalidInputError(
                f"loss_fn_config of {asked.loss_fn} has no {name!r}; it has {', '.join(sorted(known))}."
            )
        if value is not None and not math.isfinite(value):
            raise InvalidInputError(f"loss_fn_config.{name} is {value}; it is a finite number.")


def _check_chunks(chunks: list[Chunk], where: str) -> None:
    for chunk in chunks:
        if chunk.type != "encoded_text":
            raise InvalidInputError(
                f"{where} has a chunk of type {chunk.type!r}; the local model reads text only, so send encoded_text "
                f"chunks."
            )
        _check_ids(chunk.tokens, where, lowest=0)


def _check_tensor(tensor: TensorData, where: str) -> tuple[int, ...]:
    shape = shape_of(tensor)
    numbers = flat(tensor)
    if any(side < 0 for side in shape) or math.prod(shape) != len(numbers) or not shape:
        raise InvalidInputError(f"{where} has {len(numbers)} numbers and the shape {_shown(shape)}, which do not fit.")
    if not set(map(type, numbers)) <= _NUMBERS:
        raise InvalidInputError(f"{where}: {_UNEVEN}")
    # Logprobs that a trainer returned have holes where nothing was learnt; they may come back so.
    if not where.endswith("logprobs") and None in numbers:
        raise InvalidInputError(
            f"{where}[{numbers.index(None)}] is null (NaN); mask a position with the target {MASKED} or the weight 0 "
            f"instead."
        )
    return shape


def _check_ids(ids: list[Any], where: str, *, lowest: int) -> None:
    for at, token in enumerate(ids):
        if type(token) is not int or not (0 <= token < _LARGEST_ID or token == lowest):
            masked = f", or {MASKED} for a target that is masked" if lowest < 0 else ""
            raise InvalidInputError(
                f"{where}[{at}] is {token!r}; a token id is a whole number from 0 to below 2**31{masked}."
            )


def _shown(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
