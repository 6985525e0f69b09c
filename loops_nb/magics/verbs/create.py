"""``%loops create session|run|sampler``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loops_nb.magics.grammar import Option, Verb
from loops_nb.magics.verbs.options import AVAILABILITY, REUSE_SESSION, SESSION, TEAM, count

if TYPE_CHECKING:
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk
    from loops_nb.models import Run, Sampler, Session


def _session(desk: Desk, values: SimpleNamespace) -> Session:
    session = desk.loops.sessions.create(training_project_id=values.training_project_id, team_id=values.team_id)
    desk.knowledge.add("session", [session.id])
    return session


def _run(desk: Desk, values: SimpleNamespace) -> Run:
    wanted = dict(vars(values))
    bare = wanted.pop("no_sampler")
    if values.reuse_from_run_id is not None:
        wanted["reuse_from_run_id"] = desk.run_id(values.reuse_from_run_id)
    with desk.naming("session", values.session_id):
        if bare:
            wanted.pop("sampler_num_replicas")
            run = desk.loops.trainers.create(**wanted)
        else:
            run = desk.loops.runs.create(**wanted)
    desk.knowledge.add("run", [run.id])
    desk.knowledge.add("sampler", [run.sampler.id if run.sampler else None])
    return run


def _sampler(desk: Desk, values: SimpleNamespace) -> Sampler:
    kind, word = ("run", values.run_id) if values.run_id else ("session", values.session_id)
    with desk.naming(kind, word):
        if values.run_id is not None:
            values.run_id = desk.run_id(values.run_id)
        sampler = desk.loops.samplers.create(**vars(values))
    desk.knowledge.add("sampler", [sampler.id])
    return sampler


_MODEL_HELP = "base model to train, e.g. Qwen/Qwen3-8B; %loops capabilities lists them"
_RUN_OPTIONS = (
    SESSION,
    Option(name="base_model", flags=("-m", "--base-model"), metavar="MODEL", knows="base_model", required=True, help=_MODEL_HELP),
    Option(name="name", flags=("--name",), metavar="NAME", free=True, help="name to find it by; the base model when left out"),
    count("lora_rank", "--lora-rank", "LoRA rank, at least 1 (64 when left out)", default=64),
    count("max_seq_len", "--max-seq-len", "longest example in tokens; the model's maximum when left out"),
    count("seed", "--seed", "random seed"),
    Option(
        name="path", flags=("--path",), metavar="URI", knows="uri", help="go on from this trainer checkpoint: bt://loops:RUN/weights/NAME"
    ),
    count("scale_down_delay_seconds", "--scale-down-delay", "idle seconds (1 to 3600) before it scales to zero"),
    AVAILABILITY,
    count("replicas", "--replicas", "copies of the model's node group"),
    count("sampler_num_replicas", "--sampler-replicas", "copies of the sampler"),
    Option(name="reuse_from_run_id", flags=("--reuse-run",), metavar="RUN", knows="run", help="reuse that run's deployment"),
    REUSE_SESSION,
    TEAM,
    Option(name="no_sampler", flags=("--no-sampler",), default=False, help="only a trainer, no sampler"),
)
_SAMPLER_OPTIONS = (
    SESSION,
    Option(name="run_id", flags=("--run",), metavar="RUN", knows="run", help="pair it with this run (asking twice gives the same one)"),
    Option(name="base_model", flags=("-m", "--base-model"), metavar="MODEL", knows="base_model", help="standalone, of this base model"),
    Option(
        name="model_path",
        flags=("--path",),
        metavar="URI",
        knows="uri",
        help="serve this sampler checkpoint: bt://loops:RUN/sampler_weights/NAME",
    ),
    AVAILABILITY,
    count("max_seq_length", "--max-seq-length", "longest prompt in tokens"),
    count("num_replicas", "--replicas", "copies"),
    REUSE_SESSION,
    TEAM,
)

VERB = Verb(
    name="create",
    summary="make a session, a run or a sampler",
    verbs=(
        Verb(
            name="create session",
            summary="a new session: what runs and samplers belong to",
            run=_session,
            options=(
                Option(
                    name="training_project_id",
                    flags=("--project",),
                    metavar="PROJECT",
                    free=True,
                    help="training project, in older workspaces",
                ),
                TEAM,
            ),
            notes="Gives an object with its id.",
            when_interrupted="A session may have been made all the same; unused it costs nothing.",
            examples=("s = %loops create session", "%loops create run --session {s.id} --base-model Qwen/Qwen3-8B"),
        ),
        Verb(
            name="create run",
            summary="a new run with its sampler",
            run=_run,
            options=_RUN_OPTIONS,
            notes="On the hosted service this takes GPUs, which cost money until it is deactivated or has been idle for a while. "
            "Gives an object with its id and base_url.",
            when_interrupted="The run may have been made all the same: %loops runs tells.",
            examples=(
                "run = %loops create run --session {s.id} --base-model Qwen/Qwen3-8B --name math-1 --lora-rank 32",
                "%loops create run --session {s.id} -m Qwen/Qwen3-8B --path bt://loops:k4q95w5/weights/step-100",
            ),
        ),
        Verb(
            name="create sampler",
            summary="a sampler, paired with a run or standalone",
            run=_sampler,
            options=_SAMPLER_OPTIONS,
            notes="One of --run, --base-model and --path. On the hosted service this takes GPUs, which cost money.",
            when_interrupted="The sampler may have been made all the same: %loops samplers tells.",
            examples=(
                "%loops create sampler --session {s.id} --run k4q95w5",
                "%loops create sampler --session {s.id} --path bt://loops:k4q95w5/sampler_weights/step-100",
            ),
        ),
    ),
    examples=("s = %loops create session", "run = %loops create run --session {s.id} --base-model Qwen/Qwen3-8B"),
)
