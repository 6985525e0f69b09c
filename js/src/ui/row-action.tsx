import { useEffect, useRef } from "preact/hooks";
import type { TableName } from "../contract";
import type { ActionName, CommandState } from "../panel-session";
import { Button } from "./elements";
import { Icon } from "./icons";
import { usePanel } from "./panel-context";

/** Something that is about to be deactivated or deleted. */
export interface Action {
  readonly action: ActionName;
  readonly table: TableName;
  readonly target: string;
  /** What it is called, and what else the listing says of it. */
  readonly name: string;
  readonly about: string;
}

interface Words {
  readonly verb: string;
  readonly question: (table: TableName, about: string) => string;
  readonly outcomes: Record<"running" | "done" | "failed", string>;
}

const ENDS: Record<TableName, string> = {
  runs: "Its trainer and its sampler end.",
  deployments: "The run on it, its trainer and its sampler end.",
  samplers: "It answers no more.",
  checkpoints: "",
};

const WORDS: Record<ActionName, Words> = {
  deactivate: {
    verb: "Deactivate",
    question: (table) => `${ENDS[table]} Checkpoints stay.`,
    outcomes: { running: "Deactivating.", done: "Deactivated. Checkpoints stay.", failed: "It was not deactivated." },
  },
  delete: {
    verb: "Delete",
    question: (table, about) => `${about}${table === "runs" ? "Its checkpoints go with it." : ""}`,
    outcomes: { running: "Deleting.", done: "Deleted.", failed: "It was not deleted." },
  },
};

const WAITING: Record<"sent" | "queued" | "unsent", string> = {
  sent: "Asked.",
  queued: "Queued: the kernel is busy. It is sent when the cell ends.",
  unsent: "Not sent: there is no kernel behind this panel. Run the cell again.",
};

const NOTHING = { state: "sent", text: "", hint: "" } as const;

interface Props extends Action {
  onClose: () => void;
}

/** Asks a second time, a deletion with the kernel's plan; then tells what becomes of it. */
export function RowAction({ action, table, target, name, about, onClose }: Props) {
  const { session } = usePanel();
  const element = useRef<HTMLDivElement>(null);
  const command = session.command(action, target);
  const { state, text, hint } = command ? session.outcome(command) : NOTHING;
  const isPlan = command?.what === "plan_deletion";
  const isAsking = !command || (isPlan && state !== "failed" && state !== "unsent");
  const { verb, question, outcomes } = WORDS[action];
  const close = () => {
    session.forgetCommand(action, target);
    onClose();
  };
  // The button that was pressed is gone with the question: what becomes of it stands where the focus was.  One that is only drawn
  // again, because its row is gone or was scrolled away, takes no focus from elsewhere.
  const wasAsking = useRef(isAsking);
  useEffect(() => {
    if (isAsking) element.current?.querySelector("button")?.focus();
    else if (wasAsking.current || isFocusLost()) element.current?.focus();
    wasAsking.current = isAsking;
  }, [isAsking]);

  if (isAsking) {
    const isReady = action === "deactivate" || state === "done";
    return (
      <div
        ref={element}
        class="banner bad"
        role="alertdialog"
        aria-label={`${verb} ${name}?`}
        data-ending={isReady ? "ask" : "plan"}
        onKeyDown={(event) => {
          if (event.key === "Escape") close();
        }}
      >
        <Icon name="bad" />
        <p role={isPlan ? "status" : undefined}>
          <strong>{text || `${verb} ${name}?`}</strong> {text ? hint : question(table, about)}
          {!isReady && (state === "queued" ? ` ${WAITING.queued}` : " Looking up what goes, and what uses it…")}
        </p>
        <span>
          <Button data-control="keep" onClick={close}>
            Keep it
          </Button>{" "}
          <Button class="danger" data-control={action} disabled={!isReady} onClick={() => session.confirm(action, table, target)}>
            {verb}
          </Button>
        </span>
      </div>
    );
  }
  const isOver = state === "done" || state === "failed" || state === "unsent";
  const tone = state === "done" ? "good" : isOver ? "bad" : "busy";
  const said: Record<CommandState, string> = { ...WAITING, ...outcomes };
  return (
    <div ref={element} tabIndex={-1} class={`banner ${tone}`} data-ending={state}>
      <Icon name={tone} />
      <p role="status">
        <strong>{name}:</strong> {text || said[state]} {hint}
      </p>
      {isOver && (
        <Button data-control="close" onClick={close}>
          Close
        </Button>
      )}
    </div>
  );
}

function isFocusLost(): boolean {
  return !document.activeElement || document.activeElement === document.body;
}
