"""``%loops track --request-log FILE`` and ``%loops track --metrics FILE``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from loops_nb.config.paths import user_path
from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import InShell, Values, Verb, option, switch
from loops_nb.render.formatting import many

if TYPE_CHECKING:
    from loops_nb.tracking.metrics_log import MetricsLog
    from loops_nb.tracking.request_log import RequestLog

_SECONDS_BETWEEN_LOOKS = 0.5


def _run(context: MagicContext, values: Values) -> None:
    from loops_nb.tracking.metrics_log import MetricsLog  # only for this verb
    from loops_nb.tracking.recipe_log import METRICS
    from loops_nb.tracking.request_log import RequestLog, follow, unfollow

    if values.request_log is not None and values.metrics is not None:
        raise InvalidArgumentError(
            "--request-log and --metrics exclude each other. Nothing was changed.",
            argument="metrics",
            hint="Both are followed by two lines of %loops track.",
        )
    if values.request_log is None and values.metrics is None:
        (_stop_all if values.stop else _print_followed)(context)
        return
    is_recipe = values.request_log is None
    path = user_path(values.metrics if is_recipe else values.request_log, argument="metrics")
    if is_recipe and path.is_dir():
        path /= METRICS
    if values.stop:
        if unfollow(path):
            context.say(f"Stopped following {path}. Recorded data is kept.")
        else:
            context.say(f"{path} was not followed. Nothing was changed.")
        return
    unfollow(path)
    log: MetricsLog | RequestLog = (MetricsLog if is_recipe else RequestLog)(path, experiment=values.name)
    _read(log)
    log.flush()
    found = path.exists()
    if values.once:
        if not found:
            hint = "A script writes it when started with LOOPS_REQUEST_LOG=FILE."
            raise TrackingError(
                f"There is no file {path}.", hint="A recipe writes it into its log folder." if is_recipe else hint
            )
        context.say(_summary(log, path))
        return
    follow(log)
    context.say(_summary(log, path) if found else _awaited(path, is_recipe=is_recipe))
    if context.is_shell:
        _follow_in_shell(context, path)
        return
    context.say("It is followed until this kernel ends, or until --stop. Next: %loops experiments, %loops curves")


def _awaited(path: Path, *, is_recipe: bool) -> str:
    if is_recipe:
        return f"There is no file {path} yet: a recipe writes it into its log folder."
    return f"There is no file {path} yet: a script started with LOOPS_REQUEST_LOG={path} writes it."


def _follow_in_shell(context: MagicContext, path: Path) -> None:
    """Follow a file until Ctrl-C: a shell has no kernel that goes on."""
    from loops_nb.tracking.request_log import followed, unfollow

    (follower,) = followed()
    context.say("It is followed until Ctrl-C. In another terminal: %loops watch experiments")
    try:
        while follower.is_alive:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    except KeyboardInterrupt:
        unfollow(path)
        context.say(f"Stopped following {path}. Recorded data is kept. {_summary(follower.log, path)}")
        return
    raise TrackingError(f"{path} is no longer followed: {follower.trouble}")


def _read(log: MetricsLog | RequestLog) -> None:
    try:
        log.read()
    except OSError as error:
        raise TrackingError(f"{log.log} cannot be read ({error.strerror or error}). Nothing was changed.") from None


def _stop_all(context: MagicContext) -> None:
    from loops_nb.tracking.request_log import followed, unfollow

    logs = [follower.log.log for follower in followed()]
    for log in logs:
        unfollow(log)
    if logs:
        context.say(f"Stopped following {', '.join(map(str, logs))}. Recorded data is kept: %loops experiments")
    else:
        context.say("No file is followed. Nothing was changed.")


def _print_followed(context: MagicContext) -> None:
    from loops_nb.tracking.request_log import followed

    found = followed()
    if not found:
        raise InvalidArgumentError(
            "%loops track needs --request-log FILE or --metrics FILE.",
            argument="request_log",
            hint=(
                "For example %loops track --request-log loops.jsonl; in a notebook that trains, use client = "
                "loops_nb.track(client)."
            ),
        )
    for follower in found:
        state = "followed"
        if not follower.is_alive:
            state = f"no longer followed ({follower.trouble})"
        context.say(f"{follower.log.log}: {state}. {_summary(follower.log, follower.log.log)}")


def _summary(log: MetricsLog | RequestLog, path: Path) -> str:
    runs = []
    for run_id, recording in log.experiments.items():
        runs.append(run_id if recording.name == run_id else f"{recording.name} ({run_id})")
    sentences = [f"{path} contains no training yet."]
    if runs:
        sentences = [f"{path} contains {', '.join(runs)}."]
    if log.odd_lines:
        sentences.append(f"{many(log.odd_lines, 'line')} could not be read.")
    if log.unclear:
        sentences.append(
            f"{many(log.unclear, 'response')} left out: several processes wrote to this log at the same time, and it "
            "does not say which of them each response belongs to. Use one log per script."
        )
    if log.trouble:
        sentences.append(log.trouble)
    return " ".join(sentences)


VERB = Verb(
    name="track",
    summary="record the training of a script from the SDK's request log or a recipe's metrics.jsonl, live",
    run=_run,
    options=(
        option("--request-log", "FILE", "file that the script writes with LOOPS_REQUEST_LOG=FILE", completes="file"),
        option("--metrics", "FILE", "metrics.jsonl that a training recipe writes, or its folder", completes="file"),
        option("--name", "NAME", "name of the experiment; default the run's name", free_text=True),
        switch("--once", "read the file once, without following it"),
        switch("--stop", "stop following FILE; without FILE, stop following all"),
    ),
    notes="Records losses, metrics, lengths, times and checkpoints, never training data. A log is recorded once, "
    "even if it is read again or followed by several notebooks. Of a recipe, config.json gives the parameters and "
    "checkpoints.jsonl the saves; a step that goes backwards begins a new attempt. A log that is rotated goes on in "
    "its experiment; any other file that replaces it is another one. Without FILE, shows the followed files. In a "
    "notebook that trains, client = loops_nb.track(client) does the same.",
    shell=InShell(
        left_out={"--stop": "Ctrl-C ends %loops track."},
        notes="Records losses, metrics, lengths, times and checkpoints, never training data, until Ctrl-C. A log is "
        "recorded once, even if it is read again. Of a recipe, config.json gives the parameters and checkpoints.jsonl "
        "the saves; a step that goes backwards begins a new attempt. A log that is rotated goes on in its experiment; "
        "any other file that replaces it is another one.",
    ),
    examples=(
        "%loops track --request-log loops.jsonl",
        "%loops track --request-log loops.jsonl --once",
        "%loops track --metrics runs/sft-baseline",
    ),
    when_interrupted="The part read so far is recorded; the same line again continues.",
)
