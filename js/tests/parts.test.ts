import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { codeLinesFor } from "../src/code-lines";
import { fitColumns } from "../src/column-fit";
import { LINES } from "../src/contract";
import { bytes, fullMoment, lasting, many, moment, stateWord } from "../src/format";
import { SILENCE, statusOf } from "../src/status";
import { apply, type State } from "../src/store";
import type { Panel } from "../src/ui/panel-context";
import { rowMenu } from "../src/ui/row-menu";
import { indexAt, slice, topOf } from "../src/visible-rows";
import { LIVE, NOW, snapshot } from "./sample";

describe("words", () => {
  it("says times by their largest units", () => {
    expect(lasting(42_900, 1)).toBe("42 s");
    expect(lasting(3 * 60_000 + 59_000, 1)).toBe("3 min");
    expect(lasting(26 * 3_600_000)).toBe("1 d 2 h");
    expect(lasting(3_600_000 + 5000)).toBe("1 h");
    expect(lasting(-5)).toBe("0 s");
  });

  it("says sizes in powers of 1000, as the tables of the magics do", () => {
    expect(bytes(999)).toBe("999 bytes");
    expect(bytes(16_800_000)).toBe("16.8 MB");
    expect(bytes(2.5e18)).toBe("2500.0 PB");
  });

  it("says states, numbers and days in words", () => {
    expect(stateWord("SCALED_TO_ZERO")).toBe("Scaled to zero");
    expect(many(1, "notice")).toBe("1 notice");
    expect(many(1200, "notice")).toBe("1,200 notices");
    expect(moment(NOW - 9 * 86_400_000, NOW)).toMatch(/12 Nov/);
    expect(fullMoment(NOW)).toContain("14:03:20 UTC");
  });
});

describe("lines to copy", () => {
  it("fills in what is known", () => {
    expect(codeLinesFor("runs", () => "k4q95w5").map((line) => line.code)).toEqual(
      LINES.runs.map(([, pattern]) => pattern.replace("{id}", "k4q95w5")),
    );
  });

  it("leaves out a line whose value is missing", () => {
    const lines = codeLinesFor("checkpoints", (column) => (column === "id" ? "VqKXRGB" : null));
    expect(lines.map((line) => line.code)).toEqual(["%loops files VqKXRGB"]);
  });

  it.each(['x"); import os; ("', "a b", "$HOME", "{run}", "`id`", "a\nb", "-y", "", "x'", "!ls"])("offers nothing for %j", (id) => {
    expect(codeLinesFor("runs", () => id)).toEqual([]);
  });
});

describe("the menu of a row", () => {
  it.each(["sampler", "trainer"])("offers to deploy what can be deployed: %s", (target) => {
    const panel = { session: { canCommand: () => false } } as unknown as Panel;
    const cells: Record<string, string> = { id: "VqKXRGB", uri: "bt://loops:k/sampler_weights/s-1", checkpoint_id: "s-1", target };
    const offered = rowMenu(panel, "checkpoints", (column) => cells[column] ?? null, vi.fn()).map(({ detail }) => detail);
    expect(offered).toContain("%loops export-adapter bt://loops:k/sampler_weights/s-1 -o s-1");
    const line = "%loops deploy bt://loops:k/sampler_weights/s-1 --name s-1 --instance-type TYPE";
    expect(offered.includes(line)).toBe(target === "sampler");
  });
});

describe("columns", () => {
  const wish = (rank: number | null, natural: number, drawn: "text" | "id" | "uri" = "text") => ({ rank, natural, heading: 40, drawn });

  it("come in by rank while there is room, and fill it", () => {
    const wishes = [wish(0, 80, "id"), wish(5, 200), wish(1, 150), wish(null, 500)];
    const narrow = fitColumns(wishes, 240);
    expect(narrow.map(([index]) => index)).toEqual([0, 2]);
    const wide = fitColumns(wishes, 900);
    expect(wide.map(([index]) => index)).toEqual([0, 1, 2]);
    for (const [columns, room] of [
      [narrow, 240],
      [wide, 900],
    ] as const) {
      expect(columns.reduce((sum, [, width]) => sum + width, 0)).toBeCloseTo(room, 5);
    }
  });

  it("never lose the most important ones", () => {
    expect(fitColumns([wish(0, 200, "id"), wish(0, 200)], 100).map(([index]) => index)).toEqual([0, 1]);
  });
});

describe("the window of a long table", () => {
  it("finds the row at every height, whatever is unfolded", () => {
    const unfolded = fc
      .uniqueArray(fc.nat(99), { maxLength: 6 })
      .chain((all) =>
        fc.tuple(
          ...all.sort((a, b) => a - b).map((index) => fc.record({ index: fc.constant(index), height: fc.integer({ min: 1, max: 400 }) })),
        ),
      );
    fc.assert(
      fc.property(unfolded, fc.double({ min: 0, max: 1, noNaN: true }), (below, share) => {
        const all = topOf(100, 30, below);
        const y = share * (all - 1);
        const index = indexAt(y, 100, 30, below);
        expect(topOf(index, 30, below)).toBeLessThanOrEqual(y);
        expect(topOf(index + 1, 30, below)).toBeGreaterThan(y);
        const part = slice(y, 300, 100, 30, below);
        expect(part.first).toBeLessThanOrEqual(index);
        expect(part.last).toBeGreaterThan(indexAt(Math.min(y + 300, all - 1), 100, 30, below));
      }),
    );
  });
});

describe("status", () => {
  const state = apply(null, snapshot("fleet", 1), NOW).state as State;
  const connection = { startedAt: NOW, heardAt: NOW, visibleSince: 0, disconnected: false };

  it("is silent only after a while in which it was visible", () => {
    expect(statusOf(state.health.state, state.now, connection, NOW + SILENCE)).toBe("live");
    expect(statusOf(state.health.state, state.now, connection, NOW + SILENCE + 1)).toBe("silent");
    expect(statusOf(state.health.state, state.now, { ...connection, visibleSince: NOW + 5000 }, NOW + SILENCE + 1)).toBe("live");
  });

  it("is a saved copy when no kernel ever answered", () => {
    const never = { ...connection, heardAt: null };
    expect(statusOf(state.health.state, state.now, never, NOW + 1000)).toBe("live");
    expect(statusOf(state.health.state, state.now, { ...never, startedAt: NOW + 90_000 }, NOW + 91_000)).toBe("waiting");
    expect(statusOf(state.health.state, state.now, never, NOW + SILENCE + 1)).toBe("saved");
  });

  it("is gone with its kernel, but over stays over", () => {
    expect(statusOf(state.health.state, state.now, { ...connection, disconnected: true }, NOW)).toBe("gone");
    const over = { ...state, health: { ...LIVE, state: "over" as const } };
    expect(statusOf(over.health.state, over.now, { ...connection, disconnected: true }, NOW + 1e9)).toBe("over");
  });
});
