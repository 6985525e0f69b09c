/** Which columns there is room for, and how wide each is. */

import type { Drawn } from "./contract";

export interface WantedColumn {
  readonly rank: number | null;
  readonly drawn: Drawn;
  /** As wide as its longest text, and as its heading. */
  readonly natural: number;
  readonly heading: number;
}

/** Index of a column, and its width in pixels. */
export type ColumnWidth = readonly [index: number, width: number];

const LEAST: Record<Drawn, number> = {
  id: 84,
  text: 120,
  state: 170,
  age: 76,
  bytes: 84,
  count: 46,
  uri: 270,
  flag: 46,
  number: 84,
  spark: 90,
};
const MOST: Record<Drawn, number> = {
  id: 200,
  text: 280,
  state: 170,
  age: 120,
  bytes: 110,
  count: 90,
  uri: 460,
  flag: 60,
  number: 110,
  spark: 120,
};

/** Columns come in by rank while there is room for the least of them; what is left over goes to those that want more. */
export function fitColumns(wanted: readonly WantedColumn[], room: number): readonly ColumnWidth[] {
  const want = wanted.map((column) => Math.max(column.heading, Math.min(column.natural, MOST[column.drawn])));
  const least = wanted.map((column, i) => Math.max(column.heading, Math.min(want[i] as number, LEAST[column.drawn])));
  const byRank = wanted
    .flatMap((column, i) => (column.rank === null ? [] : [[column.rank, i] as const]))
    .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const taken = new Set<number>();
  let used = 0;
  for (const [rank, i] of byRank) {
    const needs = least[i] as number;
    if (rank > 0 && used + needs > room) break;
    taken.add(i);
    used += needs;
  }
  const indices = [...taken].sort((a, b) => a - b);
  const wider = indices.reduce((sum, i) => sum + (want[i] as number) - (least[i] as number), 0);
  const spare = room - used;
  const share = wider > 0 ? Math.min(1, Math.max(0, spare) / wider) : 0;
  const widths = indices.map((i) => (least[i] as number) + ((want[i] as number) - (least[i] as number)) * share);
  const rest = room - widths.reduce((sum, width) => sum + width, 0);
  const total = widths.reduce((sum, width) => sum + width, 0) || 1;
  return indices.map((index, k) => [index, (widths[k] as number) + (rest * (widths[k] as number)) / total]);
}
