"""What a report says, in HTML and in text alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape

import pytest

from loops_nb import live
from loops_nb.errors import ConfigError
from loops_nb.panels import messages
from loops_nb.panels.report import report_html, report_text
from loops_nb.panels.report.html import LIVE_CLASS, REPORT_CLASS
from loops_nb.render.formatting import roughly
from tests.panels.report.snapshots import LIVE, MINUTE, NOW, checkpoint, head, of_run, row, run, snapshot, table


def html_words(snapshot: messages.PanelSnapshot) -> str:
    """Return what a reader sees of the HTML, a cell behind the other."""
    html = re.sub(r"<style>.*?</style>", "", report_html(snapshot, time_zone="UTC"), flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


def text_words(snapshot: messages.PanelSnapshot) -> str:
    """Return what a reader sees of the text, with nothing but single spaces."""
    return " ".join(report_text(snapshot, width=400, time_zone="UTC").split())


both = pytest.mark.parametrize("words", [html_words, text_words])
Words = Callable[[messages.PanelSnapshot], str]


@both
def test_a_fleet_says_when_what_and_how_to_see_it_live(words: Words) -> None:
    facts = [
        messages.Fact(label="Alive", value="1 of 2 runs", tone="good"),
        messages.Fact(label="Stuck", value="1 run", tone="bad"),
    ]
    runs = [run(1), run(2, name="done", status="INACTIVE", deployment_status="FAILED", finished=True)]
    samplers = [row("samplers", id="smp_9", status="UNHEALTHY", gpus=1, created_at=NOW - 26 * 60 * MINUTE)]
    said = words(snapshot(tables={"runs": table(runs), "samplers": table(samplers)}, facts=facts))
    for expected in (
        "Runs and samplers As of 2026-11-20 13:03:05 UTC. Alive: 1 of 2 runs · Stuck: ✕ 1 run 2 runs",
        (
            "k000001 gsm8k-grpo-lower-lr-1 ● ACTIVE ○ SCALED_TO_ZERO ◐ LOADING_MODEL 16 step-25 12:51:05 3 h 12 min "
            "Qwen/Qwen3-30B-A3B"
        ),
        "k000002 done ■ INACTIVE ✕ FAILED",
        "In all of these rows: Owner ada@example.com.",
        "1 standalone sampler",
        "smp_9 ✕ UNHEALTHY 1 1 d 2 h",
        "To see it live, type in a notebook: %loops watch",
    ):
        assert expected in said
    assert " ago" not in said


@both
def test_a_run_says_its_parts_their_states_and_its_checkpoints_newest_first(words: Words) -> None:
    notice = messages.Notice(
        id="n",
        at=NOW - MINUTE,
        tone="bad",
        text="Sampler smp_1 failed",
        hint="%loops sampler smp_1 says more",
        about="smp_1",
    )
    act = messages.CommandStatus(
        id="a", what="deactivate", table="samplers", target="smp_1", state="failed", text="It is paired with a run."
    )
    said = words(of_run(2, notices=[notice], commands=[act]))
    for expected in (
        "Run k000001 As of",
        "Session: sess_1",
        "13:02:05 ✕ Sampler smp_1 failed. %loops sampler smp_1 says more.",
        "Asked for here: deactivate smp_1, failed. It is paired with a run.",
        "math-rl, Qwen/Qwen3-8B",
        "Run ● ACTIVE 09:51:05 - k000001",
        "Trainer ● RUNNING 12:03:05 8 x H100 dep_1",
        "Sampler ✕ FAILED 13:02:05 - smp_1",
        "before 11:53:05 Trainer ◐ DEPLOYING over 10 min",
        "12:03:05 Trainer ● RUNNING 1 h so far",
        "2 checkpoints",
        (
            "c000001 step-1 sampler 16.8 MB ● COMPLETE 2026-11-19 20:24 bt://loops:k000001/sampler_weights/step-1 "
            "c000000 step-0"
        ),
        "To see it live, type in a notebook: %loops watch k000001",
    ):
        assert expected in said


@both
def test_a_service_that_did_not_answer_is_told_with_since_when_why_and_what_to_do(words: Words) -> None:
    health = live.Health(
        state="failing",
        looked_at=NOW,
        since=NOW + MINUTE,
        reason="Nothing listens at http://127.0.0.1:1",
        hint="Type %loops local start",
    )
    said = words(snapshot(now=NOW + 9 * MINUTE, health=health, tables={"runs": table([run(1)])}))
    assert (
        "As of 2026-11-20 13:03:05 UTC. Since 13:04:05 it could not be brought up to date: Nothing listens at http://127.0.0.1:1."
        " Type %loops local start."
    ) in said
    assert "3 h 12 min" in said, "ages are as of the data, not as of the last try"


@both
@pytest.mark.parametrize(
    ("health", "expected"),
    [
        (live.Health(state="starting"), "Nothing had come from the service by 2026-11-20 13:03:05 UTC."),
        (
            live.Health(state="failing", reason="The key is refused"),
            "Nothing had come from the service by 2026-11-20 13:03:05 UTC. The key is refused.",
        ),
        (live.Health(state="paused", looked_at=NOW), "As of 2026-11-20 13:03:05 UTC. It was paused then."),
        (
            live.Health(state="over", looked_at=NOW, reason="The run is over"),
            "As of 2026-11-20 13:03:05 UTC. The run is over.",
        ),
        (
            live.Health(state="over", looked_at=NOW, since=NOW + MINUTE, reason="Frozen"),
            "As of 2026-11-20 13:03:05 UTC. Since 13:04:05 it could not be brought up to date. Frozen.",
        ),
        (
            live.Health(state="failing", looked_at=NOW),
            "As of 2026-11-20 13:03:05 UTC. It could not be brought up to date.",
        ),
    ],
)
def test_every_health_is_a_sentence(words: Words, health: live.Health, expected: str) -> None:
    facts = [messages.Fact(label="runs alive", value="0 of 0")]
    said = words(snapshot(health=health, facts=facts, ready=health.looked_at is not None))
    assert ("0 of 0" in said) is (health.looked_at is not None), "of what never came there is nothing to count"
    assert expected in said
    assert ("No runs yet." if health.looked_at else "The runs were not known yet.") in said
    assert "sampler" not in said.replace("Runs and samplers", ""), "that there are none is no news"


@both
def test_a_long_listing_is_cut_with_the_finished_ones_last(words: Words) -> None:
    runs = [run(at, finished=at < 20, status="INACTIVE" if at < 20 else "ACTIVE") for at in range(200)]
    said = words(snapshot(tables={"runs": table(runs, total=1000)}))
    assert re.findall(r"k\d{6}", said) == [f"k{at:06}" for at in range(20, 40)]
    assert "1,000 runs" in said
    assert "And 980 more." in said
    said = words(snapshot(tables={"runs": table(runs[10:28])}))
    assert re.findall(r"k\d{6}", said) == [f"k{at:06}" for at in (*range(20, 28), *range(10, 20))]
    assert "more" not in said


@both
def test_a_long_history_keeps_its_end(words: Words) -> None:
    spans = [live.Span(what="run", status=f"STATE{at}", start=NOW - MINUTE, until=NOW, exact=True) for at in range(25)]
    notices = [messages.Notice(id=str(at), at=NOW, tone="good", text=f"News {at}") for at in range(7)]
    said = words(of_run(0, run=head(timeline=spans), notices=notices))
    assert re.findall(r"STATE\d+", said) == [f"STATE{at}" for at in range(5, 25)]
    assert "5 earlier states not shown." in said
    assert "? STATE24 1 min" in said
    assert re.findall(r"News \d", said) == [f"News {at}" for at in range(5)]
    assert "And 2 earlier notices." in said
    assert "No checkpoints yet." in said


@both
def test_states_that_were_there_from_the_start_are_told_once(words: Words) -> None:
    spans = [live.Span(what="run", status="ACTIVE", start=NOW - MINUTE, until=None, exact=False)]
    said = words(of_run(0, run=head(timeline=spans)))
    assert "States since" not in said
    assert "Run ● ACTIVE before 09:51:05" in said
    assert "Trainer ● RUNNING 12:03:05" in said


def test_times_are_in_the_zone_that_is_named() -> None:
    tokyo = report_text(of_run(1), width=100, time_zone="Asia/Tokyo")
    assert "As of 2026-11-20 22:03:05 UTC+09:00 (Asia/Tokyo)." in tokyo
    assert "2026-11-20 05:23" not in tokyo
    assert "05:23:05" in tokyo, "of the same day there"
    assert "2026-11-20 22:03:05 UTC+09:00 (Asia/Tokyo)" in report_html(of_run(1), time_zone="Asia/Tokyo")
    with pytest.raises(ConfigError, match="no time zone"):
        report_text(snapshot(), width=80, time_zone="Mars/Olympus")


def test_the_machines_own_zone_is_named_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    try:
        assert "2026-11-20 14:03:05 UTC+01:00 (CET)" in report_text(snapshot(), width=80)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_time_that_no_calendar_knows_costs_only_itself() -> None:
    said = text_words(snapshot(tables={"runs": table([run(1, created_at=1e18, last_checkpoint_at=-1e18), run(2)])}))
    assert "step-25 - - " in said
    assert "k000002" in said


def test_text_fits_its_width_and_copies_whole() -> None:
    text = report_text(of_run(3), width=80, time_zone="UTC")
    assert max(map(len, text.splitlines())) <= 80
    assert "bt://loops:k000001/sampler_weights/step-2" in text
    assert "Columns that did not fit:" in text
    fleet = report_text(snapshot(tables={"runs": table([run(at) for at in range(40)])}), width=80, time_zone="UTC")
    assert max(map(len, fleet.splitlines())) <= 80
    assert "State" in fleet


def test_a_report_is_small() -> None:
    full = snapshot(
        tables={
            "runs": table([run(at) for at in range(13)]),
            "samplers": table(
                [
                    row(
                        "samplers",
                        id=f"smp_{at}",
                        base_model="meta-llama/Llama-3.1-8B-Instruct",
                        status="LOADING_MODEL",
                        gpus=1,
                        created_at=NOW,
                    )
                    for at in range(11)
                ]
            ),
        }
    )
    assert len(report_html(full, time_zone="Europe/Berlin").encode()) < 8000
    assert len(report_html(of_run(30), time_zone="Europe/Berlin").encode()) < 8000


def test_the_rule_that_shows_one_of_two_is_there_until_it_is_frozen() -> None:
    beside = report_html(snapshot(), time_zone="UTC")
    frozen = report_html(snapshot(), time_zone="UTC", frozen=True)
    assert f"{REPORT_CLASS}):has(+.jp-OutputArea-child .{LIVE_CLASS})" in beside
    assert LIVE_CLASS not in frozen
    assert REPORT_CLASS in frozen
    assert "display:none" not in frozen


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (42.9, "42 s"),
        (310, "5 min 10 s"),
        (3600, "1 h"),
        (11_520, "3 h 12 min"),
        (1_051_199, "12 d 3 h"),
        (86_410, "1 d"),
    ],
)
def test_a_span_is_said_by_its_two_largest_units(seconds: float, said: str) -> None:
    assert roughly(seconds) == said


def test_live_health_has_nothing_to_explain() -> None:
    assert "As of 2026-11-20 13:03:05 UTC." in text_words(snapshot(health=LIVE))
    assert "could not be" not in text_words(snapshot(health=LIVE))


def test_checkpoints_of_many_runs_name_them_by_their_uri() -> None:
    rows = [
        checkpoint(1),
        checkpoint(2, run_id="k2", uri="bt://loops:k2/weights/step-2", target="trainer", base_model="other"),
    ]
    said = text_words(snapshot(view="checkpoints", title="Checkpoints", line="", tables={"checkpoints": table(rows)}))
    assert "bt://loops:k2/weights/step-2" in said
    assert "To see it live" not in said
