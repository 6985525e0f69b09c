/** The only file that uses a widget's model: messages in, messages out, and whether the kernel is connected. */

import type { AnyModel } from "@anywidget/types";

export interface Message {
  readonly type: string;
}

/** The message that is saved with the widget. */
export type Saved<ToPage> = Extract<ToPage, { type: "snapshot" }>;

export interface LinkListener<ToPage extends Message> {
  onMessage(message: ToPage): void;
  /** The snapshot that is saved with the widget was replaced; long tables are cut short in it. */
  onSaved(snapshot: Saved<ToPage>): void;
  /** The kernel was restarted, or is gone. */
  onDisconnect(): void;
}

/** Receives messages of the given types only. */
export class Link<ToPage extends Message, FromPage> {
  readonly #model: AnyModel<{ snapshot: Saved<ToPage> }>;
  readonly #types: readonly string[];

  constructor(model: AnyModel<{ snapshot: Saved<ToPage> }>, types: readonly ToPage["type"][]) {
    this.#model = model;
    this.#types = types;
  }

  saved(): Saved<ToPage> | null {
    const snapshot = this.#model.get("snapshot");
    return this.#isMessage(snapshot) && snapshot.type === "snapshot" ? snapshot : null;
  }

  /** Returns whether the message was sent; a widget whose notebook was closed throws here. */
  send(message: FromPage): boolean {
    try {
      this.#model.send(message);
      return true;
    } catch {
      return false;
    }
  }

  listen(listener: LinkListener<ToPage>): () => void {
    const handlers: Record<string, (content: unknown) => void> = {
      "msg:custom": (content) => {
        if (this.#isMessage(content)) listener.onMessage(content);
      },
      "change:snapshot": () => {
        const snapshot = this.saved();
        if (snapshot) listener.onSaved(snapshot);
      },
      // The model that a widget gets hides `comm_live`, whose only change in a widget's life is that the kernel went away.
      comm_live_update: () => listener.onDisconnect(),
    };
    const all = Object.entries(handlers);
    for (const [event, handler] of all) this.#model.on(event, handler);
    return () => {
      for (const [event, handler] of all) this.#model.off(event, handler);
    };
  }

  #isMessage(content: unknown): content is ToPage {
    return typeof content === "object" && content !== null && "type" in content && this.#types.includes(content.type as string);
  }
}
