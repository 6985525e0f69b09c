"""Every fault of the wire that we know of: what is on disk, what is told, and that the same command then finishes."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

import pytest

from loops_nb.errors import DownloadIncompleteError
from tests.downloads import replies
from tests.downloads.replies import Fault, Reply, after_the_first, once, only
from tests.downloads.scene import QUICK, WEIGHTS, Scene
from tests.downloads.stored import Asked

#: "passes" when it happens once only; "harmless" however often it happens; "told" the first time, since asking again gives the same.
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
        The words in which a person is told if it stays.
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
    return replace(reply.with_headers(content_length=str(len(body)), etag='"other"', content_range=None), status=200, body=body)


CLOSED = r"closed|cut after"
LENGTHS = r"the listing says \d|of another length than it says|a length that is no number|bytes it has"
PART = r"answered 206|another part|without saying which|a part|the listing says \d"
CASES = {
    "nothing": Case(replies.as_it_is, "harmless"),
    # Cuts.
    "hang up": Case(replies.hang_up, "passes", CLOSED),
    "reset at once": Case(replies.reset_at_once, "passes", r"reset"),
    "cut in the status line": Case(replies.cut_in_the_status_line, "passes", CLOSED),
    "cut in the headers": Case(replies.cut_in_the_headers, "passes", CLOSED),
    "cut after the headers": Case(replies.cut_after_the_headers, "passes", CLOSED),
    "cut in the body": Case(replies.cut_in_the_body, "passes", CLOSED),
    "cut before the last byte": Case(replies.cut_before_the_last_byte, "passes", CLOSED),
    "reset in the body": Case(replies.reset_in_the_body, "passes", r"reset"),
    # Silence.
    "silence": Case(replies.silence, "passes", r"no byte", 0.4),
    "silence in the headers": Case(replies.silence_in_the_headers, "passes", r"no byte", 0.4),
    "silence in the body": Case(replies.silence_in_the_body, "passes", r"no byte", 0.4),
    "silence before the last byte": Case(replies.silence_before_the_last_byte, "passes", r"no byte", 0.4),
    # Lengths.
    "says more": Case(replies.says_more, "passes", LENGTHS),
    "says less": Case(replies.says_less, "passes", LENGTHS),
    "sends less": Case(replies.sends_less, "passes", LENGTHS),
    "sends more": Case(replies.sends_more, "passes", LENGTHS),
    "no length, whole": Case(replies.no_length_whole, "harmless"),
    "no length, short": Case(replies.no_length_short, "passes", r"ended after|cut after"),
    "no length, long": Case(replies.no_length_long, "passes", LENGTHS, of_part="harmless"),
    "a length of words": Case(replies.length_of_words, "passes", LENGTHS),
    "a length below zero": Case(replies.length_below_zero, "passes", LENGTHS),
    "endless headers": Case(replies.endless_headers, "passes", r"headers that do not end"),
    "chunked": Case(replies.chunked, "harmless"),
    "chunked, cut": Case(replies.chunked_cut, "passes", CLOSED, of_part="harmless"),
    "chunked, without its end": Case(replies.chunked_without_end, "passes", CLOSED, of_part="harmless"),
    "chunked, short": Case(replies.chunked_short, "passes", r"ended after|fewer bytes|cut after"),
    "chunked, nonsense": Case(replies.chunked_nonsense, "passes", r"chunks that cannot be read"),
    "a second answer in its wake": Case(replies.second_answer_in_its_wake, "harmless"),
    # Contents.
    "corrupt": Case(replies.corrupt, "passes", r"\(MD5\) is not the one"),
    "HTML": Case(replies.html, "told", r"a web page came"),
    "HTML of the same length": Case(replies.html_of_the_same_length, "told", r"a web page came"),
    "gzip": Case(replies.gzip, "told", r"came compressed"),
    "gzip, but it is not": Case(replies.gzip_word_only, "told", r"came compressed"),
    "another protocol": Case(replies.garbage, "passes", r"is no HTTP|closed"),
    "another size": Case(other_size, "passes", LENGTHS),
    # Ranges.
    "ranges ignored": Case(replies.ignores_ranges, "harmless"),
    "416": Case(replies.range_of_nothing, "passes", r"416"),
    "another start": Case(replies.other_start, "passes", PART),
    "another total": Case(replies.other_total, "passes", PART),
    "another unit": Case(replies.other_unit, "passes", PART),
    "a part without a place": Case(replies.part_without_a_place, "passes", PART),
    "a part of nonsense": Case(replies.part_of_nonsense, "passes", PART),
    "several parts": Case(replies.several_parts, "passes", PART),
    # Statuses.
    "400": Case(replies.status(400), "told", r"400"),
    "404": Case(replies.status(404), "told", r"404"),
    "410": Case(replies.status(410), "told", r"410"),
    "429": Case(replies.status(429, retry_after="0"), "passes", r"429"),
    "500": Case(replies.status(500), "passes", r"500"),
    "502": Case(replies.status(502), "passes", r"502"),
    "503": Case(replies.status(503), "passes", r"503"),
    "504": Case(replies.status(504), "passes", r"504"),
    "204": Case(replies.status(204), "told", r"204"),
    "304": Case(replies.status(304), "told", r"304"),
    "999": Case(replies.status(999), "told", r"999"),
}


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def finishes_or_tells(lab: Scene, case: Case) -> None:
    """Download against a fault that comes once, and see that only what will not pass is told."""
    if case.kind == "told":
        assert_told(lab.fails(DownloadIncompleteError, silence=case.silence), case)
    else:
        lab.finishes(silence=case.silence)


def finishes_or_fails(lab: Scene, case: Case) -> None:
    """Download against a fault that stays, and see what is told; the other files are there."""
    if case.kind == "harmless":
        lab.finishes(silence=case.silence)
        return
    assert_told(lab.fails(DownloadIncompleteError, silence=case.silence), case)
    assert lab.there() == {f.name: f.body for f in lab.server.files if f.name != WEIGHTS}, "the others are kept"


def assert_told(error: DownloadIncompleteError, case: Case) -> None:
    (path, what), *others = error.failures.items()
    assert not others
    assert path.endswith(f"step-100/{WEIGHTS}")
    assert re.search(case.told, what), what
    assert "again" in str(error), "what to do next is missing"


def test_a_fault_that_comes_once(lab: Scene, case: Case) -> None:
    lab.server.fault = only(WEIGHTS, once(case.fault))
    finishes_or_tells(lab, case)
    lab.then_a_good_server_finishes_it()


def test_a_fault_that_stays(lab: Scene, case: Case) -> None:
    lab.server.fault = only(WEIGHTS, case.fault)
    # Who was cut asks for the rest, and that may come to a good end; who got something odd asks for all of it once more.
    finishes_or_fails(lab, case.part if "cut" in case.told else case)
    lab.then_a_good_server_finishes_it()
    assert {asked.file.name for asked in lab.server.asked} <= {WEIGHTS}, "what was there came again"


def test_a_fault_on_the_way_back(lab: Scene, case: Case) -> None:
    """The first half came in an earlier command; the fault is in the answer to who wants to go on."""
    lab.server.fault = only(WEIGHTS, replies.cut_in_the_body)
    lab.fails(DownloadIncompleteError, retry=replace(QUICK, attempts=1))
    lab.server.behave()
    lab.server.fault = only(WEIGHTS, once(case.fault))
    finishes_or_tells(lab, case.part)
    lab.then_a_good_server_finishes_it()


def test_a_fault_between_two_halves(lab: Scene, case: Case) -> None:
    """The first request is cut, the fault comes when the rest is asked for within the same command."""
    first, second = replies.cut_in_the_body, after_the_first(case.fault)
    lab.server.fault = only(WEIGHTS, lambda asked, reply: first(asked, reply) if asked.number == 1 else second(asked, reply))
    finishes_or_fails(lab, case.part)
    lab.then_a_good_server_finishes_it()
