import { codeLinesFor } from "../code-lines";
import type { Cell, TableName } from "../contract";
import type { Choice, Panel } from "./panel-context";

/** What the menu of a thing offers; `end` is null where nothing can be ended any more. */
export function rowMenu(panel: Panel, table: TableName, value: (column: string) => Cell, end: (() => void) | null): Choice[] {
  const copies = (label: string, text: string): Choice => ({ label, detail: text, run: () => panel.copy(text) });
  // A sampler of a run ends with it, and not by itself.
  const run = table === "samplers" ? value("run_id") : null;
  const ends = end && table !== "checkpoints";
  const all = [copies("Copy id", String(value("id")))];
  if (table === "checkpoints" && value("uri") !== null) all.push(copies("Copy URI", String(value("uri"))));
  for (const { what, code } of codeLinesFor(table, value)) {
    if ((ends && run === null) || !code.includes(" deactivate ")) all.push(copies(`Copy line: ${what}`, code));
  }
  if (ends)
    all.push(
      run === null ? { label: "Deactivate…", run: end } : { label: "Deactivate", detail: `It ends with its run, ${run}`, run: null },
    );
  return all;
}
