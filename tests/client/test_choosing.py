"""Which checkpoints are meant, asked of the real service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loops_nb import Loops
from loops_nb.client.choosing import Chooser
from loops_nb.client.resources import Checkpoints, Runs
from loops_nb.client.transport import Transport
from loops_nb.errors import InvalidArgumentError, InvalidURIError, NotFoundError
from loops_nb.models import Checkpoint
from loops_nb.references import CheckpointRef
from tests.service import running_service


@pytest.fixture(scope="module")
def loops() -> Iterator[Loops]:
    with running_service(in_process=True, sample=True) as service, Loops(base_url=service.url) as made:
        yield made


@pytest.fixture(scope="module")
def saved(loops: Loops) -> list[Checkpoint]:
    """What a run has saved that used the same names for both targets."""
    run = next(run for run in loops.runs.list() if run.name == "support-tone-r8")
    return loops.checkpoints.list(run_id=run.id)


@pytest.fixture
def chooser(loops: Loops) -> Iterator[Chooser]:
    transport = Transport(loops.exchange)
    yield Chooser(Checkpoints(transport), Runs(transport))
    transport.close()


def test_every_way_to_name_one_means_the_same(chooser: Chooser, saved: list[Checkpoint]) -> None:
    one = next(listed for listed in saved if listed.target == "trainer")
    expected = CheckpointRef.of(one)
    short = one.uri.removeprefix("bt://loops:")
    for named in (one, expected, one.id, one.uri, f"{one.uri}/", short):
        assert chooser.choose([named]) == [expected]
    assert chooser.choose([f"{one.run_id}/{one.checkpoint_id}"], target="trainer") == [expected]
    assert chooser.choose([one.checkpoint_id], run_id=one.run_id, target="trainer") == [expected]
    assert chooser.choose([one.id], run_id=one.run_id) == [expected]
    assert (expected.uri, expected.label, str(expected.folder)) == (one.uri, short, short)


def test_each_is_meant_once_and_in_the_order_given(chooser: Chooser, saved: list[Checkpoint]) -> None:
    first, second = saved[3], saved[1]
    assert [ref.id for ref in chooser.choose([first.id, second.uri, first, first.uri])] == [first.id, second.id]


def test_a_run_alone_means_all_that_it_saved(chooser: Chooser, saved: list[Checkpoint]) -> None:
    run_id = saved[0].run_id
    assert [ref.id for ref in chooser.choose([], run_id=run_id)] == [listed.id for listed in saved]
    trainers = chooser.choose([], run_id=run_id, target="trainer")
    assert {ref.target for ref in trainers} == {"trainer"}
    assert 0 < len(trainers) < len(saved)


def test_a_name_of_both_targets_is_asked_back(chooser: Chooser, saved: list[Checkpoint]) -> None:
    twice = next(listed for listed in saved if listed.target == "trainer")
    with pytest.raises(InvalidArgumentError, match=f"{twice.checkpoint_id} is the name of 2 checkpoints") as error:
        chooser.choose([f"{twice.run_id}/{twice.checkpoint_id}"])
    assert f"bt://loops:{twice.run_id}/weights/{twice.checkpoint_id}" in error.value.hint
    assert f"bt://loops:{twice.run_id}/sampler_weights/{twice.checkpoint_id}" in error.value.hint


def test_the_id_of_a_run_is_no_checkpoint_and_says_how_to_name_one(chooser: Chooser, saved: list[Checkpoint]) -> None:
    run_id = saved[0].run_id
    with pytest.raises(NotFoundError, match=f"{run_id} is the id of a run") as error:
        chooser.choose([run_id])
    assert f"{run_id}/NAME" in error.value.hint


def test_a_name_that_many_runs_used_is_asked_back(chooser: Chooser) -> None:
    with pytest.raises(InvalidArgumentError, match=r"step-100 is the name of \d+ checkpoints") as error:
        chooser.choose(["step-100"])
    assert error.value.hint.endswith(", ...")


def test_an_id_that_is_in_no_listing_of_mine_may_be_somebody_elses(chooser: Chooser) -> None:
    assert chooser.choose(["Zz99Zz9"]) == [CheckpointRef("Zz99Zz9")]
    assert CheckpointRef("Zz99Zz9").uri is None
    assert str(CheckpointRef("Zz99Zz9").folder) == "Zz99Zz9"


@pytest.mark.parametrize(
    ("named", "says"),
    [
        ("bt://loops:nosuch1/weights/step-1", r"bt://loops:nosuch1/weights/step-1|nosuch1"),
        ("nosuch1/step-1", "nosuch1"),
        ("nosuch1/weights/step-1", "nosuch1"),
    ],
)
def test_what_is_not_there_is_said(chooser: Chooser, named: str, says: str) -> None:
    with pytest.raises(NotFoundError, match=says):
        chooser.choose([named])


def test_a_run_that_did_not_save_it_names_what_it_did_save(chooser: Chooser, saved: list[Checkpoint]) -> None:
    with pytest.raises(NotFoundError, match="has saved no checkpoint 'step-7'") as error:
        chooser.choose(["step-7"], run_id=saved[0].run_id)
    assert "Its newest are final" in error.value.hint


@pytest.mark.parametrize("named", ["", "  ", None, 3, b"x"])
def test_what_names_nothing_is_refused(chooser: Chooser, named: object) -> None:
    with pytest.raises(InvalidArgumentError, match="named by a text"):
        chooser.choose([named])  # type: ignore[list-item]


@pytest.mark.parametrize("named", ["bt://x", "bt:nothing", "a/b/c/d", "run/other/name", "../../weights/x", "run/weights/.."])
def test_odd_forms_are_refused(chooser: Chooser, named: str) -> None:
    with pytest.raises((InvalidArgumentError, InvalidURIError)):
        chooser.choose([named])


def test_nothing_at_all_is_refused(chooser: Chooser) -> None:
    with pytest.raises(InvalidArgumentError, match="No checkpoint was named"):
        chooser.choose([])
    with pytest.raises(InvalidArgumentError, match="target must be trainer or sampler"):
        chooser.choose(["x"], target="weights")
