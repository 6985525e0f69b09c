/** The only file that touches a widget's model: messages in, messages out, and whether anybody is at the other end. */

import type { AnyModel } from "@anywidget/types";

interface Message {
  readonly type: string;
}

/** The message that is saved with the widget. */
type Saved<ToPage> = Extract<ToPage, { type: "snapshot" }>;

export interface Ears<ToPage extends Message> {
  message(message: ToPage): void;
  /** The snapshot that is saved with the widget was replaced; a long table is cut short in it. */
  saved?(snapshot: Saved<ToPage>): void;
  /** The kernel was restarted, or is gone. */
  disconnected(): void;
}

/** Nothing but messages of the given types is heard. */
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

  /** Says whether the message left; a widget whose notebook was closed throws here. */
  send(message: FromPage): boolean {
    try {
      this.#model.send(message);
      return true;
    } catch {
      return false;
    }
  }

  listen(ears: Ears<ToPage>): () => void {
    const listeners: Record<string, (content: unknown) => void> = {
      "msg:custom": (content) => {
        if (this.#isMessage(content)) ears.message(content);
      },
      // The model that a widget gets hides `comm_live`; its only change in a widget's life is that the kernel went away.
      comm_live_update: () => ears.disconnected(),
    };
    const { saved } = ears;
    if (saved) {
      listeners["change:snapshot"] = () => {
        const snapshot = this.saved();
        if (snapshot) saved(snapshot);
      };
    }
    const all = Object.entries(listeners);
    for (const [event, listener] of all) this.#model.on(event, listener);
    return () => {
      for (const [event, listener] of all) this.#model.off(event, listener);
    };
  }

  #isMessage(content: unknown): content is ToPage {
    return typeof content === "object" && content !== null && "type" in content && this.#types.includes(content.type as string);
  }
}
