import { useEffect, useRef, useState } from "preact/hooks";
import type { DeploymentPlan, TableName } from "../contract";
import { type ActionName, type CommandState, NOTHING } from "../panel-session";
import { Button, CopyButton } from "./elements";
import { Icon } from "./icons";
import { usePanel } from "./panel-context";

/** Something that is about to be deactivated, deleted or deployed. */
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
  /** Says no. */
  readonly no: string;
  /** What is looked up before it can be confirmed. */
  readonly looksUp: string;
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
    no: "Keep it",
    looksUp: "",
    question: (table) => `${ENDS[table]} Checkpoints stay.`,
    outcomes: { running: "Deactivating.", done: "Deactivated. Checkpoints stay.", failed: "It was not deactivated." },
  },
  delete: {
    verb: "Delete",
    no: "Keep it",
    looksUp: "what goes, and what uses it",
    question: (table, about) => `${about}${table === "runs" ? "Its checkpoints go with it." : ""}`,
    outcomes: { running: "Deleting.", done: "Deleted.", failed: "It was not deleted." },
  },
  deploy: {
    verb: "Deploy",
    no: "Cancel",
    looksUp: "hardware and prices",
    question: () => "",
    outcomes: { running: "Deploying.", done: "Deployed.", failed: "It was not deployed." },
  },
};

const WAITING: Record<"sent" | "queued" | "unsent", string> = {
  sent: "Asked.",
  queued: "Queued: the kernel is busy. It is sent when the cell ends.",
  unsent: "Not sent: there is no kernel behind this panel. Run the cell again.",
};

interface Props extends Action {
  onClose: () => void;
}

/** Asks a second time, a deletion and a deployment with the kernel's plan; then tells what becomes of it. */
export function RowAction({ action, table, target, name, about, onClose }: Props) {
  const { session } = usePanel();
  const element = useRef<HTMLDivElement>(null);
  const command = session.command(action, target);
  const { state, text, hint, code, plan } = command ? session.outcome(command) : NOTHING;
  const isPlan = !!command?.what.startsWith("plan_");
  const isAsking = !command || (isPlan && state !== "failed" && state !== "unsent");
  const { verb, no, looksUp, question, outcomes } = WORDS[action];
  const [hardware, setHardware] = useState("");
  const [typed, setTyped] = useState<string | null>(null);
  const modelName = (typed ?? plan?.name ?? "").trim();
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
  // Who waits at the only button is led to what has to be chosen.
  useEffect(() => {
    if (plan && isWithin(element.current)) element.current?.querySelector("select")?.focus();
  }, [plan !== null]);

  if (isAsking) {
    const isReady = action === "deactivate" || state === "done";
    const isChosen = action !== "deploy" || (hardware !== "" && modelName !== "");
    const price = plan?.hardware.find(({ id }) => id === hardware)?.price;
    return (
      <div
        ref={element}
        class={`banner ${action === "deploy" ? "busy" : "bad"}`}
        role="alertdialog"
        aria-label={`${verb} ${name}?`}
        data-ending={isReady ? "ask" : "plan"}
        onKeyDown={(event) => {
          if (event.key === "Escape") close();
        }}
      >
        <Icon name={action === "deploy" ? "busy" : "bad"} />
        <p role={isPlan ? "status" : undefined}>
          <strong>{text || `${verb} ${name}?`}</strong> {price && `A node of it is ${price}. `}
          {text ? hint : question(table, about)}
          {plan?.taken.includes(modelName) && " There is already a model of this name: only ids tell them apart then."}
          {!isReady && (state === "queued" ? ` ${WAITING.queued}` : ` Looking up ${looksUp}…`)}
        </p>
        {plan && <Choices plan={plan} hardware={hardware} name={typed ?? plan.name} onHardware={setHardware} onName={setTyped} />}
        <span>
          <Button data-control="keep" onClick={close}>
            {no}
          </Button>{" "}
          <Button
            class={action === "deploy" ? "" : "danger"}
            data-control={action}
            disabled={!isReady || !isChosen}
            onClick={() => session.confirm(action, table, target, { hardware, name: modelName })}
          >
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
      {code && (
        <div class="lines">
          Call it with OpenAI's client (pip install openai): <CopyButton text={code} what="the lines that call it" />
          <pre class="code">{code}</pre>
        </div>
      )}
      {isOver && (
        <Button data-control="close" onClick={close}>
          Close
        </Button>
      )}
    </div>
  );
}

interface ChoicesProps {
  plan: DeploymentPlan;
  hardware: string;
  name: string;
  onHardware: (id: string) => void;
  onName: (name: string) => void;
}

/** What has to be chosen for a deployment: its hardware costs, so none is chosen before. */
function Choices({ plan, hardware, name, onHardware, onName }: ChoicesProps) {
  return (
    <div class="choices">
      <label>
        Instance type
        <select data-control="hardware" value={hardware} onChange={(event) => onHardware(event.currentTarget.value)}>
          <option value="">Choose one</option>
          {plan.hardware.map((each) => (
            <option key={each.id} value={each.id}>
              {each.price ? `${each.name}, ${each.price}` : each.name}
            </option>
          ))}
        </select>
      </label>
      <label>
        Name of the new model
        <input data-control="model-name" value={name} onInput={(event) => onName(event.currentTarget.value)} />
      </label>
    </div>
  );
}

function isWithin(element: HTMLElement | null): boolean {
  const root = element?.getRootNode() as Document | ShadowRoot | undefined;
  return !!element?.contains(root?.activeElement ?? null);
}

function isFocusLost(): boolean {
  return !document.activeElement || document.activeElement === document.body;
}
