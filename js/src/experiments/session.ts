/** The session of a panel of experiments: what its views ask the kernel for, and what the user has chosen. */

import type { Link, Saved } from "../link";
import { ALL_VIEWS } from "../protocol";
import { Session } from "../session";
import type { Choices, ExperimentsFromPage, ExperimentsToPage } from "./contract";
import { ExperimentsStore, type State } from "./store";

/** What was chosen last on this page, until a kernel confirms it; the code of each panel is a module of its own. */
const UNCONFIRMED = Symbol.for("loops_nb.unconfirmedChoices");
const page = globalThis as { [UNCONFIRMED]?: Choices };

export class ExperimentsSession extends Session<ExperimentsToPage, ExperimentsFromPage, ExperimentsStore> {
  /** What was chosen in this panel, until its kernel confirms it: what it sent before that must not undo it. */
  #unconfirmed: Choices | null = null;

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
    this.#unconfirmed = choices;
    page[UNCONFIRMED] = choices;
    this.store.choose(choices);
    this.send({ type: "choose", choices });
    this.changed();
  }

  /** A cell that is run again replaces its panel, perhaps before the kernel has heard what was chosen in it. */
  override openView(view: string): void {
    super.openView(view);
    const chosen = page[UNCONFIRMED];
    if (chosen && chosen !== this.#unconfirmed) this.choose(chosen);
  }

  override closeView(view: string): void {
    this.store.close(view);
    super.closeView(view);
  }

  protected override apply(message: ExperimentsToPage, at: number): void {
    super.apply(message, at);
    const confirmed = "choices" in message && message.choices;
    if (!confirmed) return;
    if (isSame(confirmed, page[UNCONFIRMED])) delete page[UNCONFIRMED];
    if (isSame(confirmed, this.#unconfirmed)) this.#unconfirmed = null;
    if (this.#unconfirmed) this.store.choose(this.#unconfirmed);
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

function isSame(a: Choices, b: Choices | null | undefined): boolean {
  return textOf(a) === textOf(b);
}

function textOf(choices: Choices | null | undefined): string | null {
  return choices ? JSON.stringify([Object.entries(choices.columns).sort(), choices.sort?.column, choices.sort?.down]) : null;
}
