/** One widget on the test's page, with hands and eyes. */

import type { Host } from "@anywidget/types";
import type { PanelSnapshot } from "../src/contract";
import tables from "../src/index";
import { MockModel } from "./mock";
import { NOW } from "./sample";

const BY = Date.now() - NOW;

/** Moves every time in it to now. */
export function shifted<T>(value: T, by = BY): T {
  return JSON.parse(JSON.stringify(value), (_, inner) => (typeof inner === "number" && inner > 1.5e12 ? inner + by : inner)) as T;
}

interface Around {
  width?: number;
  alive?: boolean;
  /** Has other widgets shown inside of this one. */
  host?: Host | undefined;
  /** The module that draws it. */
  widget?: typeof tables;
}

export class Page {
  readonly model: MockModel;
  readonly el = document.createElement("div");
  readonly #ends: (() => void)[] = [];
  readonly #aborts = new AbortController();

  constructor(snapshot: PanelSnapshot | Record<string, never>, { width = 1000, alive = true, host, widget = tables }: Around = {}) {
    this.model = new MockModel(snapshot);
    this.el.style.width = `${width}px`;
    document.body.append(this.el);
    const { initialize, render } = widget();
    const { model } = this.model;
    this.#ends.push(render({ model, el: this.el, signal: this.#aborts.signal, ...(host && { host }) }));
    this.#ends.push(initialize({ model, signal: this.#aborts.signal }));
    if (alive && "type" in snapshot) this.model.tell(snapshot as PanelSnapshot);
    open.add(this);
  }

  get host(): HTMLElement {
    return this.el.firstElementChild as HTMLElement;
  }

  get root(): ShadowRoot {
    return this.host.shadowRoot as ShadowRoot;
  }

  all<T extends HTMLElement = HTMLElement>(selector: string): T[] {
    return [...this.root.querySelectorAll<T>(selector)];
  }

  one<T extends HTMLElement = HTMLElement>(selector: string): T {
    const found = this.root.querySelector<T>(selector);
    if (!found) throw new Error(`nothing is ${selector} in\n${this.root.querySelector("section")?.outerHTML.slice(0, 2000)}`);
    return found;
  }

  has(selector: string): boolean {
    return this.root.querySelector(selector) !== null;
  }

  text(selector = "section"): string {
    return (this.root.querySelector(selector)?.textContent ?? "").replace(/\s+/g, " ").trim();
  }

  ids(): string[] {
    return this.all("tr[data-id]").map((row) => row.dataset.id ?? "");
  }

  menu(id: string): void {
    this.one(`tr[data-id="${CSS.escape(id)}"] [data-control=menu]`).click();
  }

  choose(label: string): void {
    const item = this.all("[role=menuitem]").find((each) => each.textContent?.startsWith(label));
    if (!item) throw new Error(`no ${label} in ${this.text("[role=menu]")}`);
    item.click();
  }

  filter(words: string): void {
    const field = this.one<HTMLInputElement>("input[type=search]");
    field.value = words;
    field.dispatchEvent(new Event("input", { bubbles: true, composed: true }));
  }

  press(key: string, on: Element | null = this.root.activeElement): void {
    on?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, composed: true, cancelable: true }));
  }

  close(): void {
    this.#aborts.abort();
    for (const end of this.#ends) end();
    this.el.remove();
    open.delete(this);
  }
}

const open = new Set<Page>();

export function closeAll(): void {
  for (const page of [...open]) page.close();
}
