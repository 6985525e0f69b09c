/** How wide the columns of one table want to be. */

import type { WantedColumn } from "./column-fit";
import { type Cell, COLUMNS, type PanelColumn, type TableName } from "./contract";
import { bytes, count, stateWord } from "./format";
import { numberText } from "./number";
import type { Row, Rows } from "./rows";

const PADDING = 15;
const SIGN = 30;
const ARROW = 17;

type Measure = (text: string, code: boolean) => number;

/** Columns only ever grow, so that a table does not jump at every change. */
export class ColumnWidths {
  readonly #columns: readonly PanelColumn[];
  readonly #longest: number[];
  readonly #natural: number[];
  #version = -1;

  constructor(table: TableName) {
    this.#columns = COLUMNS[table];
    this.#longest = this.#columns.map(() => 0);
    this.#natural = this.#columns.map(() => 0);
  }

  wanted(rows: Rows, measure: Measure): readonly WantedColumn[] {
    if (this.#version !== rows.version) {
      const known = rows.touched && this.#version === rows.version - 1 ? rows.touched : null;
      if (known) for (const id of known) this.#take(rows.byId.get(id), measure);
      else for (const row of rows.byId.values()) this.#take(row, measure);
      this.#version = rows.version;
    }
    return this.#columns.map(({ rank: least, drawn, title, name }, i) => {
      // Few checkpoints have a lifetime.
      const rank = name === "expires_at" && !this.#longest[i] ? null : least;
      // Headings are bolder than what is measured.
      const heading = 1.08 * measure(title, false) + PADDING + (drawn === "age" ? ARROW : 0);
      return { rank, drawn, heading, natural: Math.max(heading + ARROW, this.#natural[i] as number) };
    });
  }

  #take(row: Row | undefined, measure: Measure): void {
    if (!row) return;
    for (let i = 0; i < this.#columns.length; i++) {
      const column = this.#columns[i] as PanelColumn;
      if (column.rank === null) continue;
      const text = textOf(column, row.cells[i] ?? null);
      // Shorter ones can't be wider by much, and measuring is not free.
      if (text.length <= (this.#longest[i] as number)) continue;
      this.#longest[i] = text.length;
      const width = measure(text, column.drawn === "id" || column.drawn === "uri") + PADDING + (column.drawn === "state" ? SIGN : 0);
      if (width > (this.#natural[i] as number)) this.#natural[i] = width;
    }
  }
}

function textOf(column: PanelColumn, cell: Cell): string {
  if (cell === null) return "";
  switch (column.drawn) {
    case "state":
      return stateWord(String(cell));
    case "age":
      return "59 min";
    case "spark":
      return "0123456789";
    case "number":
      return typeof cell === "number" ? numberText(cell) : String(cell);
    case "bytes":
      return typeof cell === "number" ? bytes(cell) : "";
    case "count":
      return typeof cell === "number" ? count(cell) : String(cell);
    default:
      return String(cell);
  }
}

/** Measures in the fonts that an element and its code have now. */
export function measureIn(element: Element): Measure {
  const context = document.createElement("canvas").getContext("2d");
  const style = getComputedStyle(element);
  const text = `${style.fontSize} ${style.fontFamily}`;
  const mono = `${style.fontSize} ${style.getPropertyValue("--mono") || "monospace"}`;
  return (words, code) => {
    if (!context) return words.length * 8;
    context.font = code ? mono : text;
    return Math.ceil(context.measureText(words).width);
  };
}
