/** The lines of code that a row offers to copy. */

import { type Cell, LINES, type TableName } from "./contract";

export interface CodeLine {
  readonly what: string;
  readonly code: string;
}

/** What can stand in a line as it is; a line with any other value is not offered. */
const PLAIN = /^[A-Za-z0-9][\w.:/@-]*$/;

/** A line is missing when a value of it is, or is no plain word: in code it could do anything. */
export function codeLinesFor(table: TableName, value: (column: string) => Cell): CodeLine[] {
  return LINES[table].flatMap(([what, pattern]) => {
    let isWhole = true;
    const code = pattern.replace(/\{(\w+)\}/g, (_, column: string) => {
      const found = String(value(column) ?? "");
      isWhole &&= PLAIN.test(found);
      return found;
    });
    return isWhole ? [{ what, code }] : [];
  });
}
