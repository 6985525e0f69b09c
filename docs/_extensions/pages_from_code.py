"""Pages made from the code: a page a verb, the API reference, and the errors with what to do.

They are written into ``docs/verbs`` and ``docs/api`` before Sphinx looks for files, and not kept in the repository.
"""

from __future__ import annotations

import inspect
import json
import re
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from loops_nb import errors
from loops_nb.magics.verbs import GROUPS
from loops_nb.resources.loops import Loops

if TYPE_CHECKING:
    from sphinx.application import Sphinx

    from loops_nb.magics.grammar import Argument, Verb

_WIDTH = 88
HERE = Path(__file__).resolve().parent.parent

#: Pages of the reference: title, introduction, and what is on it.
REFERENCE: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "client": (
        "Clients",
        "`AsyncLoops` has the same resources and methods as `Loops`, awaited.",
        ("loops_nb.Loops", "loops_nb.AsyncLoops", "loops_nb.RetryPolicy", "loops_nb.frames.ListingRows"),
    ),
    "experiments": (
        "Recording and comparing",
        "Record numbers while a training runs, and read what is recorded on this machine.",
        ("loops_nb.experiment", "loops_nb.Experiment", "loops_nb.RecordedMetrics", "loops_nb.track"),
    ),
    "checkpoints": (
        "Opened checkpoints",
        "What `loops.checkpoints.open(...)` and `loops_nb.checkpoints` give.",
        (
            "loops_nb.checkpoints.tensors.checkpoint.OpenedCheckpoint",
            "loops_nb.checkpoints.tensors.remote.RemoteCheckpoint",
            "loops_nb.checkpoints.tensors.folder.LocalCheckpoint",
            "loops_nb.CheckpointURI",
            "loops_nb.parse_uri",
        ),
    ),
    "frames": (
        "The accessor df.loops",
        "Every frame of a listing has these methods, as far as they fit its kind.",
        ("loops_nb.accessor.LoopsAccessor",),
    ),
}

#: Notebooks in the order of a newcomer; others follow.
FIRST_NOTEBOOKS = ("quickstart", "train_locally", "experiments", "checkpoints", "operate", "sweep", "optuna", "scale")


def write_pages(_app: Sphinx) -> None:
    """Write all pages."""
    for name in ("verbs", "api", "notebooks"):
        shutil.rmtree(HERE / name, ignore_errors=True)
        (HERE / name).mkdir()
    _write_verbs(HERE / "verbs")
    _write_reference(HERE / "api")
    shutil.copy(HERE.parent / "CHANGELOG.md", HERE / "changelog.md")
    paths = sorted((HERE.parent / "notebooks").glob("*.ipynb"), key=lambda path: (_place(path.stem), path.stem))
    names = "\n".join(path.stem for path in paths)
    for path in paths:
        notebook = json.loads(path.read_text("utf-8"))
        # Cells have lines of magics, which are no Python.
        notebook["metadata"].setdefault("language_info", {"name": "python"})["pygments_lexer"] = "ipython3"
        (HERE / "notebooks" / path.name).write_text(json.dumps(notebook), "utf-8")
    (HERE / "notebooks" / "index.md").write_text(
        f"# Notebooks\n\nRun by the tests, on the local service.\n\n```{{toctree}}\n:maxdepth: 1\n\n{names}\n```\n",
        "utf-8",
    )


def _place(notebook: str) -> int:
    return FIRST_NOTEBOOKS.index(notebook) if notebook in FIRST_NOTEBOOKS else len(FIRST_NOTEBOOKS)


def _write_verbs(folder: Path) -> None:
    for heading, verbs in GROUPS:
        for verb in verbs:
            (folder / f"{verb.name}.md").write_text("\n".join(_verb_page(verb, heading)) + "\n", "utf-8")
    toctree = "\n".join(verb.name for _, verbs in GROUPS for verb in verbs)
    (folder / "index.md").write_text(
        "# Each verb\n\nMade from what `%loops VERB --help` prints; [Verbs](../verbs.md) is the list on one page.\n\n"
        f"```{{toctree}}\n:maxdepth: 1\n\n../verbs\n{toctree}\n```\n",
        "utf-8",
    )


def _verb_page(verb: Verb, heading: str) -> list[str]:
    lines = [f"# {verb.line}", "", f"{verb.summary[0].upper()}{verb.summary[1:]}.", "", f"*{heading}*", ""]
    for inner in (verb, *verb.verbs):
        if inner.is_group:
            continue
        if inner is not verb:
            lines += [f"## {inner.line}", "", f"{inner.summary[0].upper()}{inner.summary[1:]}.", ""]
        lines += [
            "```text",
            textwrap.fill(inner.usage, _WIDTH, subsequent_indent="    ", break_on_hyphens=False),
            "```",
            "",
        ]
        if rows := [(a.metavar, a) for a in inner.arguments if a.metavar]:
            lines += _table("Argument", rows)
        if inner.options:
            lines += _table("Option", [(f"{', '.join(o.flags)} {o.metavar}".rstrip(), o) for o in inner.options])
        if inner.notes:
            lines += [_escaped(inner.notes), ""]
        if inner.examples:
            lines += ["```ipython", *inner.examples, "```", ""]
    return lines


def _table(title: str, rows: list[tuple[str, Argument]]) -> list[str]:
    lines = [f"| {title} | |", "|---|---|"]
    lines += [f"| `{name.replace('|', chr(92) + '|')}` | {_escaped(argument.help)} |" for name, argument in rows]
    return [*lines, ""]


def _escaped(text: str) -> str:
    """Return plain text as Markdown that shows it as it is."""
    return re.sub(r"([\\`*_{}\[\]<>|#$])", r"\\\1", text)


def _write_reference(folder: Path) -> None:
    pages = dict(REFERENCE)
    names = [f"{kind.__module__}.{kind.__qualname__}" for kind in _resources()]
    pages["resources"] = ("Resources", "The attributes of `Loops`; each is one resource of the API.", tuple(names))
    for name, (title, introduction, members) in pages.items():
        text = [f"# {title}", "", introduction, "", "```{eval-rst}"]
        for member in members:
            text += [f".. {_directive(member)}:: {member}", ""]
        (folder / f"{name}.md").write_text("\n".join([*text, "```", ""]), "utf-8")
    (folder / "models.md").write_text(
        "# Objects of the API\n\nUnknown fields are kept in `extra`.\n\n"
        "```{eval-rst}\n.. automodule:: loops_nb.api.models\n```\n",
        "utf-8",
    )
    (folder / "errors.md").write_text("\n".join(_errors_page()) + "\n", "utf-8")
    toctree = "\n".join([*pages, "models", "errors"])
    (folder / "index.md").write_text(f"# Python reference\n\n```{{toctree}}\n:maxdepth: 1\n\n{toctree}\n```\n", "utf-8")


def _resources() -> list[type]:
    """Return the classes of the resources, in the order in which a client makes them."""
    hints = inspect.getsource(Loops.__init__)
    names = re.findall(r"self\.\w+: (\w+) = ", hints)
    found = inspect.getmodule(Loops)
    kinds = [getattr(found, name) for name in names]
    return [kind for kind in kinds if kind.__name__ != "RecordedMetrics"]


def _directive(member: str) -> str:
    module, _, name = member.rpartition(".")
    found = getattr(__import__(module, fromlist=[name]), name)
    return "autoclass" if inspect.isclass(found) else "autofunction"


def _errors_page() -> list[str]:
    lines = [
        "# Errors",
        "",
        "Each is a `LoopsError` with `message` (what happened, and what was not lost) and `hint` (what to type next).",
        "",
        "| Error | is a | |",
        "|---|---|---|",
    ]
    found = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.LoopsError)]
    for kind in sorted(found, key=lambda kind: inspect.getsourcelines(kind)[1]):
        summary = " ".join((inspect.getdoc(kind) or "").split("\n\n")[0].split())
        bases = ", ".join(f"`{base.__name__}`" for base in kind.__bases__)
        lines.append(f"| `{kind.__name__}` | {bases} | {_escaped(summary)} |")
    return [*lines, "", "```{eval-rst}", ".. automodule:: loops_nb.errors", "```"]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("builder-inited", write_pages, priority=1)
    return {"parallel_read_safe": True}
