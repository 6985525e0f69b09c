/** The widget's model as a kernel would stand behind it; a name that is not in the contract is a mistake, and throws. */

import type { AnyModel } from "@anywidget/types";
import type { FromPage, PanelChange, PanelSnapshot, ToPage, Traits } from "../src/contract";

const TRAITS: readonly string[] = ["snapshot"] satisfies (keyof Traits)[];
const EVENTS = ["msg:custom", "change:snapshot", "comm_live_update"];

type Callback = (...given: unknown[]) => void;

export class MockModel {
  readonly sent: FromPage[] = [];
  isClosed = false;
  #snapshot: unknown;
  readonly #callbacks = new Map<string, Set<Callback>>();

  constructor(snapshot: PanelSnapshot | Record<string, never>) {
    this.#snapshot = structuredClone(snapshot);
  }

  get(name: string): unknown {
    if (!TRAITS.includes(name)) throw new Error(`no trait ${name}`);
    return this.#snapshot;
  }

  on(event: string, callback: Callback): void {
    this.#of(event).add(callback);
  }

  off(event: string, callback: Callback): void {
    this.#of(event).delete(callback);
  }

  send(message: FromPage): void {
    if (this.isClosed) throw new Error("Cannot send");
    this.sent.push(structuredClone(message));
  }

  set(): never {
    throw new Error("the page sets no trait");
  }

  save_changes(): never {
    throw new Error("the page sets no trait");
  }

  get widget_manager(): never {
    throw new Error("the page asks for no other model");
  }

  /** As the kernel does. */
  tell(message: ToPage): void {
    for (const callback of [...this.#of("msg:custom")]) callback(structuredClone(message), []);
  }

  change(change: Omit<PanelChange, "type">): void {
    this.tell({ type: "change", ...change });
  }

  heartbeat({ seq, ...rest }: { seq: number; now: number; looked_at: number | null }): void {
    this.tell({ type: "heartbeat", seqs: { "*": seq }, ...rest });
  }

  save(snapshot: PanelSnapshot): void {
    this.#snapshot = structuredClone(snapshot);
    for (const callback of [...this.#of("change:snapshot")]) callback();
  }

  disconnect(): void {
    for (const callback of [...this.#of("comm_live_update")]) callback();
  }

  get listeners(): number {
    return [...this.#callbacks.values()].reduce((sum, all) => sum + all.size, 0);
  }

  sentOf<T extends FromPage["type"]>(type: T): Extract<FromPage, { type: T }>[] {
    return this.sent.filter((message): message is Extract<FromPage, { type: T }> => message.type === type);
  }

  get model(): AnyModel<Traits> {
    return this as unknown as AnyModel<Traits>;
  }

  #of(event: string): Set<Callback> {
    if (!EVENTS.includes(event)) throw new Error(`no event ${event}`);
    const all = this.#callbacks.get(event) ?? new Set();
    this.#callbacks.set(event, all);
    return all;
  }
}
