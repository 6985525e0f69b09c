/** The session of a panel of tables: its store, its plots, and the commands that were sent from this page. */

import type { AnyModel } from "@anywidget/types";
import type {
  Command,
  CommandStatus,
  DeploymentPlan,
  FromPage,
  PanelSnapshot,
  PlotName,
  PlotStatus,
  TableName,
  ToPage,
  Traits,
} from "./contract";
import { uniqueId } from "./ids";
import { Link, type Saved } from "./link";
import { notifyUser } from "./notifications";
import { ALL_VIEWS } from "./protocol";
import { QUEUED_AFTER, Session } from "./session";
import { isReachable } from "./status";
import { type State, TableStore } from "./store";

type CommandName = CommandStatus["what"];
export type ActionName = Exclude<CommandName, `plan_${string}`>;

const PLANS: Partial<Record<ActionName, CommandName>> = { delete: "plan_deletion", deploy: "plan_deployment" };
const NOT_DEPLOYED = { hardware: "", name: "" };

/** A command that was sent from this page. */
export interface SentCommand extends Readonly<Omit<Command, "type">> {
  readonly askedAt: number;
  /** Whether the message left the page. */
  readonly sent: boolean;
}

/** `queued`: no answer for a second, so a cell runs; `unsent`: there is no kernel to send it to. */
export type CommandState = "sent" | "queued" | "unsent" | CommandStatus["state"];

export interface Outcome {
  readonly state: CommandState;
  readonly text: string;
  readonly hint: string;
  readonly code: string;
  readonly plan: DeploymentPlan | null;
}

export const NOTHING: Outcome = { state: "sent", text: "", hint: "", code: "", plan: null };

export class PanelSession extends Session<ToPage, FromPage, TableStore> {
  readonly #commands = new Map<string, SentCommand>();
  readonly #plots = new Map<PlotName, PlotStatus>();
  readonly #announced = new Set<string>();

  constructor(link: Link<ToPage, FromPage>) {
    super(link, new TableStore());
  }

  get state(): State | null {
    return this.store.state;
  }

  /** The kernel's clock, as far as the page knows it. */
  now(at = Date.now()): number {
    return at + (this.connection.heardAt === null ? 0 : (this.state?.offset ?? 0));
  }

  /** Until when states are known: one that is not polled does not last longer. */
  knownUntil(at = Date.now()): number {
    const polledAt = this.state?.health.looked_at;
    return this.status(at) === "live" ? this.now(at) : (polledAt ?? this.now(at));
  }

  override start(): void {
    super.start();
    if (this.connection.heardAt === null) for (const notice of this.state?.notices ?? []) this.#announced.add(notice.id);
  }

  /** Whether a command may be sent: also where nothing is polled any more, if the kernel answers. */
  canCommand(): boolean {
    const { heardAt, disconnected } = this.connection;
    const status = this.status();
    return status === "over" ? heardAt !== null && !disconnected : isReachable(status);
  }

  /** Begins what is asked about before it is done: the plan of it is requested.  What is under way goes on. */
  ask(action: ActionName, table: TableName, target: string): void {
    const known = this.command(action, target);
    const { state } = known ? this.outcome(known) : { state: "done" };
    if (state !== "done" && state !== "failed" && state !== "unsent") return;
    const plan = PLANS[action];
    if (plan) this.#send(action, { id: uniqueId(), what: plan, table, target, ...NOT_DEPLOYED });
    else this.forgetCommand(action, target);
  }

  /** Sends what was asked about, by the id of its plan if it has one, with what was chosen for a deployment. */
  confirm(action: ActionName, table: TableName, target: string, chosen = NOT_DEPLOYED): void {
    const plan = this.command(action, target);
    this.#send(action, { id: plan?.id ?? uniqueId(), what: action, table, target, ...chosen });
  }

  #send(action: ActionName, command: Omit<Command, "type">): void {
    const sent = this.send({ type: "command", ...command });
    this.#commands.set(keyOf(action, command.target), { ...command, askedAt: Date.now(), sent });
    this.changed();
    setTimeout(() => this.changed(), QUEUED_AFTER + 50);
  }

  /** The newest command that was sent for an action on a thing, if any. */
  command(action: ActionName, target: string): SentCommand | null {
    return this.#commands.get(keyOf(action, target)) ?? null;
  }

  forgetCommand(action: ActionName, target: string): void {
    this.#commands.delete(keyOf(action, target));
    this.changed();
  }

  /** What became of a command, and the kernel's message about it. */
  outcome(command: SentCommand, at = Date.now()): Outcome {
    const status = this.state?.commands.find((each) => each.id === command.id && each.what === command.what);
    if (status) return status;
    const isUnsent = !command.sent || this.connection.disconnected;
    const waits = at - command.askedAt > QUEUED_AFTER ? "queued" : "sent";
    return { ...NOTHING, state: isUnsent ? "unsent" : waits };
  }

  /** The newest state of a plot. */
  plot(name: PlotName): PlotStatus | undefined {
    return this.#plots.get(name);
  }

  protected override apply(message: ToPage, at: number): void {
    if (message.type === "plot") {
      this.#plots.set(message.plot, message);
      return;
    }
    super.apply(message, at);
    if (this.connection.heardAt !== null) this.#announce();
  }

  /** The saved snapshot may be cut short: it never replaces a whole state. */
  protected override applySaved(snapshot: Saved<ToPage>): void {
    const { state } = this;
    if (state && snapshot.seq <= state.seq) return;
    if (state && isCut(snapshot) && !this.store.isPartial()) {
      this.resync(ALL_VIEWS, Date.now());
      return;
    }
    this.apply(snapshot, Date.now());
    this.changed();
  }

  /** One browser notification for each notice that arrives while the page is open, however many views there are. */
  #announce(): void {
    const { state } = this;
    for (const notice of state?.notices ?? []) {
      if (this.#announced.has(notice.id)) continue;
      this.#announced.add(notice.id);
      if (state?.notify) notifyUser(state.title, notice);
    }
  }
}

export function createSession(model: AnyModel<Traits>): PanelSession {
  return new PanelSession(new Link<ToPage, FromPage>(model, ["snapshot", "change", "heartbeat", "plot"]));
}

function keyOf(action: ActionName, target: string): string {
  return `${action} ${target}`;
}

function isCut(snapshot: PanelSnapshot): boolean {
  return Object.values(snapshot.tables).some((table) => table.rows.length < table.total);
}
