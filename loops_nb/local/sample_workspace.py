"""Sample workspace: two weeks of example work, reproducible from a seed.

Ids, names and weights depend on the seed alone; times are relative to the moment of creation.  Everything is recorded
as it would have been while it happened, so that logs, metrics and states follow from it by the same rules as for
anything else.
"""

from __future__ import annotations

import os
import random
from typing import Literal

import msgspec
from msgspec import Struct

from loops_nb.api.uri import format_uri
from loops_nb.local import base_models
from loops_nb.local.errors import StoreError
from loops_nb.local.rules.lookup import lookup
from loops_nb.local.rules.statuses import Statuses
from loops_nb.local.store.database import RecordStore
from loops_nb.local.store.ids import new_id
from loops_nb.local.store.records import (
    DEFAULT_TEAM,
    LOCAL_USER,
    DeploymentRecord,
    RunRecord,
    SamplerRecord,
    SessionRecord,
    TeamRecord,
)
from loops_nb.local.weights import synthetic
from loops_nb.local.weights.records import save_checkpoint
from loops_nb.local.weights.synthetic import AdapterShape, SyntheticState

TEAMMATE = "teammate@localhost"
RESEARCH_TEAM = "research"
_SETTING = "sample_seed"
_MINUTE = 60_000
_HOUR = 60 * _MINUTE
#: Shares of the times on a whole second, and of the finished checkpoints without a status: both happen in the hosted
#: service.
_WHOLE_SECONDS = 0.25
_WITHOUT_STATUS = 0.06

QWEN = "Qwen/Qwen3-8B"
QWEN_SMALL = "Qwen/Qwen3-4B-Instruct-2507"
QWEN_MOE = "Qwen/Qwen3-30B-A3B-Instruct-2507"
QWEN_LARGE = "Qwen/Qwen3-235B-A22B-Instruct-2507"
QWEN_VISION = "Qwen/Qwen3-VL-8B-Instruct"
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
GPT_OSS = "openai/gpt-oss-20b"

Ending = Literal[
    "running", "updating", "asleep", "waking", "waiting", "stopped", "failed", "preempted", "replaced", "serverless"
]


class RunPlan(Struct, frozen=True, kw_only=True):
    """A run of the sample.

    Parameters
    ----------
    name, model, rank : str or int
        As in the listing.
    hours_ago : float
        When it was created.
    minutes : float, default 12.0
        Between two checkpoints.
    steps : int, default 50
        Steps between two checkpoints.
    saves : int, default 0
        How many times it saved a sampler checkpoint (a trainer's, without a sampler).
    trainer_every : int, default 0
        Every n-th of them was saved for the trainer too, under the same name; 0 for none.
    final : bool, default False
        The last one is called ``final``.
    ending : Ending
        How it stands now.
    follows : str, optional
        Name of the earlier run whose deployment it took over, and from whose last trainer checkpoint it started.
    """

    name: str
    model: str
    rank: int
    hours_ago: float
    minutes: float = 12.0
    steps: int = 50
    saves: int = 0
    trainer_every: int = 0
    final: bool = False
    ending: Ending
    idle_seconds: int = 3600
    spot: bool = False
    sampler: bool = True
    follows: str | None = None


class SessionPlan(Struct, frozen=True, kw_only=True):
    """A session of the sample, with its runs."""

    hours_ago: float
    runs: tuple[RunPlan, ...] = ()
    team: str = DEFAULT_TEAM
    owner: str = LOCAL_USER


SESSIONS = (
    SessionPlan(
        hours_ago=13.1 * 24,
        runs=(
            RunPlan(
                name="support-tone-r8",
                model=QWEN,
                rank=8,
                hours_ago=13 * 24,
                saves=12,
                trainer_every=4,
                final=True,
                ending="stopped",
            ),
            RunPlan(
                name="support-tone-r16",
                model=QWEN,
                rank=16,
                hours_ago=12.4 * 24,
                saves=20,
                trainer_every=4,
                final=True,
                ending="stopped",
            ),
        ),
    ),
    SessionPlan(
        hours_ago=10.2 * 24,
        runs=(
            RunPlan(
                name="gsm8k-grpo",
                model=QWEN_MOE,
                rank=16,
                hours_ago=10 * 24,
                steps=20,
                saves=15,
                trainer_every=1,
                ending="replaced",
            ),
            RunPlan(
                name="gsm8k-grpo-lower-lr",
                model=QWEN_MOE,
                rank=16,
                hours_ago=9.85 * 24,
                steps=20,
                saves=20,
                trainer_every=2,
                ending="asleep",
                follows="gsm8k-grpo",
            ),
            RunPlan(
                name="gsm8k-spot",
                model=LLAMA,
                rank=8,
                hours_ago=8 * 24,
                steps=20,
                saves=6,
                trainer_every=3,
                ending="preempted",
                spot=True,
            ),
        ),
    ),
    SessionPlan(
        hours_ago=6.3 * 24,
        runs=(
            RunPlan(
                name="text-to-sql",
                model=LLAMA,
                rank=32,
                hours_ago=6 * 24,
                steps=100,
                saves=18,
                trainer_every=3,
                final=True,
                ending="stopped",
            ),
            RunPlan(
                name="text-to-sql-moe", model=GPT_OSS, rank=16, hours_ago=5.5 * 24, steps=100, saves=2, ending="failed"
            ),
            RunPlan(
                name="text-to-sql-quick", model=QWEN, rank=8, hours_ago=5 * 24, steps=10, saves=6, ending="serverless"
            ),
        ),
    ),
    SessionPlan(
        hours_ago=2.2 * 24,
        team=RESEARCH_TEAM,
        runs=(
            RunPlan(
                name="charts",
                model=QWEN_VISION,
                rank=16,
                hours_ago=2 * 24,
                steps=25,
                saves=8,
                trainer_every=4,
                ending="waking",
            ),
            RunPlan(
                name="judge-sft",
                model=QWEN_SMALL,
                rank=8,
                hours_ago=1.5 * 24,
                saves=14,
                ending="stopped",
                sampler=False,
            ),
        ),
    ),
    SessionPlan(
        hours_ago=5.2,
        runs=(
            RunPlan(
                name="support-tone-dpo",
                model=QWEN,
                rank=16,
                hours_ago=4.35,
                steps=25,
                saves=21,
                trainer_every=3,
                ending="running",
            ),
            RunPlan(
                name="distill-to-4b",
                model=QWEN_SMALL,
                rank=16,
                hours_ago=1.4,
                saves=6,
                trainer_every=2,
                ending="updating",
            ),
            RunPlan(name=QWEN_LARGE, model=QWEN_LARGE, rank=32, hours_ago=0.2, ending="waiting"),
        ),
    ),
    SessionPlan(
        hours_ago=4 * 24,
        owner=TEAMMATE,
        team=RESEARCH_TEAM,
        runs=(
            RunPlan(
                name="judge-rl",
                model=LLAMA,
                rank=8,
                hours_ago=3.9 * 24,
                steps=20,
                saves=5,
                trainer_every=5,
                ending="stopped",
            ),
            RunPlan(
                name="judge-rl-2",
                model=LLAMA,
                rank=8,
                hours_ago=1.35,
                steps=20,
                saves=6,
                trainer_every=3,
                ending="running",
            ),
        ),
    ),
)

#: Standalone samplers: model, hours ago, and the events after creation with the seconds between.
STANDALONE: tuple[tuple[str, float, tuple[tuple[float, str, str], ...]], ...] = (
    (QWEN, 12 * 24, ((9000, "deactivated", "on request"),)),
    (LLAMA, 7 * 24, ((7, "deploy_failed", "no capacity for H100 x 1"),)),
    (GPT_OSS, 6.1 * 24, ((3, "build_failed", "the image of this engine could not be built"),)),
    (GPT_OSS, 6 * 24, ((2, "build_stopped", "on request"),)),
    (QWEN_MOE, 4 * 24, ((400, "failed", "the engine ended and did not come back"),)),
    (QWEN, 3 * 24, ()),
    (QWEN, 4, ((600, "held", ""), (3000, "unhealthy", "three health checks in a row failed"))),
    (QWEN_SMALL, 2, ((50, "held", ""),)),
    (QWEN_MOE, 0.3, ((15, "held", ""),)),
    (QWEN_VISION, 0.2, ((7, "held", "waits for capacity"),)),
    (LLAMA, 1, ((1800, "deactivated", "on request"), (1, "held", ""))),
)

#: Ending to the event that ended the run and its deployment, and its note.
_ENDED = {
    "stopped": ("deactivated", "on request"),
    "failed": ("failed", "the trainer ran out of GPU memory"),
    "preempted": ("preempted", "spot capacity was reclaimed"),
}


def fill(store: RecordStore, statuses: Statuses, *, seed: int) -> None:
    """Fill an unused data folder; one that holds this very sample is left as it is.

    Raises
    ------
    StoreError
        If the folder holds other work, or the sample of another seed.
    """
    stored = store.setting(_SETTING)
    if stored == str(seed):
        return
    folder = store.data_dir
    if stored is not None:
        raise StoreError(
            f"the data folder {folder} holds the sample of seed {stored}, not of {seed}; name another folder"
        )
    if store.find(SessionRecord):
        raise StoreError(
            f"the data folder {folder} holds other work already; start without --sample, or name another folder"
        )
    with store.transaction():
        _SampleWriter(store, statuses, seed).write()
        if hasattr(os, "sync"):
            # Once for all files, before the commit that makes them exist.
            os.sync()
        store.set_setting(_SETTING, str(seed))


class _SampleWriter:
    """Writes the sample, in the order of the tables above (so that the ids are the same each time)."""

    def __init__(self, store: RecordStore, statuses: Statuses, seed: int) -> None:
        self.store = store
        self.statuses = statuses
        self.seed = seed
        self.now = statuses.now()
        self.source = random.Random(f"loops_nb sample {seed}")  # noqa: S311 - the same each time on purpose
        self.taken: set[str] = set()
        self.runs: dict[str, RunRecord] = {}
        self.last_trainer: dict[str, str] = {}

    def write(self) -> None:
        research = TeamRecord(
            id=RESEARCH_TEAM, created_at=self.now - 30 * 24 * _HOUR, owner=LOCAL_USER, name="Research"
        )
        self.store.insert(research)
        for plan in SESSIONS:
            at = self.ago(plan.hours_ago)
            session = SessionRecord(id=self.id(), created_at=at, owner=plan.owner, team_id=plan.team)
            self.store.insert(session)
            for run in plan.runs:
                self.run(run, session)
        session = SessionRecord(id=self.id(), created_at=self.ago(12.1 * 24), owner=LOCAL_USER, team_id=DEFAULT_TEAM)
        self.store.insert(session)
        for model, hours, events in STANDALONE:
            self.standalone(model, self.ago(hours), events, session)

    def id(self) -> str:
        while True:
            made = new_id(self.source)
            if made not in self.taken:
                self.taken.add(made)
                return made

    def ago(self, hours: float) -> int:
        """A moment of the past; one in four falls on a whole second."""
        at = self.now - round(hours * _HOUR) - self.source.randrange(60_000)
        return at - at % 1000 if self.source.random() < _WHOLE_SECONDS else at

    def standalone(
        self, model: str, at: int, events: tuple[tuple[float, str, str], ...], session: SessionRecord
    ) -> None:
        sampler = SamplerRecord(
            id=self.id(),
            created_at=at,
            owner=LOCAL_USER,
            team_id=session.team_id,
            session_id=session.id,
            base_model=model,
            model_id=self.id(),
            deployment_id=self.id(),
        )
        self.store.insert(sampler)
        self.statuses.record(sampler, "created", note="standalone", idle_after_seconds=900, at=at)
        for seconds, kind, note in events:
            at += round(seconds * 1000)
            self.statuses.record(sampler, kind, note=note, at=at)

    def run(self, plan: RunPlan, session: SessionRecord) -> None:
        at = self.ago(plan.hours_ago)
        run = RunRecord(
            id=self.id(),
            created_at=at,
            owner=session.owner,
            team_id=session.team_id,
            session_id=session.id,
            base_model=plan.model,
            name=plan.name,
            lora_rank=plan.rank,
            scale_down_delay_seconds=plan.idle_seconds,
            availability_model="spot" if plan.spot else "dedicated",
            seed=self.source.randrange(10_000),
            path=self.last_trainer.get(plan.follows or ""),
        )
        earlier = self.runs.get(plan.follows or "")
        deployment = self.deployment(plan, run, earlier)
        sampler = self.sampler(plan, run, earlier)
        run = msgspec.structs.replace(
            run, deployment_id=deployment.id if deployment else None, sampler_id=sampler.id if sampler else None
        )
        self.runs[plan.name] = run
        self.store.insert(run)
        if deployment is not None:
            deployment = msgspec.structs.replace(deployment, sampler_id=run.sampler_id)
            self.store.update(deployment)
        self.statuses.record(run, "created", note=f"on deployment {run.deployment_id or 'shared capacity'}", at=at)
        last = self.checkpoints(plan, run, deployment, sampler)
        self.end(plan, run, deployment, sampler, last)

    def deployment(self, plan: RunPlan, run: RunRecord, earlier: RunRecord | None) -> DeploymentRecord | None:
        if plan.ending == "serverless":
            return None
        if earlier is not None:
            found = lookup(self.store, DeploymentRecord, earlier.deployment_id or "", "deployment")
            self.statuses.record(earlier, "replaced", note=f"by run {run.id}", at=run.created_at)
            self.statuses.record(
                found,
                "attached",
                note=f"run {run.id} takes over",
                idle_after_seconds=plan.idle_seconds,
                at=run.created_at,
            )
            return found
        made = DeploymentRecord(
            id=self.id(),
            created_at=run.created_at,
            owner=run.owner,
            team_id=run.team_id,
            base_model=plan.model,
            availability_model=run.availability_model,
            node_count=base_models.model(plan.model).nodes,
        )
        self.store.insert(made)
        self.statuses.record(made, "created", note=plan.model, idle_after_seconds=plan.idle_seconds, at=run.created_at)
        return made

    def sampler(self, plan: RunPlan, run: RunRecord, earlier: RunRecord | None) -> SamplerRecord | None:
        if not plan.sampler:
            return None
        if earlier is not None:
            found = lookup(self.store, SamplerRecord, earlier.sampler_id or "", "sampler")
            moved = msgspec.structs.replace(found, run_id=run.id)
            self.store.update(moved)
            self.statuses.record(moved, "updated", note=f"now serves run {run.id}", at=run.created_at)
            return moved
        serverless = plan.ending == "serverless"
        made = SamplerRecord(
            id=self.id(),
            created_at=run.created_at + 2_137,
            owner=run.owner,
            team_id=run.team_id,
            session_id=run.session_id,
            base_model=plan.model,
            run_id=run.id,
            model_id=None if serverless else self.id(),
            deployment_id=None if serverless else self.id(),
            availability_model=run.availability_model,
        )
        self.store.insert(made)
        note = f"paired with run {run.id}"
        self.statuses.record(made, "created", note=note, idle_after_seconds=plan.idle_seconds, at=made.created_at)
        return made

    def checkpoints(
        self, plan: RunPlan, run: RunRecord, deployment: DeploymentRecord | None, sampler: SamplerRecord | None
    ) -> int:
        """Save what the run saved; return the time of the last one."""
        at = run.created_at + 40_000
        shape = synthetic.adapter_shape(plan.model, plan.rank)
        steps = [plan.steps * (index + 1) for index in range(plan.saves)]
        for index, state in enumerate(synthetic.train(shape, key=f"{self.seed} {plan.name}", steps=steps)):
            at += round(plan.minutes * _MINUTE) + self.source.randrange(-40_000, 40_000)
            at -= at % 1000 if self.source.random() < _WHOLE_SECONDS else 0
            last = index == plan.saves - 1
            name = "final" if last and plan.final else f"step-{state.step}"
            if deployment is not None:
                self.statuses.record(deployment, "activity", note=f"step {state.step}", at=at)
            if sampler is not None:
                self.save(run, shape, state, name=name, target="sampler", at=at, busy=last and plan.ending == "running")
                self.statuses.record(sampler, "updated", note=f"weights of {name}", at=at)
            if sampler is None or (plan.trainer_every and (index + 1) % plan.trainer_every == 0):
                self.save(
                    run,
                    shape,
                    state,
                    name=name,
                    target="trainer",
                    at=at + 1_500,
                    busy=last and plan.ending == "running",
                )
                self.last_trainer[plan.name] = format_uri(run.id, "trainer", name)
        return at

    def save(
        self, run: RunRecord, shape: AdapterShape, state: SyntheticState, *, name: str, target: str, at: int, busy: bool
    ) -> None:
        files = synthetic.checkpoint_files(
            state,
            shape,
            base_model=run.base_model,
            rank=run.lora_rank,
            target=target,
            nodes=base_models.model(run.base_model).nodes,
        )
        status: str | None = "COMPLETE"
        if busy:
            status = "SYNCING"
        elif self.source.random() < _WITHOUT_STATUS:
            status = None
        save_checkpoint(
            self.store,
            run,
            key=self.id(),
            name=name,
            target=target,
            files=files,
            at=at,
            sync_status=status,
        )

    def end(
        self,
        plan: RunPlan,
        run: RunRecord,
        deployment: DeploymentRecord | None,
        sampler: SamplerRecord | None,
        last: int,
    ) -> None:
        if plan.ending in _ENDED:
            kind, note = _ENDED[plan.ending]
            at = last + 5 * _MINUTE
            self.statuses.record(run, kind, note=note, at=at)
            self.record_if_present(deployment, kind, note, at)
            self.record_if_present(sampler, "deactivated", note, at)
        elif plan.ending in {"running", "updating"}:
            self.record_if_present(sampler, "held", "", last + (1_000 if plan.ending == "updating" else _MINUTE))
            self.record_if_present(deployment, "held", "", last + _MINUTE)
        elif plan.ending == "waking":
            for half in (deployment, sampler):
                self.record_if_present(half, "activity", "a new request", self.now - 20 * _MINUTE)
                self.record_if_present(half, "held", "waits for capacity", self.now - 20 * _MINUTE + 1_000)
        elif plan.ending == "waiting":
            self.record_if_present(deployment, "held", "waits for capacity", run.created_at + 1_000)
            self.record_if_present(sampler, "held", "waits for capacity", run.created_at + 4_000)

    def record_if_present(self, record: DeploymentRecord | SamplerRecord | None, kind: str, note: str, at: int) -> None:
        if record is not None:
            self.statuses.record(record, kind, note=note, at=at)
