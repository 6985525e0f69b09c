"""`loops_nb.api.gpus`: how many GPUs something holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loops_nb.api.gpus import (
    GpuUsage,
    gpu_types,
    gpus_held_by_run,
    gpus_of,
    is_alive,
    is_serverless,
    run_is_finished,
    sum_of_known,
    total_gpus,
    total_usage,
    usage_of,
)
from loops_nb.api.models import Deployment, InstanceType, Run, Sampler, Status

H100, L4 = InstanceType(gpu_count=8, gpu_type="H100"), InstanceType(gpu_count=1, gpu_type="L4")


def deployment(status: str = "RUNNING", **more: object) -> Deployment:
    fields = {"id": "d", "instance_type": H100, "node_count": 2, "active_run_id": "r", **more}
    return Deployment(status=Status(name=status), **fields)  # type: ignore[arg-type]


def sampler(status: str = "ACTIVE", **more: object) -> Sampler:
    fields = {"id": "s", "instance_type": L4, "node_count": 1, "deployment_id": "m", **more}
    return Sampler(status=Status(name=status), **fields)  # type: ignore[arg-type]


def run(status: str = "ACTIVE", of: Sampler | None = None, **more: object) -> Run:
    fields = {"id": "r", "deployment_id": "d", **more}
    return Run(status=Status(name=status), sampler=of, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("per_node", "nodes", "expected"), [(8, 2, 16), (8, None, 8), (8, 0, 0), (None, 2, None), (None, None, None)]
)
def test_gpus_are_nodes_times_gpus_of_a_node(per_node: int | None, nodes: int | None, expected: int | None) -> None:
    assert total_gpus(per_node, nodes) == expected
    part = Deployment(id="d", instance_type=InstanceType(gpu_count=per_node), node_count=nodes)
    assert gpus_of(part) == expected


def test_gpus_without_hardware_are_not_known() -> None:
    assert gpus_of(Deployment(id="d")) is None


def test_a_sum_with_an_unknown_part_is_not_known() -> None:
    assert sum_of_known([]) == 0
    assert sum_of_known([1, 2]) == 3
    assert sum_of_known([1, None]) is None


def test_gpu_types_are_named_once() -> None:
    assert gpu_types("H100", None, "L4", "H100") == "H100 + L4"
    assert gpu_types(None, "") is None


def test_a_run_holds_the_gpus_of_its_trainer_and_its_sampler_while_they_are_alive() -> None:
    assert gpus_held_by_run(run(of=sampler()), deployment()) == 17
    assert gpus_held_by_run(run(of=sampler("SCALED_TO_ZERO")), deployment()) == 16
    assert gpus_held_by_run(run(of=sampler()), deployment("STOPPED")) == 1
    assert gpus_held_by_run(run(of=sampler(instance_type=None)), deployment()) is None
    assert gpus_held_by_run(run(of=sampler()), None) == 1


def test_gpus_of_a_deployment_that_serves_another_run_are_counted_there() -> None:
    assert gpus_held_by_run(run(of=sampler()), deployment(active_run_id="other")) == 0


def test_shared_capacity_holds_no_gpus() -> None:
    shared = sampler(deployment_id=None, instance_type=None)
    assert is_alive(shared)
    assert is_serverless(shared)
    assert gpus_held_by_run(run(of=shared, deployment_id=None), None) == 0
    assert not is_serverless(deployment(instance_type=None))


def test_a_run_is_finished_when_it_ended_and_holds_nothing() -> None:
    assert run_is_finished(run("INACTIVE"), deployment("STOPPED"))
    assert not run_is_finished(run("INACTIVE"), deployment())
    assert not run_is_finished(run("INACTIVE"), deployment(instance_type=None)), "what is not known may be held"
    assert not run_is_finished(run(), deployment("STOPPED"))


def test_usage_covers_what_is_alive_on_hardware_of_the_caller() -> None:
    shared = sampler(id="shared", deployment_id=None, instance_type=None)
    parts = [deployment(), sampler("INACTIVE"), shared, None]
    assert usage_of(parts, in_use=False) == (GpuUsage("d", 16, in_use=False, nodes=2),)


def test_what_is_on_its_way_down_counts_as_in_use() -> None:
    assert usage_of([sampler("DEACTIVATING")], in_use=False) == (GpuUsage("s", 1, in_use=True),)


_usages = st.lists(
    st.builds(GpuUsage, st.sampled_from("abc"), st.sampled_from([None, 1, 8]), st.sampled_from([True, False, None])),
    max_size=8,
)


@given(_usages)
def test_a_part_counts_once_and_in_use_if_any_claim_says_so(usages: list[GpuUsage]) -> None:
    by_part: dict[str, list[GpuUsage]] = {}
    for usage in usages:
        by_part.setdefault(usage.part_id, []).append(usage)
    chosen = [next((usage for usage in claims if usage.in_use), claims[0]) for claims in by_part.values()]
    totals = total_usage(usages)
    for count, in_use in ((totals.in_use, True), (totals.idle, False), (totals.unexplained, None)):
        assert count == sum(usage.gpus or 0 for usage in chosen if usage.in_use is in_use)
    assert totals.parts_without_count == [usage.gpus for usage in chosen].count(None)
