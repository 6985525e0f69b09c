"""``%loops export FILE`` and ``%loops import FILE``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from loops_nb.drawing.wording import many
from loops_nb.errors import InvalidArgumentError
from loops_nb.home import user_path
from loops_nb.magics.grammar import Takes, Verb
from loops_nb.magics.verbs.recorded import RUNS, metrics, or_all

if TYPE_CHECKING:
    from types import SimpleNamespace

    from loops_nb.magics.desk import Desk

_FILE = Takes(
    name="file", metavar="FILE", knows="file", required=True, help="its name ends in .jsonl, .csv or .parquet (that needs pyarrow)"
)


def _export(desk: Desk, values: SimpleNamespace) -> None:
    from loops_nb.experiments.exchange import ENDINGS  # noqa: PLC0415 - only for those who export

    others = [word for word in values.runs if Path(word).suffix.lower() in ENDINGS]
    if others and Path(values.file).suffix.lower() not in ENDINGS:
        # The other way round, as in most lines about a run.
        raise InvalidArgumentError(
            "The file stands before the runs.", argument="file", hint=f"Meant is %loops export {others[0]} {values.file}"
        )
    found = metrics()
    rows = found.export(user_path(values.file, argument="file"), or_all(values.runs))
    count = len(found.find(values.runs)) if values.runs else len(found.store.experiments(archived=True))
    desk.say(f"Wrote {many(count, 'experiment')} to {values.file}: {many(rows, 'row')}. %loops import {values.file} reads them back.")


def _import(desk: Desk, values: SimpleNamespace) -> None:
    done = metrics().import_(user_path(values.file, argument="file"))
    stayed = "was here already and stayed as it was" if len(done.known) == 1 else "were here already and stayed as they were"
    there = f" {many(len(done.known), 'experiment')} of it {stayed}."
    desk.say(f"Added {many(len(done.new), 'experiment')} from {values.file}.{there if done.known else ''}")


EXPORT = Verb(
    name="export",
    summary="recorded runs as a file for other programs, or for another machine",
    run=_export,
    arguments=(_FILE, replace(RUNS, help="id of a run, or id or name of an experiment; all, archived ones too, when left out")),
    notes="Everything is in it: points, checkpoints, notes, tags, parameters.",
    examples=("%loops export sweep.jsonl", "%loops export sweep.csv k4q95w5 qr8zj20"),
    when_interrupted="A file that was there is as it was.",
)
IMPORT = Verb(
    name="import",
    summary="add the experiments of a file that %loops export wrote",
    run=_import,
    arguments=(_FILE,),
    notes="Without loss: ids, times and attempts are those of the file. Experiments that are here already stay as they are.",
    examples=("%loops import sweep.jsonl",),
    when_interrupted="Each experiment was added whole or not at all; the same line again adds the others.",
)
