import { useEffect, useRef } from "preact/hooks";
import type { TableName } from "../contract";
import type { RequestState } from "../session";
import { Icon } from "./icons";
import { usePanel } from "./panel";

const ENDS: Record<TableName, string> = {
  runs: "Its trainer and its sampler end.",
  deployments: "The run on it, its trainer and its sampler end.",
  samplers: "It answers no more.",
  checkpoints: "",
};

const SAID: Record<RequestState, string> = {
  sent: "Asked.",
  queued: "Queued: the kernel is busy. It is sent when the cell ends.",
  unsent: "Not sent: there is no kernel behind this panel. Run the cell again.",
  doing: "Deactivating.",
  done: "Deactivated. Its checkpoints stay.",
  failed: "It was not deactivated.",
};

/** Asks a second time; then tells what becomes of it. */
export function Ending({
  table,
  target,
  name,
  onClose,
}: {
  table: TableName;
  target: string;
  name: string;
  onClose: (refocus: boolean) => void;
}) {
  const { session } = usePanel();
  const keep = useRef<HTMLButtonElement>(null);
  const request = session.request(target);
  const asks = request === null;
  useEffect(() => {
    if (asks) keep.current?.focus();
  }, [asks]);

  if (asks) {
    return (
      <div
        class="strip ending"
        role="alertdialog"
        aria-label={`Deactivate ${name}?`}
        data-ending="ask"
        onKeyDown={(event) => {
          if (event.key !== "Escape") return;
          event.stopPropagation();
          onClose(true);
        }}
      >
        <span>
          <strong>Deactivate {name}?</strong> {ENDS[table]} Its checkpoints stay.
        </span>
        <span class="choices">
          <button type="button" class="danger" data-action="deactivate" onClick={() => session.deactivate(table, target)}>
            Deactivate
          </button>
          <button ref={keep} type="button" data-action="keep" onClick={() => onClose(true)}>
            Keep it
          </button>
        </span>
      </div>
    );
  }
  const { state, text } = session.outcome(request);
  const isOver = state === "done" || state === "failed" || state === "unsent";
  const tone = state === "done" ? "good" : isOver ? "bad" : "busy";
  return (
    <div class={`strip ending ${tone}`} data-ending={state}>
      <Icon name={tone} />
      <span role="status">
        <strong>{name}:</strong> {text || SAID[state]}
      </span>
      {isOver && (
        <span class="choices">
          <button
            type="button"
            onClick={() => {
              session.forget(target);
              onClose(true);
            }}
          >
            Close
          </button>
        </span>
      )}
    </div>
  );
}
