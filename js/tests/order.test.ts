import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { COLUMNS, type PanelSnapshot } from "../src/contract";
import type { Rows } from "../src/rows";
import { compare, filterRows, NEWEST_FIRST, RowOrder, searchWords } from "../src/sorting";
import { apply, type State } from "../src/store";
import { NOW, rowOf, snapshot, tableOf } from "./sample";

function rowsOf(over: Partial<PanelSnapshot>): Rows {
  return (apply(null, snapshot("fleet", 0, over), 0).state as State).tables.runs as Rows;
}

describe("the order", () => {
  it("is the same when it is updated as when it is sorted from scratch", () => {
    const column = fc.constantFrom(...COLUMNS.runs.map((each) => each.name));
    const edits = fc.array(fc.record({ row: fc.nat(30), removed: fc.boolean(), name: fc.option(fc.string()), created: fc.nat(5) }), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(column, fc.boolean(), fc.array(edits, { maxLength: 8 }), (name, down, rounds) => {
        const sort = { column: name, down };
        const order = new RowOrder((by) => compare("runs", by));
        let state = apply(null, snapshot("fleet", 20), 0).state as State;
        order.sorted(state.tables.runs as Rows, sort);
        for (const round of rounds) {
          const gone = round.filter((each) => each.removed).map((each) => String(rowOf("runs", each.row)[0]));
          const rows = round
            .filter((each) => !each.removed)
            .map((each) => rowOf("runs", each.row, { name: each.name, created_at: NOW - each.created }));
          const ids = new Set([...(state.tables.runs as Rows).byId.keys()].filter((id) => !gone.includes(id)));
          for (const row of rows) ids.add(String(row[0]));
          const tables = { runs: { rows, removed: gone, total: ids.size } };
          state = apply(state, { type: "change", base: state.seq, seq: state.seq + 1, now: NOW, tables }, 1).state as State;
          const now = state.tables.runs as Rows;
          expect(order.sorted(now, sort).map((row) => row.id)).toEqual(
            [...now.byId.values()].sort(compare("runs", sort)).map((row) => row.id),
          );
        }
      }),
    );
  });

  it("puts what is missing last, both ways", () => {
    const rows = rowsOf({
      tables: {
        runs: {
          rows: [
            rowOf("runs", 1, { id: "none", name: null }),
            rowOf("runs", 2, { id: "b", name: "b" }),
            rowOf("runs", 4, { id: "a", name: "a" }),
          ],
          total: 3,
        },
      },
    });
    const names = (down: boolean) => new RowOrder((by) => compare("runs", by)).sorted(rows, { column: "name", down }).map((row) => row.id);
    expect(names(false)).toEqual(["a", "b", "none"]);
    expect(names(true)).toEqual(["b", "a", "none"]);
  });

  it("counts numbers in names as people do", () => {
    const rows = rowsOf({
      tables: { runs: { rows: [10, 9, 100].map((n) => rowOf("runs", n, { id: `r${n}`, name: `step-${n}` })), total: 3 } },
    });
    expect(new RowOrder((by) => compare("runs", by)).sorted(rows, { column: "name", down: false }).map((row) => row.id)).toEqual([
      "r9",
      "r10",
      "r100",
    ]);
  });

  it("matches every word somewhere, also in what is not in sight, and the states as they are said", () => {
    const rows = rowsOf({
      tables: {
        runs: {
          rows: [
            rowOf("runs", 1, { id: "one", name: "grpo maths", deployment_status: "SCALED_TO_ZERO", gpu_type: "B200" }),
            rowOf("runs", 2, { id: "two", name: "grpo", deployment_status: "RUNNING", gpu_type: "H100" }),
          ],
          total: 2,
        },
      },
    });
    const sorted = new RowOrder((by) => compare("runs", by)).sorted(rows, NEWEST_FIRST);
    const found = (filter: string) => filterRows("runs", sorted, searchWords(filter), false, new Set()).rows.map((row) => row.id);
    expect(found("GRPO MATH")).toEqual(["one"]);
    expect(found("b200")).toEqual(["one"]);
    expect(found("scaled to zero")).toEqual(["one"]);
    expect(found("SCALED_TO_ZERO")).toEqual(["one"]);
    expect(found("two running")).toEqual(["two"]);
    expect(found("grpo nowhere")).toEqual([]);
    expect(found("   ")).toEqual(["one", "two"]);
  });

  it("hides what is finished, except open details", () => {
    const rows = rowsOf({ tables: { runs: tableOf("runs", 14) } });
    const sorted = new RowOrder((by) => compare("runs", by)).sorted(rows, NEWEST_FIRST);
    const flag = COLUMNS.runs.findIndex((column) => column.name === "finished");
    const finished = sorted.filter((row) => row.cells[flag]);
    const view = filterRows("runs", sorted, [], true, new Set([finished[0]?.id ?? ""]));
    expect(view.finished).toBe(finished.length - 1);
    expect(view.rows.filter((row) => row.cells[flag])).toEqual([finished[0]]);
  });
});
