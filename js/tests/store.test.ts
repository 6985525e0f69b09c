import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Cell, Notice, PanelChange, PanelSnapshot, TableChange, TableName } from "../src/contract";
import { apply, isPartial, type State, type StateMessage } from "../src/store";
import { LIVE, NOW, rowOf, snapshot, tableOf } from "./sample";

const AT = 1_000_000;

/** A kernel that remembers what it said, as far as a page can know. */
class Kernel {
  seq = 1;
  readonly rows = new Map<string, Cell[]>();

  constructor(readonly table: TableName) {}

  change(edits: readonly Edit[]): PanelChange {
    const base = this.seq++;
    const touched = new Set<string>();
    for (const edit of edits) {
      const id = `r${edit.row}`;
      touched.add(id);
      if (edit.removed) this.rows.delete(id);
      else this.rows.set(id, rowOf(this.table, edit.row, { id, base_model: edit.model }));
    }
    const told: TableChange = {
      rows: [...touched].flatMap((id) => this.rows.get(id) ?? []).length
        ? [...touched].flatMap((id) => (this.rows.has(id) ? [this.rows.get(id) as Cell[]] : []))
        : [],
      removed: [...touched].filter((id) => !this.rows.has(id)),
      total: this.rows.size,
    };
    return { type: "change", base, seq: this.seq, now: NOW + this.seq, tables: { [this.table]: told } };
  }

  whole(): PanelSnapshot {
    return {
      ...snapshot("samplers", 0),
      seq: this.seq,
      now: NOW + this.seq,
      tables: { [this.table]: { rows: [...this.rows.values()], total: this.rows.size } },
    };
  }
}

interface Edit {
  readonly row: number;
  readonly removed: boolean;
  readonly model: string;
}

const edit = fc.record({ row: fc.nat(8), removed: fc.boolean(), model: fc.string() });
const event = fc.oneof(
  fc.record({ kind: fc.constant("change" as const), edits: fc.array(edit, { maxLength: 5 }), lost: fc.boolean() }),
  fc.record({ kind: fc.constant("tick" as const), edits: fc.constant([]), lost: fc.boolean() }),
);

describe("the store", () => {
  it("ends equal to the kernel's state, whatever was lost on the way", () => {
    fc.assert(
      fc.property(fc.array(event, { maxLength: 40 }), fc.array(fc.boolean(), { maxLength: 40 }), (events, lostAnswers) => {
        const kernel = new Kernel("samplers");
        let state: State | null = apply(null, kernel.whole(), AT).state;
        const hear = (message: StateMessage) => {
          const step = apply(state, message, AT);
          state = step.state;
          return step.lost;
        };
        let answers = 0;
        for (const { kind, edits, lost } of events) {
          const message: StateMessage =
            kind === "change" ? kernel.change(edits) : { type: "heartbeat", seqs: { "*": kernel.seq }, now: NOW, looked_at: NOW };
          // A page that notices a loss asks; the answer may be lost as well.
          if (!lost && hear(message) && !lostAnswers[answers++]) hear(kernel.whole());
        }
        if (hear({ type: "heartbeat", seqs: { "*": kernel.seq }, now: NOW, looked_at: NOW })) hear(kernel.whole());
        const shown = new Map([...((state as State).tables.samplers?.byId.values() ?? [])].map((row) => [row.id, [...row.cells]]));
        expect(shown).toEqual(kernel.rows);
      }),
    );
  });

  it("notices a change that does not follow, and shows nothing of it", () => {
    const before = apply(null, snapshot("samplers", 3), AT).state as State;
    const { state, lost } = apply(before, { type: "change", base: 7, seq: 8, now: NOW, facts: [] }, AT);
    expect(lost).toBe(true);
    expect(state).toBe(before);
  });

  it("notices rows that are missing although the numbers follow", () => {
    const before = apply(null, snapshot("samplers", 3), AT).state as State;
    expect(
      apply(before, { type: "change", base: 1, seq: 2, now: NOW, tables: { samplers: { rows: [], removed: [], total: 4 } } }, AT).lost,
    ).toBe(true);
  });

  it("adds the notices that are new, in place of what they were about, and keeps no more than twenty", () => {
    const notice = (n: number, about: string): Notice => ({ id: `n${n}`, at: NOW, tone: "over", text: `${about} ended`, hint: "", about });
    const said = Array.from({ length: 20 }, (_, n) => notice(20 - n, `r${20 - n}`));
    const before = apply(null, { ...snapshot("fleet", 3), notices: said }, AT).state as State;
    const change: PanelChange = {
      type: "change",
      base: before.seq,
      seq: before.seq + 1,
      now: NOW,
      notices: [notice(21, "r7"), notice(22, "r99")],
    };
    const { notices } = apply(before, change, AT).state as State;
    expect(notices.slice(0, 3).map(({ id }) => id)).toEqual(["n21", "n22", "n20"]);
    expect(notices).toHaveLength(20);
    expect(notices.filter(({ about }) => about === "r7").map(({ id }) => id)).toEqual(["n21"]);
  });

  it("keeps what a change does not name, and the very row when nothing in it changed", () => {
    const before = apply(null, snapshot("fleet", 5), AT).state as State;
    const same = rowOf("runs", 1);
    const other = rowOf("runs", 2, { base_model: "other" });
    const change: PanelChange = {
      type: "change",
      base: 1,
      seq: 2,
      now: NOW,
      tables: { runs: { rows: [same, other], removed: [], total: 5 } },
    };
    const after = apply(before, change, AT + 5).state as State;
    const id = String(same[0]);
    expect(after.facts).toBe(before.facts);
    expect(after.tables.samplers).toBe(before.tables.samplers);
    expect(after.tables.runs?.byId.get(id)).toBe(before.tables.runs?.byId.get(id));
    const changed = after.tables.runs?.byId.get(String(other[0]));
    expect(changed?.changed).toEqual(new Set([2]));
    expect(changed?.changedAt).toBe(AT + 5);
  });

  it("takes the time of the newest look from a tick", () => {
    const before = apply(null, snapshot("samplers", 0), AT).state as State;
    const step = apply(before, { type: "heartbeat", seqs: { "*": 1 }, now: NOW + 9, looked_at: NOW + 8 }, AT);
    expect(step.lost).toBe(false);
    expect(step.state?.health).toEqual({ ...LIVE, looked_at: NOW + 8 });
  });

  it("does not take a message that was held up for a slow clock", () => {
    const before = apply(null, snapshot("samplers", 0), AT).state as State;
    const late = apply(before, { type: "heartbeat", seqs: { "*": 1 }, now: NOW + 1000, looked_at: null }, AT + 2500).state as State;
    expect(late.offset).toBe(NOW - AT);
    const set = apply(before, { type: "heartbeat", seqs: { "*": 1 }, now: NOW - 60_000, looked_at: null }, AT).state as State;
    expect(set.offset).toBe(NOW - AT - 60_000);
  });

  it("knows a snapshot that was cut short", () => {
    const table = tableOf("samplers", 3);
    const state = apply(null, snapshot("samplers", 0, { tables: { samplers: { ...table, total: 9 } } }), AT).state as State;
    expect(isPartial(state)).toBe(true);
    const more: PanelChange = {
      type: "change",
      base: 1,
      seq: 2,
      now: NOW,
      tables: { samplers: { rows: [rowOf("samplers", 8)], removed: [], total: 9 } },
    };
    expect(apply(state, more, AT).lost).toBe(false);
  });
});
