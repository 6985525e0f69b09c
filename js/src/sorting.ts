/** Which rows are shown, and in which order: kept up by small steps, so that ten thousand rows cost little. */

import { type Cell, COLUMNS, type PanelColumn, type TableName } from "./contract";
import { stateWord } from "./format";
import type { Row, Rows } from "./rows";

export interface Sort {
  readonly column: string;
  readonly down: boolean;
}

export const NEWEST_FIRST: Sort = { column: "created_at", down: true };

export function columnIndex(table: TableName, name: string): number {
  return COLUMNS[table].findIndex((column) => column.name === name);
}

export function cellOf(table: TableName, row: Row, name: string): Cell {
  return row.cells[columnIndex(table, name)] ?? null;
}

export function isFinished(table: TableName, row: Row): boolean {
  return cellOf(table, row, "finished") === true;
}

export const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/** What is missing comes last, whichever way one sorts. */
export function compare(table: TableName, sort: Sort): (a: Row, b: Row) => number {
  const at = columnIndex(table, sort.column);
  const sign = sort.down ? -1 : 1;
  return (a, b) => {
    const x = a.cells[at] ?? null;
    const y = b.cells[at] ?? null;
    if (x !== y) {
      if (x === null) return 1;
      if (y === null) return -1;
      const by = typeof x === "number" && typeof y === "number" ? x - y : collator.compare(String(x), String(y));
      if (by) return by * sign;
    }
    return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
  };
}

/** Remembers the order of one table; only touched rows are sorted again. */
export class RowOrder {
  readonly #compare: (sort: Sort) => (a: Row, b: Row) => number;
  #sort: Sort | null = null;
  #version = -1;
  #sorted: Row[] = [];

  constructor(compare: (sort: Sort) => (a: Row, b: Row) => number) {
    this.#compare = compare;
  }

  sorted(rows: Rows, sort: Sort): readonly Row[] {
    const sameSort = this.#sort?.column === sort.column && this.#sort.down === sort.down;
    if (sameSort && this.#version === rows.version) return this.#sorted;
    const by = this.#compare(sort);
    if (sameSort && rows.touched && this.#version === rows.version - 1) this.#sorted = patched(this.#sorted, rows, rows.touched, by);
    else this.#sorted = [...rows.byId.values()].sort(by);
    this.#sort = sort;
    this.#version = rows.version;
    return this.#sorted;
  }
}

function patched(sorted: readonly Row[], rows: Rows, touched: ReadonlySet<string>, by: (a: Row, b: Row) => number): Row[] {
  const fresh: Row[] = [];
  for (const id of touched) {
    const row = rows.byId.get(id);
    if (row) fresh.push(row);
  }
  fresh.sort(by);
  const result: Row[] = [];
  let next = 0;
  for (const row of sorted) {
    if (touched.has(row.id)) continue;
    for (let candidate = fresh[next]; candidate && by(candidate, row) < 0; candidate = fresh[++next]) result.push(candidate);
    result.push(row);
  }
  for (; next < fresh.length; next++) result.push(fresh[next] as Row);
  return result;
}

const texts = new WeakMap<Row, string>();

/** Everything in a row that one can read or copy, in small letters. */
export function searchText(table: TableName, row: Row): string {
  let text = texts.get(row);
  if (text === undefined) {
    text = COLUMNS[table].map((column, i) => searched(column, row.cells[i] ?? null)).join("\n");
    texts.set(row, text);
  }
  return text;
}

function searched(column: PanelColumn, cell: Cell): string {
  if (cell === null || column.drawn === "age" || column.drawn === "flag" || column.drawn === "bytes" || column.drawn === "spark") return "";
  const text = String(cell).toLowerCase();
  return column.drawn === "state" ? `${text}\n${stateWord(text)}` : text;
}

export function searchWords(filter: string): string[] {
  return filter.toLowerCase().split(/\s+/).filter(Boolean);
}

export interface FilteredRows {
  readonly rows: readonly Row[];
  /** How many are left out because they are finished, and how many because they do not match. */
  readonly finished: number;
  readonly unmatched: number;
}

/** `pinned` rows stay although they are finished: their details are open. */
export function filterRows(
  table: TableName,
  sorted: readonly Row[],
  words: readonly string[],
  hidesFinished: boolean,
  pinned: ReadonlySet<string>,
): FilteredRows {
  if (!words.length && !hidesFinished) return { rows: sorted, finished: 0, unmatched: 0 };
  const flag = columnIndex(table, "finished");
  const rows: Row[] = [];
  let finished = 0;
  let unmatched = 0;
  for (const row of sorted) {
    if (words.length) {
      const text = searchText(table, row);
      if (!words.every((word) => text.includes(word))) {
        unmatched++;
        continue;
      }
    }
    if (hidesFinished && row.cells[flag] === true && !pinned.has(row.id)) finished++;
    else rows.push(row);
  }
  return { rows, finished, unmatched };
}
