"""Why a run is not running: the last error lines of the half that failed, their cause, and what to do; without I/O."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, NamedTuple

from loops_nb.api.models import Checkpoint, Deployment, Run
from loops_nb.api.pairing import deployment_of_run, serves
from loops_nb.api.states import FAILED, IN_TRANSITION, RUN_TERMINAL, SAMPLER_TERMINAL, STUCK_SECONDS, status_name
from loops_nb.client.logs import HalfLine, find_target, log_query, read_target
from loops_nb.client.operations import checkpoints, deployments
from loops_nb.client.request import Request
from loops_nb.client.waiting import state_since
from loops_nb.errors import LoopsError, NotFoundError, one_line
from loops_nb.render.log_lines import ShownLine, text_line

Steps = Generator[Request[Any], Any, Any]
_MOST_LINES = 5
#: Lines without a level that are looked through for errors.
_LOOKED_AT = 200
#: Errors that are this much older than the last line are not why it ended.
_AROUND = timedelta(minutes=30)
_ERROR_WORDS = re.compile(r"\b\w*(?:Error|Exception)\b|Traceback|\b(?:fatal|killed|panic|aborted)\b", re.IGNORECASE)
#: Texts of the service that go into a line to type.
_PLAIN = re.compile(r"[\w./:@+-]+")
_LONGEST = 300


class Cause(NamedTuple):
    """A known cause: the words in a log line that tell it, and what to do, ``{half}`` for the half that failed."""

    name: str
    words: re.Pattern[str]
    reason: str
    advice: tuple[str, ...]


def _words(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(parts), re.IGNORECASE)


#: The more exact ones first.
CAUSES = (
    Cause(
        "out_of_memory",
        _words(
            r"out of (?:\w+ )?memory",
            "OutOfMemory",
            r"\bOOM(?:Killed)?\b",
            "MemoryError",
            "CUBLAS_STATUS_ALLOC_FAILED",
            "cannot allocate memory",
            r"\bsignal 9\b",
            r"(?:code|status) 137\b",
        ),
        "it ran out of memory",
        (
            "Use shorter sequences (--max-seq-len N) or smaller batches.",
            "Or another accelerator: %loops config --{half} GPUS prefers others for new runs.",
        ),
    ),
    Cause(
        "disk_full",
        _words("no space left on device", "disk (?:is )?full", r"\bENOSPC\b"),
        "its disk was full",
        ("Save fewer checkpoints, or delete old ones: %loops prune --help",),
    ),
    Cause(
        "no_access",
        _words("gated repo", r"\b40[13]\b.*(?:hugging ?face|repo)", "invalid (?:token|credentials)"),
        "it had no access to the weights",
        ("Accept the model's licence where it is hosted, and check the token in the workspace's secrets.",),
    ),
    Cause(
        "no_capacity",
        _words("no capacity", "insufficient (?:capacity|resources)", "unschedulable"),
        "there was no capacity for it",
        ("Try again later, or another accelerator: %loops config --{half} GPUS prefers others for new runs.",),
    ),
    Cause(
        "not_finite",
        _words(r"loss is (?:nan|-?inf)", "non-?finite", r"\bnan or inf\b"),
        "its loss was no longer a number",
        ("Use a lower learning rate or gradient clipping, from a checkpoint before that step.",),
    ),
    Cause(
        "hardware",
        _words("CUDA error", r"\bNCCL\b.*(?:error|timeout)", r"\bXid\b", "uncorrectable ECC"),
        "a GPU or the network between GPUs failed",
        ("Resume it: the next run gets other machines.",),
    ),
)
_PREEMPTED = Cause(
    "preempted",
    _words("preempt", "spot capacity was reclaimed"),
    "its spot capacity was reclaimed; it did not break",
    ("Resume it; with --availability dedicated that does not happen.",),
)


@dataclass(frozen=True)
class Diagnosis:
    """Why a run is not running.

    Parameters
    ----------
    run_id : str
        The run.
    half : {"trainer", "sampler"}
        The half it is about.
    status : str
        Its state.
    cause : str
        Name of a known cause, such as ``out_of_memory`` or ``preempted``; ``unknown`` otherwise.
    reason : str
        One sentence.
    lines : tuple of ShownLine
        The last error lines around its end, oldest first.
    advice : tuple of str
        What to do.
    command : str
        A line to type that resumes the run from its last trainer checkpoint; empty if there is none.
    """

    run_id: str
    half: str
    status: str
    cause: str
    reason: str
    lines: tuple[ShownLine, ...] = ()
    advice: tuple[str, ...] = ()
    command: str = ""

    def text(self, zone: tzinfo | None) -> str:
        """Return all of it as lines of text, times in a zone (None: the machine's)."""
        parts = [self.reason]
        if self.lines:
            parts += ["Its last lines:", *(f"  {_short(text_line(line, zone))}" for line in self.lines)]
        if self.advice:
            parts += ["What to do:", *(f"  {text}" for text in self.advice)]
        if self.command:
            parts += ["Resume from its last trainer checkpoint:", f"  {self.command}"]
        return "\n".join(parts)


def failed_half(run: Run, deployment: Deployment | None) -> tuple[str, str] | None:
    """Return the half of a run that failed or was preempted and its state; None if neither did.

    What a deployment or a sampler does after another run took it over says nothing about the run.
    """
    if deployment is not None and not serves(deployment, run):
        return None
    trainer, sampler = status_name(deployment), status_name(run.sampler)
    if trainer in FAILED:
        return "trainer", str(trainer)
    if sampler in FAILED and (sampler in SAMPLER_TERMINAL or status_name(run) not in RUN_TERMINAL):
        return "sampler", str(sampler)
    return None


def waiting_half(run: Run, deployment: Deployment | None) -> tuple[str, str] | None:
    """Return the half of a run that is on its way up and its state; None if neither is."""
    if status_name(run) in RUN_TERMINAL or (deployment is not None and not serves(deployment, run)):
        return None
    for half, status in (("trainer", status_name(deployment)), ("sampler", status_name(run.sampler))):
        if status in IN_TRANSITION:
            return half, str(status)
    return None


def stuck_half(run: Run, deployment: Deployment | None) -> Generator[Request[Any], Any, tuple[str, str] | None]:
    """Return the half of a run that has been on its way up for too long, by its log, and its state; None if none has.

    An idle half that wakes up and an update of weights are ways up, too.
    """
    coming = waiting_half(run, deployment)
    if coming is None or failed_half(run, deployment) is not None:
        return None
    since, _ = yield from state_since(run, *coming)
    is_stuck = since is not None and (datetime.now(UTC) - since).total_seconds() > STUCK_SECONDS
    return coming if is_stuck else None


def deployment_of(run: Run) -> Generator[Request[Any], Any, Deployment | None]:
    """Return the deployment of a run; None if it has none or the service does not tell."""
    try:
        if run.deployment_id is not None:
            found: Deployment = yield deployments.get(run.deployment_id)
            return found
        listed: list[Deployment] = yield deployments.list_()
    except NotFoundError:
        return None
    return deployment_of_run(run, {one.id: one for one in listed})


def diagnose(
    run: Run, deployment: Deployment | None, *, stuck: tuple[str, str] | None = None
) -> Generator[Request[Any], Any, Diagnosis | None]:
    """Return why a run failed, was preempted or is stuck; None if it did not and is not.

    Parameters
    ----------
    run, deployment : Run, Deployment or None
        As they were listed.
    stuck : tuple of (str, str), optional
        The half that has been on its way up for too long, and its state.
    """
    found = failed_half(run, deployment) or stuck
    if found is None:
        return None
    half, status = found
    lines, trouble = yield from _last_errors(run, half)
    saved: list[Checkpoint] = yield from _checkpoints(run)
    cause = _PREEMPTED if status == "PREEMPTED" else _cause(lines)
    advice = [text.format(half=half) for text in cause.advice] if cause else []
    if trouble:
        advice.append(trouble)
    elif cause is None:
        advice.append(f"See more of its log: %loops logs {run.id}{' --half sampler' if half == 'sampler' else ''}")
    if found == stuck:
        advice.append(f"If it stays so: %loops deactivate run {run.id} ends it, and a new run may get other machines.")
    command = "" if half == "sampler" or found == stuck else _resume_line(run, saved)
    if half == "trainer" and found != stuck and not command:
        advice.append("It saved no trainer checkpoint, so a new run begins from the base model.")
    return Diagnosis(
        run_id=run.id,
        half=half,
        status=status,
        cause=cause.name if cause else "unknown",
        reason=_reason(run, half, status, cause, lines, is_stuck=found == stuck),
        lines=tuple(line.shown(half=False) for line in lines),
        advice=tuple(advice),
        command=command,
    )


def _reason(run: Run, half: str, status: str, cause: Cause | None, lines: Sequence[HalfLine], *, is_stuck: bool) -> str:
    head = f"The {half} of run {run.id} {'has been' if is_stuck else 'is'} {status}"
    if is_stuck:
        head += " for longer than a start takes"
    if cause is not None:
        return f"{head}: {cause.reason}."
    return f"{head}; its log lines name no known cause." if lines else f"{head}; it has no log lines that say why."


def _last_errors(run: Run, half: str) -> Steps:
    """Return the last error lines around the last line of all, oldest first, and what kept them from being read."""
    try:
        target = yield from find_target(run.id, half)
        latest = yield from read_target(target, log_query(limit=_LOOKED_AT))
        marked = yield from read_target(target, log_query(min_level="ERROR", limit=_MOST_LINES))
    except LoopsError as error:
        return (), f"Its log lines could not be read: {error.message}"
    newest = max((line.nanos for line in (*latest.lines, *marked.lines)), default=0)
    oldest = newest - _AROUND // timedelta(microseconds=1) * 1000
    printed = [line for line in latest.lines if line.line.level is None and is_error_text(line.line.message)]
    found = [line for line in (*marked.lines, *printed) if line.nanos >= oldest]
    found = found or [line for line in latest.lines if line.line.level == "WARNING" and line.nanos >= oldest]
    found = found or marked.lines or [line for line in latest.lines if line.line.level != "DEBUG"]
    return tuple(sorted(found, key=lambda line: line.nanos)[-_MOST_LINES:]), ""


def is_error_text(text: str) -> bool:
    """Return whether the words of a line without a level are those of an error."""
    return _ERROR_WORDS.search(text) is not None


def _cause(lines: Iterable[HalfLine]) -> Cause | None:
    texts = [line.line.message for line in lines]
    return next((cause for cause in (*CAUSES, _PREEMPTED) if any(map(cause.words.search, texts))), None)


def _checkpoints(run: Run) -> Steps:
    try:
        found = yield checkpoints.list_(run_id=run.id)
    except LoopsError:
        return []
    return found


def _resume_line(run: Run, saved: Iterable[Checkpoint]) -> str:
    usable = [one for one in saved if one.target == "trainer" and one.sync_status in {None, "COMPLETE"}]
    if not usable:
        return ""
    last = max(usable, key=lambda one: one.created_at or datetime.min.replace(tzinfo=UTC))
    config = last.lora_adapter_config or {}
    rank = config.get("r")
    parts = ["%loops create run", f"--session {run.session_id or '{session.id}'}", f"-m {run.base_model}"]
    parts += [f"--path {last.uri}", *([f"--lora-rank {rank}"] if isinstance(rank, int) else [])]
    texts = (run.session_id or "x", run.base_model or "", last.uri)
    return " ".join(parts) if all(_PLAIN.fullmatch(text) for text in texts) else ""


def _short(text: str) -> str:
    first, *others = text.splitlines()
    return "\n  ".join([one_line(first, limit=_LONGEST), *(one_line(other, limit=_LONGEST) for other in others[-3:])])
