/** The session of a panel of samples: asks for what its views show. */

import type { Link } from "../link";
import { Session } from "../session";
import type { SampleSpec, SamplesFromPage, SamplesToPage } from "./contract";
import { SamplesStore } from "./store";

/** An answer that takes longer may have been lost. */
const LOST_AFTER = 6000;

export interface Settings {
  readonly spec: SampleSpec;
  readonly showsRemoved: boolean;
}

export class SamplesSession extends Session<SamplesToPage, SamplesFromPage, SamplesStore> {
  /** The newest settings of any view: a view that is opened again starts with them. */
  settings: Settings | null = null;

  constructor(link: Link<SamplesToPage, SamplesFromPage>) {
    super(link, new SamplesStore());
  }

  /** How many milliseconds a view has been waiting for an answer; 0 when it is not. */
  waiting(view: string, at = Date.now()): number {
    const since = this.store.views.get(view)?.waitsSince;
    return since ? at - since : 0;
  }

  setSpec(view: string, spec: SampleSpec): void {
    this.store.ask(view, spec, Date.now());
    this.send({ type: "set_samples", view, spec });
    this.changed();
  }

  readSample(view: string, id: number): void {
    this.send({ type: "read_sample", view, id });
  }

  override closeView(view: string): void {
    this.store.close(view);
    super.closeView(view);
  }

  override onSecond(at: number): void {
    super.onSecond(at);
    for (const [name, view] of this.store.views) {
      if (view.waitsSince !== null && view.isAnswered && at - view.askedAt > LOST_AFTER) this.setSpec(name, view.spec);
    }
    this.changed();
  }
}
