"""``%loops track --request-log FILE``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from loops_nb.drawing.wording import many
from loops_nb.errors import InvalidArgumentError, TrackingError
from loops_nb.home import user_path
from loops_nb.magics.grammar import Option, Verb

if TYPE_CHECKING:
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk
    from loops_nb.tracking.request_log import RequestLog


def _run(desk: Desk, values: SimpleNamespace) -> None:
    from loops_nb.tracking.request_log import RequestLog, follow, unfollow  # noqa: PLC0415 - only for this line

    if values.request_log is None and values.stop:
        _stop_all(desk)
        return
    if values.request_log is None:
        _tell(desk)
        return
    path = user_path(values.request_log, argument="request_log")
    if values.stop:
        stopped = unfollow(path)
        desk.say(
            f"{path} is not followed any more. What was recorded stays." if stopped else f"{path} was not followed. Nothing was changed."
        )
        return
    unfollow(path)
    log = RequestLog(path, experiment=values.name)
    _read(log)
    log.flush()
    found = path.exists()
    if values.once:
        if not found:
            raise TrackingError(f"There is no file {path}.", hint="A script writes it when it is started with LOOPS_REQUEST_LOG=FILE.")
        desk.say(_what(log, path))
        return
    follow(log)
    desk.say(
        _what(log, path) if found else f"There is no file {path} yet: a script that is started with LOOPS_REQUEST_LOG={path} writes it."
    )
    desk.say("It is followed from now on, while this notebook lives. Next: %loops experiments, %loops curves; --stop ends it.")


def _read(log: RequestLog) -> None:
    try:
        log.read()
    except OSError as error:
        raise TrackingError(f"{log.log} cannot be read ({error.strerror or error}). Nothing was changed.") from None


def _stop_all(desk: Desk) -> None:
    from loops_nb.tracking.request_log import followed, unfollow  # noqa: PLC0415

    logs = [follower.log.log for follower in followed()]
    for log in logs:
        unfollow(log)
    if logs:
        are = "is" if len(logs) == 1 else "are"
        desk.say(f"{', '.join(map(str, logs))} {are} not followed any more. What was recorded stays: %loops experiments.")
    else:
        desk.say("Nothing is followed, so nothing was changed.")


def _tell(desk: Desk) -> None:
    from loops_nb.tracking.request_log import followed  # noqa: PLC0415

    found = followed()
    if not found:
        raise InvalidArgumentError(
            "%loops track needs to know which file to follow.",
            argument="request_log",
            hint="For example %loops track --request-log loops.jsonl; in a notebook that trains itself, client = loops_nb.track(client).",
        )
    for follower in found:
        state = "followed" if follower.is_alive else f"not followed any more ({follower.trouble})"
        desk.say(f"{follower.log.log}: {state}. {_what(follower.log, follower.log.log)}")


def _what(log: RequestLog, path: Path) -> str:
    runs = [f"{recording.name} ({run_id})" if recording.name != run_id else run_id for run_id, recording in log.experiments.items()]
    beside = f" {many(log.odd_lines, 'line')} of it could not be read." if log.odd_lines else ""
    if log.unclear:
        are, whose = ("answer is", "its") if log.unclear == 1 else ("answers are", "their")
        beside += (
            f" {log.unclear:,} {are} left out, with {whose} values: several processes wrote into this log at the same moment, and nothing"
            " in it says which of them was answered. Give each script a log of its own."
        )
    beside += f" {log.trouble}" if log.trouble else ""
    return f"{path} tells of {', '.join(runs)}.{beside}" if runs else f"{path} tells of no training yet.{beside}"


VERB = Verb(
    name="track",
    summary="record what a script trains from the SDK's own request log, live or afterwards",
    run=_run,
    options=(
        Option(
            name="request_log",
            flags=("--request-log",),
            metavar="FILE",
            knows="file",
            help="what the script writes with LOOPS_REQUEST_LOG=FILE",
        ),
        Option(name="name", flags=("--name",), metavar="NAME", free=True, help="name of the experiment; the run's when left out"),
        Option(name="once", flags=("--once",), default=False, help="read what is there, and do not follow it"),
        Option(name="stop", flags=("--stop",), default=False, help="follow it no longer; without FILE, none of those that are followed"),
    ),
    notes="Nothing of the data is kept: losses, metrics, lengths, times, checkpoints. A log that is read again is not recorded twice,"
    " nor one that several notebooks follow."
    " Without FILE it says what is followed. In a notebook that trains itself, client = loops_nb.track(client) does the same.",
    examples=("%loops track --request-log loops.jsonl", "%loops track --request-log loops.jsonl --once", "%loops track"),
    when_interrupted="What was read until then is recorded; the same line again goes on.",
)
