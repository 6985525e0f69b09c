"""The fields of ``--json``: ``docs/shell.md`` names them, and nothing else comes out.

``python -m tests.cli.test_fields`` regenerates the part of the page that lists them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import loops_nb
from loops_nb.cli.json_rows import SECRET_COLUMNS
from loops_nb.frames.columns import KINDS, Dtype, Kind
from loops_nb.frames.computed import COMPUTED_KINDS
from loops_nb.magics.grammar import Verb
from loops_nb.magics.verbs import VERBS
from tests.cli.conftest import Run

PAGE = Path(__file__).resolve().parents[2] / "docs" / "shell.md"
BEGIN, END = "<!-- fields: python -m tests.cli.test_fields -->", "<!-- end of fields -->"
#: The modules that register kinds of computed frames.
REGISTERING = (
    "checkpoints.compare.frames",
    "checkpoints.deletion",
    "checkpoints.export.frames",
    "checkpoints.tensors.frames",
    "checkpoints.transfer.frames",
    "frames.costs",
    "frames.served_models",
    "frames.system_metrics",
    "sampling.evaluation.frames",
    "sampling.frames",
    "tracking.frames",
    "tracking.leaderboard",
    "tracking.sample_frames",
    "tracking.sweep",
)
TYPES = {
    Dtype.STRING: "",
    Dtype.STATE: "",
    Dtype.WORD: "",
    Dtype.TIME: "time",
    Dtype.NANOS: "time",
    Dtype.COUNT: "whole number",
    Dtype.FLAG: "true or false",
    Dtype.NUMBER: "number",
    Dtype.MONEY: "number",
    Dtype.LIST: "list",
}
#: Fields beyond the named ones.
OPEN: dict[str, tuple[str, Callable[[str], object]]] = {
    "experiments": (
        "`author`, `duration`, `project`, and what is recorded: `params.NAME`, `summary.NAME`, `last.KEY`, `best.KEY`",
        re.compile(r"author|duration|project|(params|summary|last|best)\..+").fullmatch,
    ),
    "samples": ("`fields.NAME` of what was recorded with them", re.compile(r"fields\..+").fullmatch),
    "metrics_wide": ("each metric under its key", {"loss", "accuracy"}.__contains__),
    "params": ("each experiment under its name", {"lr-1", "lr-2"}.__contains__),
    "environments": ("each experiment under its name", {"lr-1", "lr-2"}.__contains__),
}


def leaves(verbs: tuple[Verb, ...] = VERBS) -> Iterator[Verb]:
    for verb in verbs:
        yield from (*leaves(verb.verbs), *((verb,) if verb.run is not None else ()))


def kind_named(name: str) -> Kind:
    for module in REGISTERING:
        import_module(f"loops_nb.{module}")
    return KINDS.get(name) or COMPUTED_KINDS[name]


def fields_of(name: str) -> list[str]:
    hidden = SECRET_COLUMNS.get(name, ())
    return [column.name for column in kind_named(name).columns if column.name not in hidden]


def fields_page() -> str:
    verbs_of: dict[str, list[str]] = {}
    for verb in leaves():
        for kind in verb.kinds:
            verbs_of.setdefault(kind, []).append(verb.name)
    lines = [BEGIN, "", "| Rows | of | Fields |", "|---|---|---|"]
    for name, verbs in verbs_of.items():
        dtypes = {column.name: TYPES[column.dtype] for column in kind_named(name).columns}
        fields = [f"`{field}`" + (f" ({dtypes[field]})" if dtypes[field] else "") for field in fields_of(name)]
        if name in OPEN:
            fields.append(f"and {OPEN[name][0]}")
        lines.append(f"| {name} | {', '.join(f'`{verb}`' for verb in verbs)} | {', '.join(fields)} |")
    return "\n".join([*lines, "", END])


def documented(name: str) -> list[str]:
    (row,) = re.findall(rf"^\| {name} \| .* \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    return re.findall(r"`([\w.]+)`", row.partition(", and ")[0])


def test_verbs_say_what_they_return() -> None:
    for verb in leaves():
        returned = getattr(verb.run, "__annotations__", {})["return"]
        assert bool(verb.kinds) is bool(re.search("DataFrame|ListingRows|SideBySide", returned)), verb.name
        objects = "Run|Sampler|Session|Deployment|Deactivated|UserConfig|DeployedModel"
        assert verb.returns_object is bool(re.search(rf"\b({objects})\b", returned)), verb.name


def test_page_lists_the_fields_of_the_columns() -> None:
    assert fields_page() in PAGE.read_text("utf-8"), "run: python -m tests.cli.test_fields"


RUN, CHECKPOINT = "p2syas8", "p2syas8/step-25"
LISTINGS = {
    "runs": ("runs",),
    "find": ("runs", "--newer-than", "100d"),
    "sessions": ("runs", "fzewy63"),
    "samplers": ("samplers",),
    "checkpoints": ("checkpoints", RUN),
    "files": ("files", CHECKPOINT),
    "deployments": ("deployments",),
    "teams": ("teams",),
    "capabilities": ("capabilities",),
    "cost": ("costs",),
    "cost --checkpoints": ("checkpoint_sizes",),
    "cost --prices": ("prices",),
    "cost --billed": ("usage",),
    "experiments": ("experiments",),
    "metrics": ("metrics", "lr-1"),
    "metrics --wide": ("metrics_wide",),
    "metrics --marks": ("marks",),
    "samples": ("samples",),
    "best": ("best",),
    "sweep": ("sweep",),
    "params": ("params",),
    "params --environment": ("environments",),
    "download --dry-run": ("planned_files", CHECKPOINT, "--target", "sampler"),
    "download": ("downloads", CHECKPOINT, "--target", "sampler"),
    "debug-archive": ("debug_archive", RUN),
    "export-adapter -o adapter": ("exports", CHECKPOINT, "--target", "sampler"),
    "tensors": ("tensors", CHECKPOINT, "--target", "sampler"),
    "compare --target sampler": ("comparison", CHECKPOINT, "p2syas8/step-50"),
    "compare --target sampler --by layer": ("comparison_by_layer", CHECKPOINT, "p2syas8/step-50"),
    "compare --target sampler --by module_type": ("comparison_by_module_type", CHECKPOINT, "p2syas8/step-50"),
    "compare --target sampler --by checkpoint": ("comparison_by_checkpoint", CHECKPOINT, "p2syas8/step-50"),
    "drift --target sampler": ("drift", RUN),
    "drift --target sampler --by layer": ("drift_by_layer", RUN),
    "drift --target sampler --by module_type": ("drift_by_module_type", RUN),
    "drift --target sampler --by checkpoint": ("drift_by_checkpoint", RUN),
    "prune --keep last:2 --run": ("planned_deletions", RUN),
    "delete run --dry-run": ("planned_deletions", RUN),
    "delete checkpoint --target sampler -y": ("deletions", "p2syas8/step-75"),
    "deploy status": ("served_models",),
    "logs": ("logs", RUN),
    "system": ("system_metrics", RUN),
}


def test_every_listing_has_its_documented_fields(run: Run) -> None:
    with loops_nb.experiment("lr-1", params={"lr": 1e-4}) as experiment:
        experiment.log(loss=0.5, accuracy=float("nan"))
        experiment.sample(prompt="p", completion="c", reward=1.0, judge="a")
        experiment.saved("step-0", uri="bt://loops:p2syas8/sampler_weights/step-25")
    with loops_nb.experiment("lr-2", params={"lr": 1e-3}) as experiment:
        experiment.log(loss=0.4)
    deployed = run(
        "deploy", "p2syas8/step-50", "--instance-type", "local-cpu-1", "--name", "a", "-y", "--no-wait", "--json"
    )
    assert json.loads(deployed.out)["model_id"], deployed.err
    seen = set()
    for line, (kind, *words) in LISTINGS.items():
        name, *options = line.split()
        ran = run(name, *options, *words, "--json")
        assert ran.status == 0, (line, ran.err)
        rows = json.loads(ran.out)
        assert rows, (line, "no row shows the fields")
        seen.add(kind)
        fields = documented(kind)
        for row in rows:
            others = set(row) - set(fields)
            assert [field for field in row if field in fields] == fields, line
            assert not others or all(map(OPEN[kind][1], others)), (line, others)
    kinds = {kind for verb in leaves() for kind in verb.kinds}
    # These need a sampler.
    assert kinds - seen == {"completions", "scores"}


if __name__ == "__main__":
    text = PAGE.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    PAGE.write_text(before + fields_page() + rest.partition(END)[2], "utf-8")
