"""Every known network fault: what is on disk, what is reported, and that the same command then completes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

import pytest

from loops_nb.errors import DownloadIncompleteError
from tests.checkpoints.transfer import responses
from tests.checkpoints.transfer.responses import Fault, Reply, after_the_first, once, only
from tests.checkpoints.transfer.scenario import QUICK, WEIGHTS, DownloadScenario
from tests.checkpoints.transfer.stored_file import Asked

#: "passes" when it happens once only; "harmless" however often it happens; "told" the first time, since asking again
#: gives the same.
Kind = Literal["passes", "harmless", "told"]


@dataclass(frozen=True)
class Case:
    """A fault, and what it comes to.

    Parameters
    ----------
    fault
        What happens.
    kind
        What it comes to when the file is asked for.
    told
        The words of the error if it stays.
    silence
        Seconds that nothing may come.
    of_part
        What it comes to when a part is asked for, where that is something else.
    """

    fault: Fault
    kind: Kind
    told: str = ""
    silence: float = 30.0
    of_part: Kind | None = None

    @property
    def part(self) -> Case:
        """The same fault for who asks for a part."""
        return replace(self, kind=self.of_part or self.kind)


def other_size(asked: Asked, reply: Reply) -> Reply:
    """Be another file: whole, consistent, and not of the listed size."""
    body = reply.body + b"more"
    return replace(
        reply.with_headers(content_length=str(len(body)), etag='"other"', content_range=None), status=200, body=body
    )


CLOSED = r"closed|cut after"
LENGTHS = r"the listing says \d|of another length than it says|a length that is no number|bytes it has"
PART = r"answered 206|another part|without saying which|a part|the listing says \d"
CASES = {
    "nothing": Case(responses.as_it_is, "harmless"),
    # Cuts.
    "hang up": Case(responses.hang_up, "passes", CLOSED),
    "reset at once": Case(responses.reset_at_once, "passes", r"reset"),
    "cut in the status line": Case(responses.cut_in_the_status_line, "passes", CLOSED),
    "cut in the headers": Case(responses.cut_in_the_headers, "passes", CLOSED),
    "cut after the headers": Case(responses.cut_after_the_headers, "passes", CLOSED),
    "cut in the body": Case(responses.cut_in_the_body, "passes", CLOSED),
    "cut before the last byte": Case(responses.cut_before_the_last_byte, "passes", CLOSED),
    "reset in the body": Case(responses.reset_in_the_body, "passes", r"reset"),
    # Silence.
    "silence": Case(responses.silence, "passes", r"no byte", 0.4),
    "silence in the headers": Case(responses.silence_in_the_headers, "passes", r"no byte", 0.4),
    "silence in the body": Case(responses.silence_in_the_body, "passes", r"no byte", 0.4),
    "silence before the last byte": Case(responses.silence_before_the_last_byte, "passes", r"no byte", 0.4),
    # Lengths.
    "says more": Case(responses.says_more, "passes", LENGTHS),
    "says less": Case(responses.says_less, "passes", LENGTHS),
    "sends less": Case(responses.sends_less, "passes", LENGTHS),
    "sends more": Case(responses.sends_more, "passes", LENGTHS),
    "no length, whole": Case(responses.no_length_whole, "harmless"),
    "no length, short": Case(responses.no_length_short, "passes", r"ended after|cut after"),
    "no length, long": Case(responses.no_length_long, "passes", LENGTHS, of_part="harmless"),
    "a length of words": Case(responses.length_of_words, "passes", LENGTHS),
    "a length below zero": Case(responses.length_below_zero, "passes", LENGTHS),
    "endless headers": Case(responses.endless_headers, "passes", r"headers that do not end"),
    "chunked": Case(responses.chunked, "harmless"),
    "chunked, cut": Case(responses.chunked_cut, "passes", CLOSED, of_part="harmless"),
    "chunked, without its end": Case(responses.chunked_without_end, "passes", CLOSED, of_part="harmless"),
    "chunked, short": Case(responses.chunked_short, "passes", r"ended after|fewer bytes|cut after"),
    "chunked, nonsense": Case(responses.chunked_nonsense, "passes", r"chunks that cannot be read"),
    "a second answer in its wake": Case(responses.second_answer_in_its_wake, "harmless"),
    # Contents.
    "corrupt": Case(responses.corrupt, "passes", r"\(MD5\) is not the one"),
    "HTML": Case(responses.html, "told", r"a web page came"),
    "HTML of the same length": Case(responses.html_of_the_same_length, "told", r"a web page came"),
    "gzip": Case(responses.gzip, "told", r"came compressed"),
    "gzip, but it is not": Case(responses.gzip_word_only, "told", r"came compressed"),
    "another protocol": Case(responses.garbage, "passes", r"is no HTTP|closed"),
    "another size": Case(other_size, "passes", LENGTHS),
    # Ranges.
    "ranges ignored": Case(responses.ignores_ranges, "harmless"),
    "416": Case(responses.range_of_nothing, "passes", r"416"),
    "another start": Case(responses.other_start, "passes", PART),
    "another total": Case(responses.other_total, "passes", PART),
    "another unit": Case(responses.other_unit, "passes", PART),
    "a part without a place": Case(responses.part_without_a_place, "passes", PART),
    "a part of nonsense": Case(responses.part_of_nonsense, "passes", PART),
    "several parts": Case(responses.several_parts, "passes", PART),
    # Statuses.
    "400": Case(responses.status(400), "told", r"400"),
    "404": Case(responses.status(404), "told", r"404"),
    "410": Case(responses.status(410), "told", r"410"),
    "429": Case(responses.status(429, retry_after="0"), "passes", r"429"),
    "500": Case(responses.status(500), "passes", r"500"),
    "502": Case(responses.status(502), "passes", r"502"),
    "503": Case(responses.status(503), "passes", r"503"),
    "504": Case(responses.status(504), "passes", r"504"),
    "204": Case(responses.status(204), "told", r"204"),
    "304": Case(responses.status(304), "told", r"304"),
    "999": Case(responses.status(999), "told", r"999"),
}


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def finishes_or_tells(scenario: DownloadScenario, case: Case) -> None:
    """Download against a fault that comes once, and see that only what does not pass is reported."""
    if case.kind == "told":
        assert_reported(scenario.fails(DownloadIncompleteError, silence=case.silence), case)
    else:
        scenario.completes(silence=case.silence)


def finishes_or_fails(scenario: DownloadScenario, case: Case) -> None:
    """Download against a fault that stays, and see what is reported; the other files are there."""
    if case.kind == "harmless":
        scenario.completes(silence=case.silence)
        return
    assert_reported(scenario.fails(DownloadIncompleteError, silence=case.silence), case)
    assert scenario.there() == {f.name: f.body for f in scenario.server.files if f.name != WEIGHTS}, (
        "the others are kept"
    )


def assert_reported(error: DownloadIncompleteError, case: Case) -> None:
    (path, what), *others = error.failures.items()
    assert not others
    assert path.endswith(f"step-100/{WEIGHTS}")
    assert re.search(case.told, what), what
    assert "again" in str(error), "what to do next is missing"


def test_fault_that_occurs_once_is_retried_or_reported(scenario: DownloadScenario, case: Case) -> None:
    scenario.server.fault = only(WEIGHTS, once(case.fault))
    finishes_or_tells(scenario, case)
    scenario.completes_with_a_good_server()


def test_permanent_fault_is_reported(scenario: DownloadScenario, case: Case) -> None:
    scenario.server.fault = only(WEIGHTS, case.fault)
    # Who was cut asks for the rest, and that may come to a good end; who got something odd asks for all of it once
    # more.
    finishes_or_fails(scenario, case.part if "cut" in case.told else case)
    scenario.completes_with_a_good_server()
    assert {asked.file.name for asked in scenario.server.asked} <= {WEIGHTS}, "what was there came again"


def test_fault_while_resuming_is_retried_or_reported(scenario: DownloadScenario, case: Case) -> None:
    """The first half came in an earlier command; the fault is in the answer to who wants to go on."""
    scenario.server.fault = only(WEIGHTS, responses.cut_in_the_body)
    scenario.fails(DownloadIncompleteError, retry=replace(QUICK, attempts=1))
    scenario.server.behave()
    scenario.server.fault = only(WEIGHTS, once(case.fault))
    finishes_or_tells(scenario, case.part)
    scenario.completes_with_a_good_server()


def test_fault_after_a_cut_is_retried_or_reported(scenario: DownloadScenario, case: Case) -> None:
    """The first request is cut, the fault comes when the rest is asked for within the same command."""
    first, second = responses.cut_in_the_body, after_the_first(case.fault)
    scenario.server.fault = only(
        WEIGHTS, lambda asked, reply: first(asked, reply) if asked.number == 1 else second(asked, reply)
    )
    finishes_or_fails(scenario, case.part)
    scenario.completes_with_a_good_server()
