/** The page's half of the protocol: one widget's connection, its views, and the resynchronisation of its streams. */

import type { Link, Message, Saved } from "./link";
import { ALL_VIEWS, type FromAnyPage, type Health } from "./protocol";
import { type Connection, type Status, statusOf } from "./status";

/** What a panel knows; changed by messages alone. */
export interface Store<ToPage> {
  /** Takes in a message, at a time of the page's clock. */
  apply(message: ToPage, at: number): Applied;
  /** The newest sequence number of a stream; -1 before there is any. */
  seq(stream: string): number;
  /** The number of the state that a new view starts with; null: it needs a whole one. */
  have(): number | null;
  /** Whether the rest of what was saved is still to come. */
  isPartial(): boolean;
  readonly health: Health | null;
  /** By the kernel's clock, when the newest message was written. */
  readonly sentAt: number | null;
}

/** Streams of which an earlier message is missing, and streams that are whole again. */
export interface Applied {
  readonly lost?: readonly string[];
  readonly whole?: readonly string[];
}

const RESYNC_EVERY = 1000;
const REST_EXPECTED_AFTER = 3000;
/** An answer that takes longer waits for the cell that the kernel runs. */
export const QUEUED_AFTER = 1000;

interface ResyncState {
  askedAt: number;
  timer: ReturnType<typeof setTimeout> | undefined;
}

export abstract class Session<ToPage extends Message, FromPage, S extends Store<ToPage>> {
  readonly store: S;
  readonly #link: Link<ToPage, FromPage | FromAnyPage>;
  readonly #listeners = new Set<() => void>();
  /** Open views, and whether each is visible. */
  readonly #views = new Map<string, boolean>();
  readonly #lost = new Set<string>();
  readonly #resyncs = new Map<string, ResyncState>();
  #partialSince: number | null = null;
  #startedAt = Date.now();
  #heardAt: number | null = null;
  #visibleSince = 0;
  #disconnected = false;
  #stop: (() => void) | null = null;

  constructor(link: Link<ToPage, FromPage | FromAnyPage>, store: S) {
    this.#link = link;
    this.store = store;
  }

  get connection(): Connection {
    return { startedAt: this.#startedAt, heardAt: this.#heardAt, visibleSince: this.#visibleSince, disconnected: this.#disconnected };
  }

  status(at = Date.now()): Status {
    return statusOf(this.store.health?.state ?? "starting", this.store.sentAt, this.connection, at);
  }

  start(): void {
    if (this.#stop) return;
    this.#startedAt = Date.now();
    const saved = this.#link.saved();
    if (saved) this.apply(saved, this.#startedAt);
    this.#stop = this.#link.listen({
      onMessage: (message) => {
        this.#heardAt = Date.now();
        this.#disconnected = false;
        this.apply(message, this.#heardAt);
        this.changed();
      },
      onSaved: (snapshot) => this.applySaved(snapshot),
      onDisconnect: () => {
        this.#disconnected = true;
        this.changed();
      },
    });
  }

  stop(): void {
    this.#stop?.();
    this.#stop = null;
    for (const { timer } of this.#resyncs.values()) clearTimeout(timer);
    this.#listeners.clear();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  openView(view: string): void {
    this.#views.set(view, false);
    this.send({ type: "view_opened", view, have: this.store.have() });
  }

  setVisible(view: string, visible: boolean): void {
    const wasVisible = [...this.#views.values()].some(Boolean);
    this.#views.set(view, visible);
    if (visible && !wasVisible) {
      this.#visibleSince = Date.now();
      this.changed();
    }
    this.send({ type: "view_visibility", view, visible });
  }

  closeView(view: string): void {
    this.#views.delete(view);
    // Streams of a view are called by its name, or begin with it.
    for (const stream of [...this.#resyncs.keys(), ...this.#lost]) {
      if (stream === view || stream.startsWith(`${view}/`)) this.#forget(stream);
    }
    this.send({ type: "view_closed", view });
  }

  /** Returns whether the message was sent. */
  send(message: FromPage | FromAnyPage): boolean {
    return !this.#disconnected && this.#link.send(message);
  }

  /** Called every second while a view is open: asks again for what did not arrive. */
  onSecond(at: number): void {
    if (!this.store.isPartial()) this.#partialSince = null;
    else {
      this.#partialSince ??= at;
      if (this.#heardAt !== null && at - this.#partialSince > REST_EXPECTED_AFTER) this.resync(ALL_VIEWS, at);
    }
    for (const stream of this.#lost) this.resync(stream, at);
  }

  /** Takes in the snapshot that is saved with the widget, after it was replaced. */
  protected applySaved(_snapshot: Saved<ToPage>): void {}

  protected apply(message: ToPage, at: number): void {
    const { lost = [], whole = [] } = this.store.apply(message, at);
    for (const stream of whole) this.#lost.delete(stream);
    for (const stream of lost) this.resync(stream, at);
  }

  /** Asks for the whole state of a stream: now, or as soon as a second has passed since it was asked for last. */
  protected resync(stream: string, at: number): void {
    this.#lost.add(stream);
    const state = this.#resyncs.get(stream) ?? { askedAt: Number.NEGATIVE_INFINITY, timer: undefined };
    this.#resyncs.set(stream, state);
    clearTimeout(state.timer);
    const wait = state.askedAt + RESYNC_EVERY - at;
    if (wait > 0) {
      state.timer = setTimeout(() => this.#lost.has(stream) && this.resync(stream, Date.now()), wait);
      return;
    }
    state.askedAt = at;
    this.send({ type: "resync", stream, have: this.store.seq(stream) });
  }

  protected changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }

  #forget(stream: string): void {
    clearTimeout(this.#resyncs.get(stream)?.timer);
    this.#resyncs.delete(stream);
    this.#lost.delete(stream);
  }
}
