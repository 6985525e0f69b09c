import { useEffect, useRef } from "preact/hooks";
import type { TableName } from "../contract";
import type { CommandState } from "../panel-session";
import { Button } from "./elements";
import { Icon } from "./icons";
import { usePanel } from "./panel-context";

const CONSEQUENCES: Record<TableName, string> = {
  runs: "Its trainer and its sampler end.",
  deployments: "The run on it, its trainer and its sampler end.",
  samplers: "It answers no more.",
  checkpoints: "",
};

const OUTCOMES: Record<CommandState, string> = {
  sent: "Asked.",
  queued: "Queued: the kernel is busy. It is sent when the cell ends.",
  unsent: "Not sent: there is no kernel behind this panel. Run the cell again.",
  running: "Deactivating.",
  done: "Deactivated. Checkpoints stay.",
  failed: "It was not deactivated.",
};

interface Props {
  table: TableName;
  target: string;
  name: string;
  onClose: () => void;
}

/** Asks a second time; then tells what becomes of it. */
export function Deactivation({ table, target, name, onClose }: Props) {
  const { session } = usePanel();
  const element = useRef<HTMLDivElement>(null);
  const command = session.command(target);
  // The button that was pressed is gone with the question: what becomes of it stands where the focus was.
  useEffect(() => (command ? element.current : element.current?.querySelector("button"))?.focus(), [!command]);

  if (!command) {
    return (
      <div
        ref={element}
        class="banner bad"
        role="alertdialog"
        aria-label={`Deactivate ${name}?`}
        data-ending="ask"
        onKeyDown={(event) => {
          if (event.key === "Escape") onClose();
        }}
      >
        <Icon name="bad" />
        <p>
          <strong>Deactivate {name}?</strong> {CONSEQUENCES[table]} Checkpoints stay.
        </p>
        <span>
          <Button data-control="keep" onClick={onClose}>
            Keep it
          </Button>{" "}
          <Button class="danger" data-control="deactivate" onClick={() => session.deactivate(table, target)}>
            Deactivate
          </Button>
        </span>
      </div>
    );
  }
  const { state, text } = session.outcome(command);
  const isOver = state === "done" || state === "failed" || state === "unsent";
  const tone = state === "done" ? "good" : isOver ? "bad" : "busy";
  return (
    <div ref={element} tabIndex={-1} class={`banner ${tone}`} data-ending={state}>
      <Icon name={tone} />
      <p role="status">
        <strong>{name}:</strong> {text || OUTCOMES[state]}
      </p>
      {isOver && (
        <Button
          data-control="close"
          onClick={() => {
            session.forgetCommand(target);
            onClose();
          }}
        >
          Close
        </Button>
      )}
    </div>
  );
}
