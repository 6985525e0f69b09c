"""``%loops create session|run|sampler``."""

from __future__ import annotations

from loops_nb.api.models import Run, Sampler, Session
from loops_nb.magics.arguments import AVAILABILITY, PLACEMENT, REUSE_SESSION, SESSION, TEAM, int_option
from loops_nb.magics.context import MagicContext
from loops_nb.magics.grammar import Values, Verb, option, switch


def _session(context: MagicContext, values: Values) -> Session:
    session = context.loops.sessions.create(training_project_id=values.training_project_id, team_id=values.team_id)
    context.cache.add("session", [session.id])
    return session


def _run(context: MagicContext, values: Values) -> Run:
    wanted = dict(vars(values))
    bare = wanted.pop("no_sampler")
    if values.reuse_from_run_id is not None:
        wanted["reuse_from_run_id"] = context.resolve_run_id(values.reuse_from_run_id)
    with context.explain_unknown_id("session", values.session_id):
        if bare:
            wanted.pop("sampler_num_replicas")
            run = context.loops.trainers.create(**wanted)
        else:
            run = context.loops.runs.create(**wanted)
    context.cache.add("run", [run.id])
    context.cache.add("sampler", [run.sampler.id if run.sampler else None])
    return run


def _sampler(context: MagicContext, values: Values) -> Sampler:
    kind, word = ("run", values.run_id) if values.run_id else ("session", values.session_id)
    with context.explain_unknown_id(kind, word):
        if values.run_id is not None:
            values.run_id = context.resolve_run_id(values.run_id)
        sampler = context.loops.samplers.create(**vars(values))
    context.cache.add("sampler", [sampler.id])
    return sampler


_MODEL_HELP = "base model to train, e.g. Qwen/Qwen3-8B; see %loops capabilities"
_RUN_OPTIONS = (
    SESSION,
    option("-m --base-model", "MODEL", _MODEL_HELP, completes="base_model", required=True),
    option("--name", "NAME", "name of the run; default the base model", free_text=True),
    int_option("--lora-rank", "LoRA rank, at least 1 (default 64)", default=64),
    int_option("--max-seq-len", "maximum sequence length in tokens; default the model's maximum"),
    int_option("--seed", "random seed"),
    option("--path", "URI", "resume from this trainer checkpoint: bt://loops:RUN/weights/NAME", completes="uri"),
    int_option(
        "--scale-down-delay", "idle seconds (1 to 3600) before it scales to zero", name="scale_down_delay_seconds"
    ),
    PLACEMENT,
    AVAILABILITY,
    int_option("--replicas", "replicas of the model's node group"),
    int_option("--sampler-replicas", "replicas of the sampler", name="sampler_num_replicas"),
    option("--reuse-run", "RUN", "reuse that run's deployment", name="reuse_from_run_id", completes="run"),
    REUSE_SESSION,
    TEAM,
    switch("--no-sampler", "create only a trainer, without a sampler"),
)
_SAMPLER_OPTIONS = (
    SESSION,
    option(
        "--run",
        "RUN",
        "pair it with this run (a second request returns the same sampler)",
        name="run_id",
        completes="run",
    ),
    option("-m --base-model", "MODEL", "standalone sampler of this base model", completes="base_model"),
    option(
        "--path",
        "URI",
        "serve this sampler checkpoint: bt://loops:RUN/sampler_weights/NAME",
        name="model_path",
        completes="uri",
    ),
    PLACEMENT,
    AVAILABILITY,
    int_option("--max-seq-length", "maximum prompt length in tokens"),
    int_option("--replicas", "number of replicas", name="num_replicas"),
    REUSE_SESSION,
    TEAM,
)

VERB = Verb(
    name="create",
    summary="create a session, a run or a sampler",
    verbs=(
        Verb(
            name="create session",
            summary="create a session, which groups runs and samplers",
            run=_session,
            returns_object=True,
            options=(
                option(
                    "--project",
                    "PROJECT",
                    "training project, in older workspaces",
                    name="training_project_id",
                    free_text=True,
                ),
                TEAM,
            ),
            notes="Returns an object with its id.",
            when_interrupted="The session may have been created; unused it costs nothing.",
            examples=("s = %loops create session", "%loops create run --session {s.id} --base-model Qwen/Qwen3-8B"),
        ),
        Verb(
            name="create run",
            summary="create a run with its sampler",
            run=_run,
            returns_object=True,
            options=_RUN_OPTIONS,
            notes="On the hosted service a run uses GPUs and costs money until it is deactivated or scales to zero. "
            "With --scope serverless it holds no GPUs and is billed by tokens; which models, ranks and lengths that "
            "takes is the service's: see the column serverless of %loops capabilities. "
            "Returns an object with its id and base_url.",
            when_interrupted="The run may have been created: see %loops runs.",
            examples=(
                "run = %loops create run --session {s.id} --base-model Qwen/Qwen3-8B --name math-1 --lora-rank 32",
                "%loops create run --session {s.id} -m Qwen/Qwen3-8B --path bt://loops:p2syas8/weights/step-150",
                "%loops create run --session {s.id} -m Qwen/Qwen3-8B --scope serverless",
            ),
        ),
        Verb(
            name="create sampler",
            summary="create a sampler, paired with a run or standalone",
            run=_sampler,
            returns_object=True,
            options=_SAMPLER_OPTIONS,
            notes="Give one of --run, --base-model and --path. On the hosted service a sampler uses GPUs and costs "
            "money.",
            when_interrupted="The sampler may have been created: see %loops samplers.",
            examples=(
                "%loops create sampler --session {s.id} --run p2syas8",
                "%loops create sampler --session {s.id} --path bt://loops:p2syas8/sampler_weights/step-100",
            ),
        ),
    ),
    examples=("s = %loops create session", "run = %loops create run --session {s.id} --base-model Qwen/Qwen3-8B"),
)
