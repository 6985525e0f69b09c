import type { TableName } from "../contract";
import type { Status } from "../status";
import type { State } from "../store";
import { Button } from "./elements";

/** What to type for the first one. */
const FIRST: Partial<Record<TableName, string>> = { runs: "run", samplers: "sampler", deployments: "run" };

interface Props {
  table: TableName;
  state: State;
  status: Status;
  /** Whether there are rows that are not shown, and how many of them because they are finished. */
  isFiltered: boolean;
  finished: number;
  onClearFilter: () => void;
}

/** Tells "not looked yet" from "nothing yet", "nothing matches" and "cannot reach". */
export function EmptyTable({ table, state, status, isFiltered, finished, onClearFilter }: Props) {
  if (isFiltered) {
    return (
      <p data-empty="no-match">
        {finished ? `Nothing else: ${finished} finished ${finished === 1 ? "one is" : "ones are"} hidden.` : "Nothing matches."}{" "}
        <Button onClick={onClearFilter}>Show all</Button>
      </p>
    );
  }
  if (!state.ready) {
    return status === "failing" ? (
      <p data-empty="unreachable">Nothing came yet: the {table} appear as soon as the service answers.</p>
    ) : (
      <p data-empty="starting">Looking for {table}…</p>
    );
  }
  // A run that has ended saves none any more.
  if (status === "over" && table === "checkpoints") return <p data-empty="nothing">No {table}.</p>;
  return (
    <p data-empty="nothing">
      No {table} yet. {FIRST[table] ? "To start one: " : "They appear when the training saves one."}
      {FIRST[table] && (
        <pre class="code">{`s = %loops create session\n%loops create ${FIRST[table]} --session {s.id} --base-model MODEL`}</pre>
      )}
    </p>
  );
}
