import { codeLinesFor } from "../code-lines";
import type { Cell, TableName } from "../contract";
import type { ActionName } from "../panel-session";
import type { Choice, Panel } from "./panel-context";

/** What the menu of a thing offers; `act` is called when one of its actions is chosen. */
export function rowMenu(panel: Panel, table: TableName, value: (column: string) => Cell, act: (action: ActionName) => void): Choice[] {
  const copies = (label: string, text: string): Choice => ({ label, detail: text, run: () => panel.copy(text) });
  const id = String(value("id"));
  const asks = (label: string, action: ActionName): Choice => ({
    label,
    run: () => {
      panel.session.ask(action, table, id);
      act(action);
    },
  });
  // A sampler of a run ends with it, and not by itself.
  const run = table === "samplers" ? value("run_id") : null;
  const canCommand = panel.session.canCommand();
  const ends = canCommand && table !== "checkpoints" && value("finished") !== true;
  const all = [copies("Copy id", id)];
  if (table === "checkpoints" && value("uri") !== null) all.push(copies("Copy URI", String(value("uri"))));
  for (const { what, code } of codeLinesFor(table, value)) {
    if (code.startsWith("%loops deploy ") && value("target") !== "sampler") continue;
    if ((ends && run === null) || !code.includes(" deactivate ")) all.push(copies(`Copy line: ${what}`, code));
  }
  if (ends)
    all.push(run === null ? asks("Deactivate…", "deactivate") : { label: "Deactivate", detail: `It ends with its run, ${run}`, run: null });
  if (canCommand && table === "checkpoints" && value("target") === "sampler") all.push(asks("Deploy…", "deploy"));
  const canDelete = table === "checkpoints" || (table === "runs" && value("status") !== "DELETED");
  if (canCommand && canDelete) all.push(asks("Delete…", "delete"));
  return all;
}
