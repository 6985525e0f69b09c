import type { TableName } from "../contract";
import type { Standing } from "../status";
import type { State } from "../store";
import { many } from "../words";

const NOTHING: Record<TableName, { said: string; type: string }> = {
  runs: { said: "No runs yet. To start one:", type: "%loops create run --session SESSION --base-model MODEL" },
  samplers: { said: "No samplers yet. To start one:", type: "%loops create sampler --session SESSION --base-model MODEL" },
  deployments: { said: "No deployments yet. A run brings its own:", type: "%loops create run --session SESSION --base-model MODEL" },
  checkpoints: { said: "No checkpoints yet. They appear here when the training saves one.", type: "" },
};
const PLURAL: Record<TableName, string> = { runs: "runs", samplers: "samplers", deployments: "deployments", checkpoints: "checkpoints" };

interface Props {
  table: TableName;
  state: State;
  standing: Standing;
  isFiltered: boolean;
  hidden: number;
  isAlone: boolean;
  onClear: () => void;
}

/** Tells "not looked yet" from "nothing yet", "nothing matches" and "cannot reach". */
export function Empty({ table, state, standing, isFiltered, hidden, onClear }: Props) {
  if (isFiltered) {
    return (
      <p class="empty" data-empty="no-match">
        {hidden
          ? `Nothing to show; ${many(hidden, `finished ${PLURAL[table].slice(0, -1)}`)} ${hidden === 1 ? "is" : "are"} hidden.`
          : "Nothing matches."}{" "}
        <button type="button" onClick={onClear}>
          Show all
        </button>
      </p>
    );
  }
  if (!state.ready && standing === "failing") {
    return (
      <p class="empty" data-empty="unreachable">
        The service could not be reached yet; {PLURAL[table]} appear here as soon as it answers.
      </p>
    );
  }
  if (!state.ready) {
    return (
      <p class="empty" data-empty="starting">
        Looking for {PLURAL[table]}…
      </p>
    );
  }
  const { said, type } = NOTHING[table];
  return (
    <p class="empty" data-empty="nothing">
      {said} {type && <code>{type}</code>}
    </p>
  );
}
