"""Resolving names of checkpoints against the local service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from loops_nb import Loops
from loops_nb.api.models import Checkpoint
from loops_nb.api.references import CheckpointRef
from loops_nb.checkpoints.resolver import CheckpointResolver
from loops_nb.client.transport import Transport
from loops_nb.errors import InvalidArgumentError, InvalidURIError, NotFoundError
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
def resolver(loops: Loops) -> Iterator[CheckpointResolver]:
    transport = Transport(loops.config)
    yield CheckpointResolver(transport)
    transport.close()


def test_all_forms_of_a_name_resolve_to_the_same(resolver: CheckpointResolver, saved: list[Checkpoint]) -> None:
    one = next(listed for listed in saved if listed.target == "trainer")
    expected = CheckpointRef.of(one)
    short = one.uri.removeprefix("bt://loops:")
    for named in (one, expected, one.id, one.uri, f"{one.uri}/", short):
        assert resolver.resolve([named]) == [expected]
    assert resolver.resolve([f"{one.run_id}/{one.checkpoint_id}"], target="trainer") == [expected]
    assert resolver.resolve([one.checkpoint_id], run_id=one.run_id, target="trainer") == [expected]
    assert resolver.resolve([one.id], run_id=one.run_id) == [expected]
    assert (expected.uri, expected.label, str(expected.folder)) == (one.uri, short, short)


def test_duplicates_are_removed_and_the_order_kept(resolver: CheckpointResolver, saved: list[Checkpoint]) -> None:
    first, second = saved[3], saved[1]
    assert [ref.id for ref in resolver.resolve([first.id, second.uri, first, first.uri])] == [first.id, second.id]


def test_run_id_alone_resolves_to_all_its_checkpoints(resolver: CheckpointResolver, saved: list[Checkpoint]) -> None:
    run_id = saved[0].run_id
    assert [ref.id for ref in resolver.resolve([], run_id=run_id)] == [listed.id for listed in saved]
    trainers = resolver.resolve([], run_id=run_id, target="trainer")
    assert {ref.target for ref in trainers} == {"trainer"}
    assert 0 < len(trainers) < len(saved)


def test_name_of_both_targets_is_ambiguous(resolver: CheckpointResolver, saved: list[Checkpoint]) -> None:
    twice = next(listed for listed in saved if listed.target == "trainer")
    with pytest.raises(InvalidArgumentError, match=f"{twice.checkpoint_id} is the name of 2 checkpoints") as error:
        resolver.resolve([f"{twice.run_id}/{twice.checkpoint_id}"])
    assert f"bt://loops:{twice.run_id}/weights/{twice.checkpoint_id}" in error.value.hint
    assert f"bt://loops:{twice.run_id}/sampler_weights/{twice.checkpoint_id}" in error.value.hint


def test_run_id_as_checkpoint_has_a_hint(resolver: CheckpointResolver, saved: list[Checkpoint]) -> None:
    run_id = saved[0].run_id
    with pytest.raises(NotFoundError, match=f"{run_id} is the id of a run") as error:
        resolver.resolve([run_id])
    assert f"{run_id}/NAME" in error.value.hint


def test_name_in_several_runs_is_ambiguous(resolver: CheckpointResolver) -> None:
    with pytest.raises(InvalidArgumentError, match=r"step-100 is the name of \d+ checkpoints") as error:
        resolver.resolve(["step-100"])
    assert error.value.hint.endswith(", ...")


def test_unlisted_id_is_accepted(resolver: CheckpointResolver) -> None:
    assert resolver.resolve(["Zz99Zz9"]) == [CheckpointRef("Zz99Zz9")]
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
def test_unknown_checkpoint_is_not_found(resolver: CheckpointResolver, named: str, says: str) -> None:
    with pytest.raises(NotFoundError, match=says):
        resolver.resolve([named])


def test_unknown_name_lists_the_names_of_the_run(resolver: CheckpointResolver, saved: list[Checkpoint]) -> None:
    with pytest.raises(NotFoundError, match="has saved no checkpoint 'step-7'") as error:
        resolver.resolve(["step-7"], run_id=saved[0].run_id)
    assert "Its newest are final" in error.value.hint


@pytest.mark.parametrize("named", ["", "  ", None, 3, b"x"])
def test_invalid_selection_is_refused(resolver: CheckpointResolver, named: object) -> None:
    with pytest.raises(InvalidArgumentError, match="named by a string"):
        resolver.resolve([named])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "named", ["bt://x", "bt:nothing", "a/b/c/d", "run/other/name", "../../weights/x", "run/weights/.."]
)
def test_malformed_names_are_refused(resolver: CheckpointResolver, named: str) -> None:
    with pytest.raises((InvalidArgumentError, InvalidURIError)):
        resolver.resolve([named])


def test_no_selection_is_refused(resolver: CheckpointResolver) -> None:
    with pytest.raises(InvalidArgumentError, match="No checkpoint was named"):
        resolver.resolve([])
    with pytest.raises(InvalidArgumentError, match="target must be trainer or sampler"):
        resolver.resolve(["x"], target="weights")
