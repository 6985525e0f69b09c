/** How wide the columns are: as wide as their texts up to a limit, and together at least as wide as there is room. */

import { measureIn } from "../column-widths";
import { stateWord } from "../format";
import type { Rows } from "../rows";
import type { ExperimentCell, ExperimentColumn } from "./contract";
import { cellOf, cellText, type Places } from "./table-data";

const PADDING = 16;
const ARROW = 17;
const MOST: Record<ExperimentCell, number> = {
  id: 190,
  name: 300,
  text: 240,
  state: 130,
  age: 90,
  duration: 120,
  count: 110,
  number: 120,
  value: 200,
  flag: 80,
  spark: 120,
};
/** Columns that take what is left over. */
const GROWING: readonly ExperimentCell[] = ["name", "text", "spark"];
const SPARK_WIDTH = 96;
/** What stands around a text: the sign of a state, the edges of a button. */
const EXTRA: Partial<Record<ExperimentCell, number>> = { state: 32, name: 10 };

type Measure = ReturnType<typeof measureIn>;

/** Columns only ever grow, so that a table does not jump at every change. */
export class ExperimentWidths {
  readonly #natural = new Map<string, { longest: number; width: number; version: number }>();
  #measure: Measure | null = null;

  /** Widths of the columns in pixels, in their order. */
  widths(columns: readonly ExperimentColumn[], rows: Rows, places: Places, box: HTMLElement, room: number): readonly number[] {
    this.#measure ??= measureIn(box);
    const measure = this.#measure;
    const natural = columns.map((column) => this.#naturalWidth(column, rows, places, measure));
    const spare = room - natural.reduce((sum, width) => sum + width, 0);
    const grows = (column: ExperimentColumn) => GROWING.includes(column.drawn);
    const growing = columns.filter(grows).length;
    if (spare <= 0) return natural;
    // Without a column that grows, all share what is left over.
    return natural.map((width, i) => {
      if (!growing) return width + spare / natural.length;
      return grows(columns[i] as ExperimentColumn) ? width + spare / growing : width;
    });
  }

  #naturalWidth(column: ExperimentColumn, rows: Rows, places: Places, measure: Measure): number {
    const { name, title, drawn } = column;
    const heading = 1.08 * measure(title, false) + PADDING + ARROW;
    if (drawn === "spark") return Math.max(heading, SPARK_WIDTH);
    const known = this.#natural.get(name) ?? { longest: 0, width: 0, version: -1 };
    this.#natural.set(name, known);
    if (known.version !== rows.version) {
      const touched = rows.touched && known.version === rows.version - 1 ? rows.touched : rows.byId.keys();
      known.version = rows.version;
      for (const id of touched) {
        const row = rows.byId.get(id);
        const cell = row ? cellOf(row, places, name) : null;
        const text = drawn === "age" ? "59 min" : drawn === "state" ? stateWord(String(cell)) : cellText(drawn, cell);
        // Shorter ones can't be wider by much, and measuring is not free.
        if (text.length <= known.longest) continue;
        known.longest = text.length;
        const width = measure(text, drawn === "id") + PADDING + (EXTRA[drawn] ?? 0);
        if (width > known.width) known.width = width;
      }
    }
    return Math.max(Math.min(heading, MOST[drawn]), Math.min(known.width, MOST[drawn]), 56);
  }
}
