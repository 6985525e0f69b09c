"""The verbs of ``%loops``: one module a verb, each with a `Verb` named ``VERB``.

To add a verb, write its module and name it in `_GROUPS`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from loops_nb.magics.grammar import Verb

#: Headings of the help, and the modules of the verbs below them, in the order of the help.
_GROUPS = {
    "Listings": "runs samplers checkpoints files deployments sessions teams capabilities find cost",
    "Live panels": "watch dashboard curves",
    "Experiments": "experiments track metrics samples best sweep params tag note archive delete export import_",
    "Checkpoints": "download verify export_adapter tensors compare drift prune",
    "Sampling": "sample evaluate deploy",
    "Single resources": "run sampler deployment wait logs system debug_archive",
    "Create and deactivate": "create deactivate",
    "Connection": "connect local login logout config doctor",
}


#: The module of each verb by the word on the line.
_MODULES = {module.rstrip("_").replace("_", "-"): module for modules in _GROUPS.values() for module in modules.split()}

if TYPE_CHECKING:
    #: All verbs below their headings, and in the order of the help.
    GROUPS: tuple[tuple[str, tuple[Verb, ...]], ...]
    VERBS: tuple[Verb, ...]


def verb_named(word: str) -> Verb | None:
    """Return the verb with a name, or None; imports only its own module, which a shell waits for."""
    module = _MODULES.get(word)
    return None if module is None else _verb(module)


def __getattr__(name: str) -> Any:
    # All modules together take longer to import than one.
    if name == "GROUPS":
        found: Any = tuple((heading, tuple(map(_verb, modules.split()))) for heading, modules in _GROUPS.items())
    elif name == "VERBS":
        groups = __getattr__("GROUPS")
        found = tuple(verb for _, verbs in groups for verb in verbs)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, found)


def _verb(module: str) -> Verb:
    verb: Verb = import_module(f"{__name__}.{module}").VERB
    return verb
