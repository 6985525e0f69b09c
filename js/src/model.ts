/** The only file that touches the widget's model: messages in, messages out, and whether anybody is at the other end. */

import type { AnyModel } from "@anywidget/types";
import type { FromPage, Snapshot, ToPage, Traits } from "./contract";

export interface Ears {
  message(message: ToPage): void;
  /** The snapshot that is saved with the widget was replaced; a long table is cut short in it. */
  saved(snapshot: Snapshot): void;
  /** The kernel was restarted, or is gone. */
  disconnected(): void;
}

export class Link {
  readonly #model: AnyModel<Traits>;

  constructor(model: AnyModel<Traits>) {
    this.#model = model;
  }

  saved(): Snapshot | null {
    const snapshot = this.#model.get("snapshot");
    return isMessage(snapshot) && snapshot.type === "snapshot" ? snapshot : null;
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

  listen(ears: Ears): () => void {
    const onMessage = (content: unknown) => {
      if (isMessage(content)) ears.message(content);
    };
    const onSaved = () => {
      const snapshot = this.saved();
      if (snapshot) ears.saved(snapshot);
    };
    const onComm = () => ears.disconnected();
    this.#model.on("msg:custom", onMessage);
    this.#model.on("change:snapshot", onSaved);
    // The model that a widget gets hides `comm_live`; its only change in a widget's life is that the kernel went away.
    this.#model.on("comm_live_update", onComm);
    return () => {
      this.#model.off("msg:custom", onMessage);
      this.#model.off("change:snapshot", onSaved);
      this.#model.off("comm_live_update", onComm);
    };
  }
}

function isMessage(content: unknown): content is ToPage {
  const type = typeof content === "object" && content !== null && "type" in content ? content.type : null;
  return type === "snapshot" || type === "change" || type === "tick" || type === "picture";
}
