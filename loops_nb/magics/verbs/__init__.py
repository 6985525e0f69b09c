"""The verbs of ``%loops``: one module a verb, each with a `Verb` named ``VERB``.

To add a verb, write its module and name it in `_GROUPS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loops_nb.magics.grammar import Verb

#: Headings of the help, and the modules of the verbs below them, in the order of the help.
_GROUPS = {
    "Listings": "runs samplers checkpoints files deployments sessions teams capabilities find cost",
    "Live panels": "watch curves",
    "Experiments": "experiments track metrics samples best sweep params tag note archive delete export import_",
    "Checkpoints": "download verify export_adapter tensors compare drift prune",
    "Sampling": "sample evaluate deploy",
    "Single resources": "run sampler deployment logs system debug_archive",
    "Create and deactivate": "create deactivate",
    "Connection": "connect local login logout config doctor",
}


def _verb(module: str) -> Verb:
    verb: Verb = import_module(f"{__name__}.{module}").VERB
    return verb


GROUPS = tuple((heading, tuple(map(_verb, modules.split()))) for heading, modules in _GROUPS.items())
VERBS = tuple(verb for _, verbs in GROUPS for verb in verbs)
