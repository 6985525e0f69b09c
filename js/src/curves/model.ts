/** The only file that touches the widget's model: messages in, messages out, and whether anybody is at the other end. */

import type { AnyModel } from "@anywidget/types";
import type { CurvesFromPage, CurvesSnapshot, CurvesToPage, Traits } from "./contract";

export interface Ears {
  message(message: CurvesToPage): void;
  /** The kernel was restarted, or is gone. */
  disconnected(): void;
}

const TYPES: ReadonlySet<unknown> = new Set<CurvesToPage["type"]>(["snapshot", "head", "curve", "tail", "pulse"]);

export class Link {
  readonly #model: AnyModel<Traits>;

  constructor(model: AnyModel<Traits>) {
    this.#model = model;
  }

  saved(): CurvesSnapshot | null {
    const snapshot = this.#model.get("snapshot");
    return isMessage(snapshot) && snapshot.type === "snapshot" ? snapshot : null;
  }

  /** Says whether the message left; a widget whose notebook was closed throws here. */
  send(message: CurvesFromPage): boolean {
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
    const onComm = () => ears.disconnected();
    this.#model.on("msg:custom", onMessage);
    // The model that a widget gets hides `comm_live`; its only change in a widget's life is that the kernel went away.
    this.#model.on("comm_live_update", onComm);
    return () => {
      this.#model.off("msg:custom", onMessage);
      this.#model.off("comm_live_update", onComm);
    };
  }
}

function isMessage(content: unknown): content is CurvesToPage {
  return typeof content === "object" && content !== null && "type" in content && TYPES.has(content.type);
}
