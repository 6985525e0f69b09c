/** The session of a panel of experiments: what its views ask the kernel for, and what the user has chosen. */

import type { Link, Saved } from "../link";
import { ALL_VIEWS } from "../protocol";
import { Session } from "../session";
import type { Choices, ExperimentsFromPage, ExperimentsToPage } from "./contract";
import { ExperimentsStore, type State } from "./store";

export class ExperimentsSession extends Session<ExperimentsToPage, ExperimentsFromPage, ExperimentsStore> {
  constructor(link: Link<ExperimentsToPage, ExperimentsFromPage>) {
    super(link, new ExperimentsStore());
  }

  get state(): State | null {
    return this.store.state;
  }

  /** The kernel's clock, as far as the page knows it. */
  now(at = Date.now()): number {
    return at + (this.connection.heardAt === null ? 0 : (this.state?.offset ?? 0));
  }

  knownUntil(at = Date.now()): number {
    return this.now(at);
  }

  /** Shows at once what the user has chosen, and has the kernel keep it. */
  choose(choices: Choices): void {
    this.store.choose(choices);
    this.send({ type: "choose", choices });
    this.changed();
  }

  override closeView(view: string): void {
    this.store.close(view);
    super.closeView(view);
  }

  /** The saved snapshot may be cut short: it never replaces a whole state. */
  protected override applySaved(snapshot: Saved<ExperimentsToPage>): void {
    const { state } = this;
    if (state && snapshot.seq <= state.seq) return;
    if (state && snapshot.rows.length < snapshot.total && !this.store.isPartial()) {
      this.resync(ALL_VIEWS, Date.now());
      return;
    }
    this.apply(snapshot, Date.now());
    this.changed();
  }
}
