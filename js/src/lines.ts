/** The lines of code that a row offers to copy. */

import { LINES, type TableName } from "./contract";
import { cellOf } from "./order";
import type { Row } from "./store";

export interface Line {
  readonly what: string;
  readonly code: string;
}

/** What an id may look like so that it can stand in a line as it is; anything else is not offered. */
const PLAIN = /^[A-Za-z0-9][\w.:/@-]*$/;

export function linesFor(table: TableName, row: Row): Line[] {
  const lines: Line[] = [];
  for (const [what, pattern] of LINES[table]) {
    const code = filled(pattern, (name) => cellOf(table, row, name));
    if (code !== null) lines.push({ what, code });
  }
  return lines;
}

/** Null when a value is missing, or is no plain word: in a line of code it could do anything. */
export function filled(pattern: string, value: (name: string) => unknown): string | null {
  let whole = true;
  const text = pattern.replace(/\{(\w+)\}/g, (_, name: string) => {
    const found = value(name);
    if (typeof found !== "string" || !PLAIN.test(found)) whole = false;
    return String(found);
  });
  return whole ? text : null;
}
