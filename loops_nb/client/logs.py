"""Log lines of a run, a deployment or a sampler, back over the limit of one answer; without I/O.

The service answers at most 1,000 lines of at most seven days, and has no token for the next page: the next request ends
at the oldest line so far.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

from loops_nb.api.models import LOG_LEVELS, Deployment, LogLine, Run, Sampler
from loops_nb.api.pairing import deployment_of_run
from loops_nb.client import checks
from loops_nb.client.operations import deployments, runs, samplers, server
from loops_nb.client.operations.deployments import MOST_LOG_LINES
from loops_nb.client.operations.line_filters import NO_FILTERS, LineFilters, filters_of
from loops_nb.client.request import Request
from loops_nb.client.run_names import run_named
from loops_nb.config.redaction import without_signatures
from loops_nb.errors import BadRequestError, InvalidArgumentError, NotFoundError, UnreadableAnswerError
from loops_nb.render.log_lines import ShownLine, terminal_text

HALVES = ("trainer", "sampler", "both")
#: Lines of one call, unless another limit is given: without a start the newest ones, else all up to a bound.
DEFAULT_LINES = 500
MOST_LINES = 100_000
#: The service refuses seven days and a millisecond, and its clock is not exactly this one.
_WINDOW = checks.MAX_LOG_WINDOW - timedelta(minutes=5)
#: Where nothing says since when there can be lines.
_LONGEST_LOOK_BACK = timedelta(days=90)
_NANOS_PER_MILLI = 1_000_000
_CLOCKS_DIFFER = timedelta(minutes=5)
#: A line may reach the service this much later than one that is newer.
_LATE = timedelta(seconds=10)

Steps = Generator[Request[Any], Any, Any]


class HalfLine(NamedTuple):
    """A log line and the half that wrote it."""

    nanos: int
    half: str
    line: LogLine

    def shown(self, *, half: bool) -> ShownLine:
        """Return the line to show, with its half if wanted."""
        return ShownLine(
            _time(self.nanos // _NANOS_PER_MILLI), self.line.message, self.line.level, self.half if half else None
        )


class LogSource(NamedTuple):
    """A route of log lines: of a Loops deployment, or with a model id of a sampler's model deployment."""

    half: str
    deployment_id: str
    model_id: str | None = None

    def request(
        self,
        *,
        start: datetime | None,
        end: datetime | None,
        limit: int,
        min_level: str | None,
        filters: LineFilters = NO_FILTERS,
    ) -> Request[list[LogLine]]:
        """Return the request for the newest lines of a window; only a model deployment's are filtered by their text."""
        fields: dict[str, Any] = {"start": start, "end": end, "limit": limit, "min_level": min_level}
        if self.model_id is None:
            return deployments.logs(self.deployment_id, direction="desc", **fields)
        return server.model_deployment_logs(
            self.model_id, self.deployment_id, direction="desc", filters=filters, **fields
        )


class LogTarget(NamedTuple):
    """What log lines are asked of.

    Parameters
    ----------
    what : {"run", "deployment", "sampler"}
        What the id names.
    id : str
        The id.
    sources : tuple of LogSource
        The routes of the halves that were asked for.
    since, until : datetime or None
        When it was created, and when a later run took over its deployment, as far as known.
    """

    what: str
    id: str
    sources: tuple[LogSource, ...]
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Checked conditions; see `log_query`."""

    half: str | None
    since: datetime | None
    until: datetime | None
    pattern: re.Pattern[str] | None
    min_level: str | None
    limit: int

    def matches(self, line: LogLine) -> bool:
        """Return whether a line is wanted by its text, as it is shown."""
        return self.pattern is None or self.pattern.search(terminal_text(line.message)) is not None


class LogReading(NamedTuple):
    """Log lines, oldest first.

    Parameters
    ----------
    target : LogTarget
        What they are of.
    lines : list of HalfLine
        The lines.
    notes : list of str
        What is left out.
    """

    target: LogTarget
    lines: list[HalfLine]
    notes: list[str]


def log_query(
    *,
    half: str | None = None,
    since: timedelta | datetime | None = None,
    until: timedelta | datetime | None = None,
    grep: str | re.Pattern[str] | None = None,
    min_level: str | None = None,
    limit: int | None = None,
) -> LogQuery:
    """Check the arguments of ``loops.logs``.

    Raises
    ------
    InvalidArgumentError
        If one cannot be used.
    """
    first, last = checks.time_or_age("since", since), checks.time_or_age("until", until)
    if first is not None and first > datetime.now(UTC) + _CLOCKS_DIFFER:
        raise InvalidArgumentError(f"since is a time to come: {first:%Y-%m-%d %H:%M %Z}.", argument="since")
    if first is not None and last is not None and first > last:
        raise InvalidArgumentError(
            "since must not be later than until, and ages count back from now.",
            argument="since",
            hint="--since 2h --until 1h are the lines between two hours and one hour ago.",
        )
    if limit is None:
        limit = DEFAULT_LINES if first is None else MOST_LINES
    return LogQuery(
        half=checks.optional_one_of("half", half, HALVES),
        since=first,
        until=last,
        pattern=_pattern(grep),
        min_level=checks.optional_one_of("min_level", min_level, LOG_LEVELS),
        limit=checks.whole("limit", limit, least=1, most=MOST_LINES),
    )


def _pattern(grep: Any) -> re.Pattern[str] | None:
    if grep is None or (isinstance(grep, re.Pattern) and isinstance(grep.pattern, str)):
        return grep
    if isinstance(grep, re.Pattern):
        raise InvalidArgumentError("grep is a pattern of bytes; log lines are text.", argument="grep")
    try:
        return re.compile(checks.text("grep", grep))
    except re.error as error:
        raise InvalidArgumentError(
            f"grep is no regular expression: {error} in {grep!r:.80}.",
            argument="grep",
            hint="A backslash before ( [ * + ? . takes it literally.",
        ) from None


def read_logs(word: str, query: LogQuery) -> Generator[Request[Any], Any, LogReading]:
    """Return the newest lines that meet the conditions, oldest first.

    Parameters
    ----------
    word : str
        Id or name of a run, id of a Loops deployment, or id of a sampler.
    query : LogQuery
        The conditions.

    Raises
    ------
    NotFoundError
        If there is no such run, deployment or sampler.
    InvalidArgumentError
        If it has no deployment whose lines could be read.
    """
    target = yield from find_target(word, query.half)
    reading: LogReading = yield from read_target(target, query)
    return reading


def read_target(target: LogTarget, query: LogQuery) -> Generator[Request[Any], Any, LogReading]:
    """Return the lines of a target that was found."""
    if query.until is None and target.until is not None and (query.since is None or query.since < target.until):
        query = replace(query, until=target.until)
    found: list[HalfLine] = []
    notes: list[str] = []
    for source in target.sources:
        lines, left_out = yield from _walk(source, query, target.since)
        # The oldest first, also of equal times, whose order the sorting keeps.
        found += reversed(lines)
        notes += left_out
    found.sort(key=lambda line: line.nanos)
    if len(found) > query.limit:
        found = found[-query.limit :]
    if len(found) == query.limit:
        notes.insert(0, f"These are the newest {query.limit:,} lines; there may be earlier ones.")
    return LogReading(target, found, list(dict.fromkeys(notes)))


def find_target(word: str, half: str | None) -> Generator[Request[Any], Any, LogTarget]:
    """Return what a word names; by default of a sampler its own half, of everything else the trainer."""
    checks.text("target", word)
    listed: list[Run] = yield runs.list_()
    run = run_named(word, listed, argument="target")
    if run is None and checks.is_identifier(word):
        owner = next((one for one in listed if word == one.deployment_id), None)
        if owner is not None and half in {None, "trainer"}:
            return LogTarget("deployment", word, (LogSource("trainer", word),))
        sampler = next((one.sampler for one in listed if one.sampler is not None and one.sampler.id == word), None)
        sampler = sampler or (yield from _or_none(samplers.get(word)))
        if sampler is not None:
            if half == "trainer":
                raise InvalidArgumentError(
                    f"{word!r:.80} is a sampler, which has no trainer.",
                    argument="half",
                    hint=f"%loops logs {word} has its own lines; name its run for those of the trainer.",
                )
            source = yield from _sampler_source(sampler)
            return LogTarget("sampler", word, (source,), sampler.created_at)
        deployment = yield from _or_none(deployments.get(word))
        if deployment is not None:
            sources = yield from _sources(deployment.id, deployment.sampler, half, f"deployment {word}")
            return LogTarget("deployment", word, sources, deployment.created_at)
        run = yield from _or_none(runs.get(word))
    if run is None:
        raise NotFoundError(
            f"There is no run, deployment or sampler {word!r:.80}.",
            status=404,
            hint="%loops runs, %loops deployments and %loops samplers list what there is.",
        )
    target: LogTarget = yield from _of_run(run, listed, half)
    return target


def _of_run(run: Run, listed: Iterable[Run], half: str | None) -> Steps:
    deployment_id = run.deployment_id
    if deployment_id is None and half != "sampler":
        # Of the first documents' shape, which names the run in the deployment.
        known: list[Deployment] = yield deployments.list_()
        deployment = deployment_of_run(run, {one.id: one for one in known})
        deployment_id = None if deployment is None else deployment.id
    sources = yield from _sources(deployment_id, run.sampler, half, f"run {run.id}")
    later = [
        one.created_at
        for one in listed
        if deployment_id is not None
        and one.deployment_id == deployment_id
        and one.created_at is not None
        and run.created_at is not None
        and one.created_at > run.created_at
    ]
    return LogTarget("run", run.id, sources, run.created_at, min(later, default=None))


def _sources(deployment_id: str | None, sampler: Sampler | None, half: str | None, owner: str) -> Steps:
    found: list[LogSource] = []
    if half != "sampler":
        if deployment_id is None:
            raise InvalidArgumentError(
                f"The {owner} has no deployment of its own, so its trainer has no logs, metrics or debug archive: it "
                "is on shared (serverless) capacity.",
                argument="target",
                hint="A run with scope=deployment has them.",
            )
        found.append(LogSource("trainer", deployment_id))
    if half in {"sampler", "both"}:
        if sampler is None:
            raise InvalidArgumentError(
                f"The {owner} has no sampler.", argument="half", hint="Leave --half out for the trainer's lines."
            )
        found.append((yield from _sampler_source(sampler)))
    return tuple(found)


def _sampler_source(sampler: Sampler) -> Steps:
    if sampler.model_id is None or sampler.deployment_id is None:
        # Part of a listing may have its id alone.
        sampler = yield samplers.get(sampler.id)
    if sampler.model_id is None or sampler.deployment_id is None:
        raise InvalidArgumentError(
            f"Sampler {sampler.id} has no model deployment of its own, so it has no logs or metrics to read: it is on "
            "shared (serverless) capacity.",
            argument="target",
        )
    return LogSource("sampler", sampler.deployment_id, sampler.model_id)


def _or_none(request: Request[Any]) -> Steps:
    try:
        found = yield request
    except (NotFoundError, BadRequestError):
        # An id of another kind may be malformed there.
        return None
    return found


def _walk(source: LogSource, query: LogQuery, created: datetime | None) -> Steps:
    """Return the newest lines of a source that are wanted, newest first, and notes on what is left out."""
    now = datetime.now(UTC)
    # Lines may be a little older than the record of what wrote them.
    floor = query.since or max(now - _LONGEST_LOOK_BACK, (created or now - _WINDOW) - timedelta(minutes=1))
    end = query.until
    found: list[HalfLine] = []
    notes: list[str] = []
    if end is not None and end < floor:
        return found, notes
    read: Counter[tuple[str, str, str | None]] = Counter()
    filters = NO_FILTERS
    offered = None if query.pattern is None or source.model_id is None else filters_of(query.pattern)
    while True:
        start = max(floor, (end or now) - _WINDOW)
        limit = MOST_LOG_LINES if query.pattern else min(MOST_LOG_LINES, query.limit + read.total())
        request = partial(source.request, start=start, end=end, limit=limit, min_level=query.min_level)
        lines: list[LogLine] = yield request(filters=filters)
        lines = sorted(lines, key=nanos_of, reverse=True)
        if offered is not None and len(lines) >= limit:
            # There is more than one answer holds: the service is asked to filter, and compared with what was read.
            filtered = yield from _filtered(request(filters=offered), lines, query)
            if filtered is not None:
                lines, filters = filtered, offered
            offered = None
        found += [
            HalfLine(nanos_of(line), source.half, _as_shown(line))
            for line in _unread(lines, read)
            if query.matches(line)
        ]
        if len(found) >= query.limit:
            return found[: query.limit], notes
        if len(lines) < limit:
            if start <= floor:
                return found, notes
            end, read = start, Counter(_key(line) for line in lines if nanos_of(line) <= _nanos(start))
            continue
        # The milliseconds of the oldest line may have more lines: they are asked for once more.
        following = _time(nanos_of(lines[-1]) // _NANOS_PER_MILLI + 1)
        if end is not None and following >= end:
            following = end - timedelta(milliseconds=1)
            notes.append(f"More lines than one answer holds have the time {end:%H:%M:%S.%f}; some are left out.")
        end, read = following, Counter(_key(line) for line in lines if nanos_of(line) <= _nanos(following))
        if end < floor:
            return found, notes


def _filtered(request: Request[list[LogLine]], unfiltered: list[LogLine], query: LogQuery) -> Steps:
    """Return the lines that the service filtered, newest first; None where it refuses or leaves out a wanted one."""
    try:
        answered: list[LogLine] = yield request
    except BadRequestError:
        return None
    lines = sorted(answered, key=nanos_of, reverse=True)
    is_full = len(lines) >= MOST_LOG_LINES
    oldest = nanos_of(lines[-1]) if is_full else 0
    wanted = Counter(_key(line) for line in unfiltered if query.matches(line) and nanos_of(line) > oldest)
    return None if wanted - Counter(map(_key, lines)) else lines


def _as_shown(line: LogLine) -> LogLine:
    """Return a line as a terminal shows it, without signatures of presigned URLs, which work without a key."""
    message = without_signatures(terminal_text(line.message))
    if message == line.message:
        return line
    return LogLine(
        timestamp=line.timestamp, message=message, replica=line.replica, request_id=line.request_id, level=line.level
    )


def _unread(lines: Iterable[LogLine], read: Counter[tuple[str, str, str | None]]) -> Iterator[LogLine]:
    """Yield the lines that the answer before did not have."""
    for line in lines:
        if read[_key(line)] > 0:
            read[_key(line)] -= 1
        else:
            yield line


class LogTail:
    """Reads what is new of a target, again and again.

    Parameters
    ----------
    target : LogTarget
        What to follow.
    query : LogQuery
        The conditions; its start counts for the first reading only.
    """

    def __init__(self, target: LogTarget, query: LogQuery) -> None:
        self._target = target._replace(until=None)
        self._query = query
        self._recent: dict[tuple[str, str, str, str | None], int] = {}
        self._newest = 0
        #: Lines up to here were left out of the first reading, and are not new.
        self._left_out = -1

    def steps(self) -> Generator[Request[Any], Any, LogReading]:
        """Return the lines that came since the last reading, oldest first."""
        query = self._query
        if self._newest:
            query = replace(query, since=_time(self._newest // _NANOS_PER_MILLI) - _LATE, until=None, limit=MOST_LINES)
        reading = yield from read_target(self._target, query)
        if not self._newest and len(reading.lines) == query.limit:
            self._left_out = reading.lines[0].nanos - 1
        self._newest = max([self._newest, *(line.nanos for line in reading.lines)])
        oldest = self._newest - _LATE // timedelta(microseconds=1) * 1000
        counts: Counter[tuple[str, str, str, str | None]] = Counter()
        new = []
        for line in reading.lines:
            key = (line.half, *_key(line.line))
            counts[key] += 1
            if counts[key] > self._recent.get(key, 0) and line.nanos > self._left_out:
                new.append(line)
                self._recent[key] = counts[key]
        self._recent = {key: count for key, count in self._recent.items() if int(key[1]) >= oldest}
        return LogReading(reading.target, new, reading.notes)


def nanos_of(line: LogLine) -> int:
    """Return the time of a line in epoch nanoseconds.

    Raises
    ------
    UnreadableAnswerError
        If the service sent something else.
    """
    try:
        return int(line.timestamp)
    except ValueError:
        raise UnreadableAnswerError(
            f"The service answered {line.timestamp!r:.80} as the time of a log line, which is no epoch in nanoseconds."
        ) from None


def _key(line: LogLine) -> tuple[str, str, str | None]:
    return line.timestamp, line.message, line.replica


def _time(millis: int) -> datetime:
    try:
        return datetime.fromtimestamp(millis / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise UnreadableAnswerError("The service answered a log line with a time that no calendar has.") from None


def _nanos(at: datetime) -> int:
    return int(at.timestamp() * 1000) * _NANOS_PER_MILLI + _NANOS_PER_MILLI - 1
