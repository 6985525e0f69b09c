/** One widget on the page: its state, whoever looks at it, and what was asked of the kernel. */

import type { Act, FromPage, Picture, PlotName, Snapshot, TableName, ToPage } from "./contract";
import type { Link } from "./link";
import { freshName } from "./names";
import { raise } from "./notify";
import { type Hearing, type Standing, standing } from "./status";
import { apply, isPartial, type News, type State } from "./store";

/** What the person asked to change, from this page. */
export interface Request {
  readonly id: string;
  readonly table: TableName;
  readonly target: string;
  readonly askedAt: number;
  /** Whether the message left the page. */
  readonly sent: boolean;
}

/** `queued`: no answer for a second, so a cell runs; `unsent`: there is no kernel to send it to. */
export type RequestState = "sent" | "queued" | "unsent" | Act["state"];

const RESYNC_EVERY = 1000;
const REST_EXPECTED_AFTER = 3000;
export const QUEUED_AFTER = 1000;

export class Session {
  readonly #link: Link<ToPage, FromPage>;
  readonly #listeners = new Set<() => void>();
  readonly #requests = new Map<string, Request>();
  readonly #views = new Map<string, boolean>();
  readonly #told = new Set<string>();
  readonly #pictures = new Map<PlotName, Picture>();
  #state: State | null = null;
  #lost = false;
  #resyncAt = Number.NEGATIVE_INFINITY;
  #resyncTimer: ReturnType<typeof setTimeout> | undefined;
  #partialSince: number | null = null;
  #since = Date.now();
  #heard: number | null = null;
  #visibleSince = 0;
  #disconnected = false;
  #stop: (() => void) | null = null;

  constructor(link: Link<ToPage, FromPage>) {
    this.#link = link;
  }

  get state(): State | null {
    return this.#state;
  }

  /** The kernel's clock, as far as the page knows it. */
  now(at = Date.now()): number {
    return at + (this.#heard === null ? 0 : (this.#state?.offset ?? 0));
  }

  /** Until when it is known how things are: what nobody looks at does not go on. */
  known(at = Date.now()): number {
    const seen = this.#state?.health.looked_at;
    return this.standing(at) === "live" ? this.now(at) : (seen ?? this.now(at));
  }

  start(): void {
    if (this.#stop) return;
    this.#since = Date.now();
    const saved = this.#link.saved();
    if (saved) this.#accept(saved, Date.now());
    for (const notice of this.#state?.notices ?? []) this.#told.add(notice.id);
    this.#stop = this.#link.listen({
      message: (message) => this.#hear(message),
      saved: (snapshot) => this.#saved(snapshot),
      disconnected: () => {
        this.#disconnected = true;
        this.#changed();
      },
    });
  }

  stop(): void {
    this.#stop?.();
    this.#stop = null;
    clearTimeout(this.#resyncTimer);
    this.#listeners.clear();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  open(view: string): void {
    this.#views.set(view, false);
    this.send({ type: "hello", view, have: this.#state && !isPartial(this.#state) ? this.#state.seq : null });
  }

  seen(view: string, visible: boolean): void {
    const wasVisible = [...this.#views.values()].some(Boolean);
    this.#views.set(view, visible);
    if (visible && !wasVisible) {
      this.#visibleSince = Date.now();
      this.#changed();
    }
    this.send({ type: "seen", view, visible });
  }

  gone(view: string): void {
    this.#views.delete(view);
    this.send({ type: "gone", view });
  }

  send(message: FromPage): boolean {
    return !this.#disconnected && this.#link.send(message);
  }

  /** Called every second by whoever looks: asks again for what did not come. */
  second(at: number): void {
    const state = this.#state;
    if (!state || !isPartial(state)) this.#partialSince = null;
    else {
      this.#partialSince ??= at;
      if (this.#heard !== null && at - this.#partialSince > REST_EXPECTED_AFTER) this.#resync(at);
    }
    if (this.#lost) this.#resync(at);
  }

  standing(at = Date.now()): Standing {
    return standing(this.#state, this.hearing, at);
  }

  get hearing(): Hearing {
    return { since: this.#since, heard: this.#heard, visibleSince: this.#visibleSince, disconnected: this.#disconnected };
  }

  deactivate(table: TableName, target: string): void {
    const id = freshName();
    const sent = this.send({ type: "order", id, what: "deactivate", table, target });
    this.#requests.set(target, { id, table, target, askedAt: Date.now(), sent });
    this.#changed();
    setTimeout(() => this.#changed(), QUEUED_AFTER + 50);
  }

  request(target: string): Request | null {
    return this.#requests.get(target) ?? null;
  }

  /** What became of a request, and what the kernel says about it. */
  outcome(request: Request, at = Date.now()): { state: RequestState; text: string } {
    const act = this.#state?.acts.find((each) => each.id === request.id);
    if (act) return { state: act.state, text: act.text };
    if (!request.sent || this.#disconnected) return { state: "unsent", text: "" };
    return { state: at - request.askedAt > QUEUED_AFTER ? "queued" : "sent", text: "" };
  }

  /** The newest one that came. */
  picture(plot: PlotName): Picture | undefined {
    return this.#pictures.get(plot);
  }

  forget(target: string): void {
    this.#requests.delete(target);
    this.#changed();
  }

  #hear(message: ToPage): void {
    this.#heard = Date.now();
    this.#disconnected = false;
    if (message.type === "picture") this.#pictures.set(message.plot, message);
    else this.#accept(message, this.#heard);
    this.#changed();
  }

  /** The saved snapshot may be cut short: it never takes the place of something whole. */
  #saved(snapshot: Snapshot): void {
    const state = this.#state;
    if (state && snapshot.seq <= state.seq) return;
    const cut = Object.values(snapshot.tables).some((table) => table.rows.length < table.total);
    if (state && cut && !isPartial(state)) {
      this.#lost = true;
      this.#resync(Date.now());
      return;
    }
    this.#accept(snapshot, Date.now());
    this.#changed();
  }

  #accept(message: News, at: number): void {
    const { state, lost } = apply(this.#state, message, at);
    this.#state = state;
    if (message.type === "snapshot") this.#lost = false;
    if (lost) {
      this.#lost = true;
      this.#resync(at);
    }
    if (this.#heard !== null) this.#announce();
  }

  #resync(at: number): void {
    const wait = this.#resyncAt + RESYNC_EVERY - at;
    clearTimeout(this.#resyncTimer);
    if (wait > 0) {
      this.#resyncTimer = setTimeout(() => this.#resync(Date.now()), wait);
      return;
    }
    this.#resyncAt = at;
    this.send({ type: "resync", have: this.#state?.seq ?? -1 });
  }

  /** A browser notification for each notice that came while the page was open, once however many views there are. */
  #announce(): void {
    const state = this.#state;
    if (!state) return;
    for (const notice of state.notices) {
      if (this.#told.has(notice.id)) continue;
      this.#told.add(notice.id);
      if (state.notify) raise(state.title, notice);
    }
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
