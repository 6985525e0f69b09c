"""The verbs of ``%loops``, one file a verb."""

from __future__ import annotations

from loops_nb.magics.verbs import (
    capabilities,
    checkpoints,
    compare,
    connect,
    create,
    curves,
    deactivate,
    deployment,
    deployments,
    doctor,
    download,
    drift,
    files,
    find,
    local,
    login,
    logout,
    run,
    runs,
    sample,
    sampler,
    samplers,
    sessions,
    tensors,
    verify,
    watch,
)

GROUPS = (
    ("Look", (runs.VERB, samplers.VERB, checkpoints.VERB, files.VERB, deployments.VERB, sessions.VERB, capabilities.VERB, find.VERB)),
    ("Watch", (watch.VERB, curves.VERB)),
    ("Checkpoints", (download.VERB, verify.VERB, tensors.VERB, compare.VERB, drift.VERB)),
    ("Sample", (sample.VERB,)),
    ("One thing", (run.VERB, sampler.VERB, deployment.VERB)),
    ("Change", (create.VERB, deactivate.VERB)),
    ("Connection", (connect.VERB, local.VERB, login.VERB, logout.VERB, doctor.VERB)),
)
VERBS = tuple(verb for _, verbs in GROUPS for verb in verbs)
