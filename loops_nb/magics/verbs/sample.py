"""``%%loops sample SAMPLER``."""

from __future__ import annotations

import keyword
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loops_nb.api.models import Run
from loops_nb.client.run_names import run_named
from loops_nb.errors import InvalidArgumentError, NotFoundError, PermissionDeniedError
from loops_nb.magics.arguments import int_option, to_float
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Argument, InShell, Values, Verb, option, switch
from loops_nb.magics.suggest import did_you_mean, safe_repr

if TYPE_CHECKING:
    from loops_nb.sampling import Completions, SideBySide
    from loops_nb.tracking import Experiment

_PARAMETERS = ("n", "max_tokens", "temperature", "top_p", "top_k", "seed")


@dataclass(frozen=True)
class _Source:
    """A source of completions: a sampler, or a checkpoint served by the first sampler."""

    word: str
    sampler: str | Run
    checkpoint: str | None = None


def _run(context: MagicContext, values: Values) -> SideBySide:
    from loops_nb.sampling import SideBySide  # only when something is sampled

    prompt = str(values.cell).removesuffix("\n")
    if not prompt.strip():
        raise InvalidArgumentError("The prompt is empty: there is nothing to complete.", argument="cell")
    _check_name(values.output)
    chat = _chat(context, values, prompt)
    if values.step is not None and values.record is None:
        raise InvalidArgumentError(
            "--step is the step of recorded samples.", argument="step", hint="Add --record NAME, or leave --step out."
        )
    sources = _sources(context, values)
    wanted = {name: getattr(values, name) for name in _PARAMETERS if getattr(values, name) is not None}
    wanted["stop"] = [_unescaped(text) for text in values.stop] or None
    found = SideBySide([_sample(context, source, chat or prompt, wanted) for source in sources])
    if values.messages is not None:
        _keep_messages(context, values.messages, chat, found)
    if values.output is not None:
        context.shell.user_ns[values.output] = found.frame
    if values.record is not None:
        _record(context, found, values.record, values.step)
    return found


def _chat(context: MagicContext, values: Values, prompt: str) -> list[dict[str, str]]:
    """Return the messages of a chat: those kept before, the system prompt, and the turns of the cell; none without."""
    from loops_nb.sampling.chat import checked_messages, turns

    if not values.chat:
        for flag, value in (("--system", values.system), ("--messages", values.messages)):
            if value is not None:
                raise InvalidArgumentError(f"{flag} is for --chat.", argument=flag.lstrip("-"), hint="Add --chat.")
        return []
    if values.messages is not None and (values.compare or (values.n or 1) != 1):
        raise InvalidArgumentError(
            "--messages keeps one answer, so --compare and --n cannot be given with it.", argument="messages"
        )
    earlier = _kept_messages(context, values.messages)
    first = [{"role": "system", "content": values.system}] if values.system is not None else []
    if first and any(message.get("role") == "system" for message in earlier):
        raise InvalidArgumentError(
            f"{values.messages} has a system prompt already; --system begins a chat.",
            argument="system",
            hint="Leave it out, or take another name with --messages.",
        )
    return list(checked_messages([*first, *earlier, *turns(prompt)], "the chat"))


def _kept_messages(context: MagicContext, name: str | None) -> list[dict[str, str]]:
    if name is None:
        return []
    _check_name(name, "--messages")
    kept = context.shell.user_ns.get(name, [])
    if not isinstance(kept, list) or not all(isinstance(message, dict) for message in kept):
        raise InvalidArgumentError(
            f"--messages takes a new name or a list of messages, and {name} is of type {type(kept).__name__}. Nothing"
            " was asked.",
            argument="messages",
        )
    return kept


def _keep_messages(context: MagicContext, name: str, chat: list[dict[str, str]], found: SideBySide) -> None:
    """Assign the chat with the answer, so that the next cell goes on with it."""
    answer = found[0][0].text
    if answer is None:
        context.say(f"The answer is known as token ids only, so {name} was not changed.")
        return
    context.shell.user_ns[name] = [*chat, {"role": "assistant", "content": answer.strip()}]


def _record(context: MagicContext, shown: SideBySide, name: str, step: int | None) -> None:
    """Keep the completions as samples of an experiment: the newest with this name, id or run, or a new one."""
    from loops_nb.tracking.samples import token_ids_text  # sqlite
    from loops_nb.tracking.values import as_step

    if step is not None:
        as_step(step)
    steps = []
    with _recording(name) as exp:
        for completions in shown:
            at_step = _step_of(context, completions) if step is None else step
            known: dict[str, Any] = {"source": completions.source, "checkpoint": completions.checkpoint}
            for completion in completions:
                fields = {**known, "stop_reason": completion.stop_reason}
                exp.sample(
                    step=at_step,
                    prompt=completions.prompt or completions.prompt_tokens,
                    completion=token_ids_text(completion.tokens) if completion.text is None else completion.text,
                    **{key: value for key, value in fields.items() if value is not None},
                )
                steps.append(at_step)
    shown_steps = dict.fromkeys(str(one) for one in steps if one is not None)
    where = f" at step {', '.join(shown_steps)}" if shown_steps else ""
    recorded = "1 sample is" if len(steps) == 1 else f"{len(steps)} samples are"
    context.say(f"{recorded} recorded in {exp.name}{where}: %loops watch samples {shlex.quote(exp.name)}")


def _recording(name: str) -> Experiment:
    from loops_nb.tracking.experiment import experiment
    from loops_nb.tracking.store import ExperimentStore

    with ExperimentStore() as store:
        rows = [row for row in store.experiments(archived=True) if name in (row.id, row.run_id, row.name)]
    return experiment(name, resume=rows[0].id) if rows else experiment(name)


def _step_of(context: MagicContext, completions: Completions) -> int | None:
    """Return the step in the name of the checkpoint that answered; for a run's live weights that of its newest one."""
    from loops_nb.api.step_names import step_of

    if completions.checkpoint is not None:
        return step_of(completions.checkpoint.rpartition("/")[2])
    if completions.run_id is None:
        return None
    try:
        listed = context.loops.checkpoints.list(run_id=completions.run_id)
    except (PermissionDeniedError, NotFoundError):
        return None
    # The newest come first.
    newest = next((one for one in listed if one.target == "sampler"), None)
    return None if newest is None else step_of(newest.checkpoint_id or "")


def _sample(
    context: MagicContext, source: _Source, prompt: str | list[dict[str, str]], wanted: dict[str, Any]
) -> Completions:
    with context.explain_unknown_id("sampler", source.word):
        found = context.loops.samplers.sample(source.sampler, prompt, checkpoint=source.checkpoint, **wanted)
    found.source = source.word
    context.cache.add("sampler", [found.sampler_id])
    return found


def _sources(context: MagicContext, values: Values) -> list[_Source]:
    """Resolve all sources before the first request is sent."""
    # A new listing has the latest published weights of a run.
    runs = context.list_runs(fresh=True)
    first = _sampler(values.sampler, runs) or _Source(values.sampler, values.sampler)
    others = _standalone(context) if values.compare else []
    return [first, *(_other(context, word, first, runs, others) for word in values.compare)]


def _other(context: MagicContext, word: str, first: _Source, runs: list[Run], samplers: list[str]) -> _Source:
    if not word.startswith("bt:") and "/" not in word:
        found = _sampler(word, runs)
        if found is not None or word in samplers:
            return found or _Source(word, word)
    run_id = None if isinstance(first.sampler, str) or "/" in word else first.sampler.id
    try:
        (ref,) = context.loops.checkpoints.choose(word, run_id=run_id, target="sampler")
    except NotFoundError as error:
        known = [*samplers, *(run.id for run in runs), *context.cache.known("uri"), *context.cache.known("name")]
        near = did_you_mean(word, known)
        raise NotFoundError(
            f"{safe_repr(word)} is not a sampler or a run. {error.message}",
            status=error.status,
            hint=near or error.hint,
        ) from None
    if ref.uri is None:
        raise NotFoundError(
            f"There is no sampler, run or checkpoint {safe_repr(word)}.",
            status=404,
            hint=did_you_mean(word, [*samplers, *(run.id for run in runs)])
            or "%loops samplers, %loops runs and %loops checkpoints list them.",
        )
    return _Source(ref.label if word.startswith("bt:") else word, first.sampler, ref.uri)


def _sampler(word: str, runs: list[Run]) -> _Source | None:
    """Return the run with an id, a sampler's id, or a name."""
    for run in runs:
        if word == run.id or (run.sampler is not None and word == run.sampler.id):
            return _Source(word, run)
    found = run_named(word, runs, argument="sampler")
    if found is None:
        return None
    return _Source(word, found)


def _standalone(context: MagicContext) -> list[str]:
    try:
        return [sampler.id for sampler in context.loops.samplers.list()]
    except (PermissionDeniedError, NotFoundError):
        return []


def _check_name(name: str | None, flag: str = "-o") -> None:
    if name is not None and (not name.isidentifier() or keyword.iskeyword(name)):
        what = "the DataFrame, such as df" if flag == "-o" else "the messages, such as talk"
        raise InvalidArgumentError(
            f"{flag} takes a variable name for {what}, not {safe_repr(name)}.",
            argument="output" if flag == "-o" else flag.lstrip("-"),
        )


def _unescaped(text: str) -> str:
    r"""Replace ``\n`` and ``\t`` in a stop sequence, which cannot be typed otherwise on a line."""
    return text.replace("\\n", "\n").replace("\\t", "\t")


VERB = Verb(
    name="sample",
    summary="complete the prompt in the cell, with one sampler or several side by side",
    run=_run,
    kinds=("completions",),
    cell="a prompt",
    arguments=(
        Argument(
            "sampler",
            "SAMPLER",
            "a sampler's id, or a run's id or name for its paired sampler with the latest published weights",
            completes="sampler_or_run",
            required=True,
        ),
    ),
    options=(
        option(
            "--compare",
            "SAMPLER|CKPT",
            "compare with another sampler, or with a checkpoint served by SAMPLER (bt:// URI, RUN/NAME, or a name of "
            "its run); can be repeated",
            completes="sampled",
            repeated=True,
        ),
        int_option("--n", "number of completions (default 1)"),
        int_option("--max-tokens", "maximum tokens of a completion (default 128)"),
        option("--temperature", "T", "sampling temperature; 0 is greedy (default 1)", convert=to_float, free_text=True),
        option("--top-p", "P", "nucleus sampling probability (default 1)", convert=to_float, free_text=True),
        int_option("--top-k", "sample from the k most likely tokens"),
        int_option("--seed", "random seed for reproducible completions"),
        option("--stop", "TEXT", r"stop sequence; \n is a newline; can be repeated", free_text=True, repeated=True),
        switch("--chat", "the cell is a turn of a chat: apply the base model's chat template"),
        option("--system", "TEXT", "with --chat: the system prompt", free_text=True),
        option(
            "--messages",
            "NAME",
            "with --chat: variable for the list of messages, which the next cell goes on with",
            completes="variable",
        ),
        option(
            "--record",
            "NAME",
            "keep the completions as samples of this experiment, which is begun if it does not exist",
            completes="experiment",
        ),
        int_option("--step", "with --record: step of the samples; default that in the checkpoint's name"),
        option("-o", "NAME", "variable for the DataFrame, one row per completion", name="output", completes="variable"),
    ),
    notes="The prompt is the text of the cell without its last newline; nothing is expanded, and no chat template is "
    "applied without --chat. With it the cell is what the user says, or several turns, each from a line that begins "
    "with 'system:', 'user:' or 'assistant:'. A sampler scaled to zero is woken up. Tokens that the model found "
    "unlikely are underlined in the completions. In Python: loops.samplers.sample(SAMPLER, prompt), with a list of "
    "messages for a chat.",
    when_interrupted="Nothing was changed.",
    shell=InShell(
        summary="complete the prompt on the standard input, with one sampler or several side by side",
        helps={"--chat": "the input is a turn of a chat: apply the base model's chat template"},
        left_out={
            "-o": "A shell has no variables: --jsonl prints a row for each completion.",
            "--messages": "A shell has no variables: give the turns before in the text, from lines that begin with "
            "'system:', 'user:' or 'assistant:'.",
        },
        notes="The prompt is the whole text on the standard input without its last newline; no chat template is "
        "applied without --chat. With it the text is what the user says, or several turns, each from a line that "
        "begins with 'system:', 'user:' or 'assistant:'. A sampler scaled to zero is woken up.",
        examples=(
            "echo 'Dear customer,' | %loops sample p2syas8 --max-tokens 64",
            "%loops sample p2syas8 --temperature 0 --compare step-50 --jsonl < prompt.txt",
        ),
        reads_text=True,
    ),
    examples=(
        "%%loops sample p2syas8 --max-tokens 64 -o df",
        "%%loops sample wcvrxf7 --temperature 0 --compare step-50 --compare step-100",
        "%%loops sample p2syas8 --compare step-50 --temperature 0 --record probes",
        "%%loops sample p2syas8 --chat --system 'You are terse.' --messages talk",
        r"%%loops sample math-1 --n 4 --seed 7 --stop '\n'",
    ),
)
