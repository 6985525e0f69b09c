import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LINES } from "../src/contract";
import { fitted } from "../src/fit";
import { linesFor } from "../src/lines";
import { SILENCE, standing } from "../src/status";
import { apply, type State } from "../src/store";
import { indexAt, slice, topOf } from "../src/window";
import { bytes, fullMoment, lasting, many, moment, stateWord } from "../src/words";
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

  it("says states, numbers and days as a person does", () => {
    expect(stateWord("SCALED_TO_ZERO")).toBe("Scaled to zero");
    expect(many(1, "notice")).toBe("1 notice");
    expect(many(1200, "notice")).toBe("1,200 notices");
    expect(moment(NOW - 9 * 86_400_000, NOW)).toMatch(/12 Nov/);
    expect(fullMoment(NOW)).toContain("14:03:20 UTC");
  });
});

describe("lines to copy", () => {
  it("fills in what is known", () => {
    expect(linesFor("runs", () => "k4q95w5").map((line) => line.code)).toEqual(
      LINES.runs.map(([, pattern]) => pattern.replace("{id}", "k4q95w5")),
    );
  });

  it("leaves out a line whose value is missing", () => {
    const lines = linesFor("checkpoints", (column) => (column === "id" ? "VqKXRGB" : null));
    expect(lines.map((line) => line.code)).toEqual(["%loops files VqKXRGB"]);
  });

  it.each(['x"); import os; ("', "a b", "$HOME", "{run}", "`id`", "a\nb", "-y", "", "x'", "!ls"])("offers nothing for %j", (id) => {
    expect(linesFor("runs", () => id)).toEqual([]);
  });
});

describe("columns", () => {
  const wish = (rank: number | null, natural: number, drawn: "text" | "id" | "uri" = "text") => ({ rank, natural, heading: 40, drawn });

  it("come in by rank while there is room, and fill it", () => {
    const wishes = [wish(0, 80, "id"), wish(5, 200), wish(1, 150), wish(null, 500)];
    const narrow = fitted(wishes, 240);
    expect(narrow.map(([index]) => index)).toEqual([0, 2]);
    const wide = fitted(wishes, 900);
    expect(wide.map(([index]) => index)).toEqual([0, 1, 2]);
    for (const [columns, room] of [
      [narrow, 240],
      [wide, 900],
    ] as const) {
      expect(columns.reduce((sum, [, width]) => sum + width, 0)).toBeCloseTo(room, 5);
    }
  });

  it("never lose the most important ones", () => {
    expect(fitted([wish(0, 200, "id"), wish(0, 200)], 100).map(([index]) => index)).toEqual([0, 1]);
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

describe("standing", () => {
  const state = apply(null, snapshot("fleet", 1), NOW).state as State;
  const hearing = { since: NOW, heard: NOW, visibleSince: 0, disconnected: false };

  it("is silent only after a while in which somebody could see it", () => {
    expect(standing(state, hearing, NOW + SILENCE)).toBe("live");
    expect(standing(state, hearing, NOW + SILENCE + 1)).toBe("silent");
    expect(standing(state, { ...hearing, visibleSince: NOW + 5000 }, NOW + SILENCE + 1)).toBe("live");
  });

  it("is a saved copy when nobody ever answered", () => {
    const never = { ...hearing, heard: null };
    expect(standing(state, never, NOW + 1000)).toBe("live");
    expect(standing(state, { ...never, since: NOW + 90_000 }, NOW + 91_000)).toBe("waiting");
    expect(standing(state, never, NOW + SILENCE + 1)).toBe("saved");
  });

  it("is gone with its kernel, but over stays over", () => {
    expect(standing(state, { ...hearing, disconnected: true }, NOW)).toBe("gone");
    const over = { ...state, health: { ...LIVE, state: "over" as const } };
    expect(standing(over, { ...hearing, disconnected: true }, NOW + 1e9)).toBe("over");
  });
});
