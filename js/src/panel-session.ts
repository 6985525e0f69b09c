/** The session of a panel of tables: its store, its plots, and the commands that were sent from this page. */

import type { CommandStatus, FromPage, PanelSnapshot, PlotName, PlotStatus, TableName, ToPage } from "./contract";
import { uniqueId } from "./ids";
import type { Link, Saved } from "./link";
import { notifyUser } from "./notifications";
import { ALL_VIEWS } from "./protocol";
import { QUEUED_AFTER, Session } from "./session";
import { type State, TableStore } from "./store";

/** A command that was sent from this page. */
export interface SentCommand {
  readonly id: string;
  readonly table: TableName;
  readonly target: string;
  readonly askedAt: number;
  /** Whether the message left the page. */
  readonly sent: boolean;
}

/** `queued`: no answer for a second, so a cell runs; `unsent`: there is no kernel to send it to. */
export type CommandState = "sent" | "queued" | "unsent" | CommandStatus["state"];

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

  deactivate(table: TableName, target: string): void {
    const id = uniqueId();
    const sent = this.send({ type: "command", id, what: "deactivate", table, target });
    this.#commands.set(target, { id, table, target, askedAt: Date.now(), sent });
    this.changed();
    setTimeout(() => this.changed(), QUEUED_AFTER + 50);
  }

  /** The command that was sent about a thing, if any. */
  command(target: string): SentCommand | null {
    return this.#commands.get(target) ?? null;
  }

  forgetCommand(target: string): void {
    this.#commands.delete(target);
    this.changed();
  }

  /** What became of a command, and the kernel's message about it. */
  outcome(command: SentCommand, at = Date.now()): { state: CommandState; text: string } {
    const status = this.state?.commands.find((each) => each.id === command.id);
    if (status) return { state: status.state, text: status.text };
    if (!command.sent || this.connection.disconnected) return { state: "unsent", text: "" };
    return { state: at - command.askedAt > QUEUED_AFTER ? "queued" : "sent", text: "" };
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

function isCut(snapshot: PanelSnapshot): boolean {
  return Object.values(snapshot.tables).some((table) => table.rows.length < table.total);
}
