/** Which rows of experiments are shown, in which order, and with which columns. */

import type { Cell } from "../contract";
import { count, lasting, stateWord } from "../format";
import { numberText } from "../number";
import type { Row } from "../rows";
import { collator, type Sort } from "../sorting";
import type { Choices, ExperimentCell, ExperimentColumn } from "./contract";

export type Places = ReadonlyMap<string, number>;

export const SPARK = "spark";
export const NEWEST_FIRST: Sort = { column: "created_at", down: true };

export function isShown({ name, shown }: ExperimentColumn, choices: Choices): boolean {
  return choices.columns[name] ?? shown ?? true;
}

export function cellOf(row: Row, places: Places, column: string): Cell {
  return row.cells[places.get(column) ?? -1] ?? null;
}

/** Cells of columns that were never sent are not there; others are null. */
export function isSent(places: Places, column: string): boolean {
  return column === SPARK || places.has(column);
}

/** What is missing comes last, whichever way one sorts; numbers come before texts. */
export function comparator(places: Places, { column, down }: Sort): (a: Row, b: Row) => number {
  const at = places.get(column) ?? -1;
  const sign = down ? -1 : 1;
  return (a, b) => {
    const x = a.cells[at] ?? null;
    const y = b.cells[at] ?? null;
    if (x !== y) {
      const [i, j] = [kind(x), kind(y)];
      if (i !== j) return i === MISSING || j === MISSING ? i - j : (i - j) * sign;
      const by = i === MISSING ? 0 : i === NUMBER ? Number(x) - Number(y) : collator.compare(String(x), String(y));
      if (by) return by * sign;
    }
    return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
  };
}

const [NUMBER, TEXT, MISSING] = [0, 1, 2];

function kind(cell: Cell): number {
  if (cell === null || cell === "NaN") return MISSING;
  return typeof cell === "string" && !cell.endsWith("Infinity") ? TEXT : NUMBER;
}

/** Whether a press on a heading first sorts downwards: the best of a metric, the longest and the youngest come first. */
export function startsDown({ drawn, mode }: ExperimentColumn): boolean {
  return mode === "max" || (mode !== "min" && (drawn === "age" || drawn === "count" || drawn === "duration" || drawn === "number"));
}

/** A filter with an operator is an expression, which the kernel reads; any other is words that must occur. */
export function isExpression(text: string): boolean {
  return /[<>=]|!|\bin\s*[([]|^\s*not\s/.test(text);
}

const texts = new WeakMap<Row, string>();

export function searchText(row: Row, columns: readonly ExperimentColumn[], places: Places): string {
  let text = texts.get(row);
  if (text === undefined) {
    text = columns
      .filter(({ drawn }) => drawn !== "age" && drawn !== "duration" && drawn !== "number")
      .map(({ name }) => String(cellOf(row, places, name) ?? ""))
      .join("\n")
      .toLowerCase();
    texts.set(row, text);
  }
  return text;
}

/** A cell in words; empty where nothing is there. */
export function cellText(drawn: ExperimentCell, cell: Cell): string {
  if (cell === null) return "";
  if (cell === true) return "yes";
  if (cell === false) return "no";
  if (drawn === "state") return stateWord(String(cell));
  if (typeof cell === "string") return cell;
  switch (drawn) {
    case "count":
      return count(cell);
    case "duration":
      return lasting(cell);
    case "number":
      return numberText(cell);
    default:
      return String(cell);
  }
}

export const NUMERIC: readonly ExperimentCell[] = ["age", "duration", "count", "number"];
