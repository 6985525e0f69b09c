"""``%%loops sample SAMPLER``."""

from __future__ import annotations

import keyword
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loops_nb.client.run_names import run_named
from loops_nb.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError
from loops_nb.magics.grammar import Option, Takes, Verb, did_you_mean, shown
from loops_nb.magics.values import number
from loops_nb.magics.verbs.options import count

if TYPE_CHECKING:
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk
    from loops_nb.models import Run
    from loops_nb.sampling import Completions, SideBySide

_WANTED = ("n", "max_tokens", "temperature", "top_p", "top_k", "seed")


@dataclass(frozen=True)
class _Source:
    """One who is asked: a sampler, or a checkpoint that the first sampler is to serve."""

    word: str
    sampler: str | Run
    checkpoint: str | None = None


def _run(desk: Desk, values: SimpleNamespace) -> SideBySide:
    from loops_nb.sampling import SideBySide  # noqa: PLC0415 - only when something is sampled

    prompt = str(values.cell).removesuffix("\n")
    if not prompt.strip():
        raise InvalidArgumentError("The cell below the line is empty; it holds the prompt.", argument="cell")
    _check_name(values.output)
    sources = _sources(desk, values)
    wanted = {name: getattr(values, name) for name in _WANTED if getattr(values, name) is not None}
    wanted["stop"] = [_unescaped(text) for text in values.stop] or None
    found = SideBySide([_asked(desk, source, prompt, wanted) for source in sources])
    if values.output is not None:
        desk.shell.user_ns[values.output] = found.frame
    return found


def _asked(desk: Desk, source: _Source, prompt: str, wanted: dict[str, Any]) -> Completions:
    with desk.naming("sampler", source.word):
        found = desk.loops.samplers.sample(source.sampler, prompt, checkpoint=source.checkpoint, **wanted)
    found.source = source.word
    desk.knowledge.add("sampler", [found.sampler_id])
    return found


def _sources(desk: Desk, values: SimpleNamespace) -> list[_Source]:
    """Return who is to be asked; all of them are looked for before the first is asked."""
    # A new listing: a run tells there what it has published.
    runs = desk.runs(is_new=True)
    first = _sampler(values.sampler, runs) or _Source(values.sampler, values.sampler)
    others = [] if not values.compare else [*_standalone(desk)]
    return [first, *(_other(desk, word, first, runs, others) for word in values.compare)]


def _other(desk: Desk, word: str, first: _Source, runs: list[Run], samplers: list[str]) -> _Source:
    if not word.startswith("bt:") and "/" not in word:
        found = _sampler(word, runs)
        if found is not None or word in samplers:
            return found or _Source(word, word)
    run_id = None if isinstance(first.sampler, str) or "/" in word else first.sampler.id
    try:
        (ref,) = desk.loops.checkpoints.choose(word, run_id=run_id, target="sampler")
    except NotFoundError as error:
        known = [*samplers, *(run.id for run in runs), *desk.knowledge.known("uri"), *desk.knowledge.known("name")]
        near = did_you_mean(word, known)
        raise NotFoundError(
            f"{shown(word)} is no sampler and no run. {error.message}",
            status=error.status,
            hint=near or error.hint,
        ) from None
    if ref.uri is None:
        raise NotFoundError(
            f"{shown(word)} is no sampler, no run and no checkpoint of yours.",
            status=404,
            hint=did_you_mean(word, [*samplers, *(run.id for run in runs)])
            or "%loops samplers, %loops runs and %loops checkpoints list yours.",
        )
    return _Source(ref.label if word.startswith("bt:") else word, first.sampler, ref.uri)


def _sampler(word: str, runs: list[Run]) -> _Source | None:
    """Return the run that a word means: by its id, its sampler's id, or its name."""
    for run in runs:
        if word in {run.id, run.sampler.id if run.sampler is not None else None}:
            return _Source(word, run)
    found = run_named(word, runs, argument="sampler")
    return None if found is None else _Source(word, found)


def _standalone(desk: Desk) -> list[str]:
    try:
        return [sampler.id for sampler in desk.loops.samplers.list()]
    except (PermissionDeniedError, NotFoundError):
        return []


def _check_name(name: str | None) -> None:
    if name is not None and (not name.isidentifier() or keyword.iskeyword(name)):
        raise InvalidArgumentError(f"-o takes a name for the DataFrame, such as df, and {shown(name)} cannot be one.", argument="output")


def _unescaped(text: str) -> str:
    r"""Return a stop text as it is meant: on a line, ``\n`` can only be written."""
    return text.replace("\\n", "\n").replace("\\t", "\t")


VERB = Verb(
    name="sample",
    summary="complete the prompt in the cell, by one sampler or several side by side",
    run=_run,
    cell="a prompt",
    arguments=(
        Takes(
            name="sampler",
            metavar="SAMPLER",
            knows="sampler_or_run",
            required=True,
            help="a sampler's id, or a run's id or name: its paired sampler, with the weights that the run published last",
        ),
    ),
    options=(
        Option(
            name="compare",
            flags=("--compare",),
            metavar="SAMPLER|CKPT",
            knows="sampled",
            many=True,
            help="beside it: another sampler, or a checkpoint that SAMPLER serves for this (bt:// URI, RUN/NAME, or a name that its run"
            " saved); can be given several times",
        ),
        count("n", "--n", "completions of each (1 when left out)"),
        count("max_tokens", "--max-tokens", "tokens of a completion at most (128 when left out)"),
        Option(
            name="temperature",
            flags=("--temperature",),
            metavar="T",
            convert=number,
            free=True,
            help="0 always takes the likeliest token (1)",
        ),
        Option(
            name="top_p",
            flags=("--top-p",),
            metavar="P",
            convert=number,
            free=True,
            help="only the likeliest tokens that together have it (1)",
        ),
        count("top_k", "--top-k", "only so many of the likeliest tokens"),
        count("seed", "--seed", "the same seed gives the same completions"),
        Option(
            name="stop",
            flags=("--stop",),
            metavar="TEXT",
            free=True,
            many=True,
            help=r"ends a completion; \n stands for the end of a line; can be given several times",
        ),
        Option(
            name="output", flags=("-o",), metavar="NAME", knows="variable", help="keep the DataFrame under this name: one row a completion"
        ),
    ),
    notes="The prompt is the cell as it stands, without its last line end: nothing in it is expanded, and no chat template is put around"
    " it. A sampler that sleeps is woken and waited for. Underlined in the completions is what the model found unlikely."
    " From Python: loops.samplers.sample(SAMPLER, prompt).",
    when_interrupted="Nothing was changed.",
    examples=(
        "%%loops sample k4q95w5 --max-tokens 64 -o df",
        "%%loops sample samp_def789 --temperature 0 --compare step-50 --compare step-100",
        r"%%loops sample math-1 --n 4 --seed 7 --stop '\n'",
    ),
)
