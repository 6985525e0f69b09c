"""`loops_nb.api.pairing`: which deployment belongs to a run."""

from __future__ import annotations

import pytest

from loops_nb.api.models import Deployment, Run, Status
from loops_nb.api.pairing import deployment_of_run, deployments_of_runs, serves

ACTIVE = Status(name="ACTIVE")


def listed(*deployments: Deployment) -> dict[str, Deployment]:
    return {deployment.id: deployment for deployment in deployments}


def test_the_deployment_that_a_run_names_is_its_deployment() -> None:
    mine, other = Deployment(id="d1", active_run_id="another"), Deployment(id="d2", active_run_id="r")
    assert deployment_of_run(Run(id="r", deployment_id="d1", status=ACTIVE), listed(mine, other)) is mine


def test_a_named_deployment_that_is_not_listed_is_not_replaced_by_another() -> None:
    other = Deployment(id="d2", active_run_id="r")
    assert deployment_of_run(Run(id="r", deployment_id="gone", status=ACTIVE), listed(other)) is None


@pytest.mark.parametrize("first", [Deployment(id="d1", active_run_id="r"), Deployment(id="d1", latest_run_id="r")])
def test_a_run_that_names_none_has_the_first_deployment_that_names_the_run(first: Deployment) -> None:
    second = Deployment(id="d2", active_run_id="r")
    assert deployment_of_run(Run(id="r"), listed(first, second)) is first


def test_a_run_on_serverless_capacity_has_no_deployment() -> None:
    assert deployment_of_run(Run(id="r", status=ACTIVE), listed(Deployment(id="d", active_run_id="other"))) is None


def test_many_runs_are_paired_as_each_alone() -> None:
    deployments = listed(
        Deployment(id="d1", active_run_id="a", latest_run_id="b"),
        Deployment(id="d2", active_run_id="b"),
        Deployment(id="d3", latest_run_id="c"),
    )
    runs = {
        run.id: run for run in (Run(id="a"), Run(id="b"), Run(id="c", deployment_id="d2"), Run(id="d"), Run(id="e"))
    }
    paired = deployments_of_runs(runs, deployments)
    assert {key: found and found.id for key, found in paired.items()} == {
        "a": "d1",
        "b": "d1",
        "c": "d2",
        "d": None,
        "e": None,
    }
    assert paired == {key: deployment_of_run(run, deployments) for key, run in runs.items()}


@pytest.mark.parametrize(
    ("active", "latest", "expected"),
    [("r", None, True), ("other", "r", False), (None, "r", True), (None, None, True), (None, "other", False)],
)
def test_a_deployment_serves_a_run_until_it_serves_another(
    active: str | None, latest: str | None, expected: bool
) -> None:
    assert serves(Deployment(id="d", active_run_id=active, latest_run_id=latest), Run(id="r")) is expected
