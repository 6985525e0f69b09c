/** What the page knows: the runs, and for each view its picture; asks again for what was lost. */

import type { Link } from "../link";
import type { CurveHead, CurvesFromPage, CurvesToPage, FoundKeys, Look } from "./contract";
import { extended, type Picture, pictureOf, relisted } from "./points";
import type { Settings } from "./settings";

/** How much of what is shown can be believed. */
export type Standing = "live" | "failing" | "over" | "gone" | "silent" | "saved";

interface View {
  look: Look;
  picture: Picture | null;
  seq: number;
  /** Whether the kernel ever answered this view; until then it draws what is sent unasked. */
  isAnswered: boolean;
  /** When an answer began to be awaited; null: none is. */
  waits: number | null;
  askedAt: number;
  isVisible: boolean;
}

const UNASKED = "*";
const ASK_EVERY = 1000;
/** What did not come by then may have been lost on its way. */
const LOST_AFTER = 6000;
const SILENCE = 15_000;
const OLD = 60_000;

export class Session {
  readonly #link: Link<CurvesToPage, CurvesFromPage>;
  readonly #listeners = new Set<() => void>();
  readonly #views = new Map<string, View>();
  #head: CurveHead = {
    runs: [],
    keys: [],
    marks: [],
    params: [],
    same_params: 0,
    more_params: 0,
    more_runs: 0,
    more_marks: 0,
    more_keys: 0,
    newer_runs: 0,
    missing: [],
    waiting: "",
    is_named: false,
  };
  #title = "Curves";
  #line = "";
  #state: "live" | "failing" | "over" = "live";
  #reason = "";
  #opening: { picture: Picture | null; seq: number } = { picture: null, seq: -1 };
  #now: number | null = null;
  #heard: number | null = null;
  #since = Date.now();
  #visibleSince = 0;
  #isGone = false;
  #stop: (() => void) | null = null;
  #kept: Settings | null = null;
  readonly #found = new Map<string, FoundKeys>();

  constructor(link: Link<CurvesToPage, CurvesFromPage>) {
    this.#link = link;
  }

  /** What was chosen last, by whichever view. */
  get kept(): Settings | null {
    return this.#kept;
  }

  keep(settings: Settings): void {
    this.#kept = settings;
  }

  get head(): CurveHead {
    return this.#head;
  }

  get title(): string {
    return this.#title;
  }

  get line(): string {
    return this.#line;
  }

  get reason(): string {
    return this.#reason;
  }

  /** What a new view begins with. */
  get first(): Look | null {
    return this.#opening.picture?.look ?? null;
  }

  start(): void {
    if (this.#stop) return;
    this.#since = Date.now();
    const saved = this.#link.saved();
    if (saved) this.#take(saved);
    this.#stop = this.#link.listen({
      message: (message) => {
        this.#heard = Date.now();
        this.#isGone = false;
        this.#take(message);
        this.#changed();
      },
      disconnected: () => {
        this.#isGone = true;
        this.#changed();
      },
    });
  }

  stop(): void {
    this.#stop?.();
    this.#stop = null;
    this.#listeners.clear();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  picture(view: string): Picture | null {
    return this.#views.get(view)?.picture ?? this.#opening.picture;
  }

  /** How many milliseconds an answer has been awaited; 0 when none is. */
  waiting(view: string, at = Date.now()): number {
    const since = this.#views.get(view)?.waits;
    return since ? at - since : 0;
  }

  standing(at = Date.now()): Standing {
    if (this.#state === "over") return "over";
    if (this.#isGone) return "gone";
    const quiet = at - Math.max(this.#heard ?? this.#since, this.#visibleSince) > SILENCE;
    if (this.#heard === null && (quiet || (this.#now !== null && Math.abs(at - this.#now) > OLD))) return "saved";
    return quiet ? "silent" : this.#state;
  }

  /** A view looks at something; the picture comes. */
  look(view: string, look: Look): void {
    const at = Date.now();
    const known = this.#views.get(view);
    if (known) {
      known.look = look;
      known.waits ??= at;
      known.askedAt = at;
    } else {
      const { picture, seq } = this.#opening;
      this.#views.set(view, { look, picture, seq, isAnswered: false, waits: at, askedAt: at, isVisible: false });
    }
    this.#send({ type: "look", view, look });
    this.#changed();
  }

  /** What the kernel found last for a view. */
  found(view: string): FoundKeys | null {
    return this.#found.get(view) ?? null;
  }

  find(view: string, text: string): void {
    this.#send({ type: "find", view, text });
  }

  showNewer(view: string): void {
    this.#send({ type: "newer", view });
  }

  open(_view: string): void {
    // A view opens with its first look.
  }

  seen(view: string, visible: boolean): void {
    const known = this.#views.get(view);
    if (visible && ![...this.#views.values()].some(({ isVisible }) => isVisible)) this.#visibleSince = Date.now();
    if (known) known.isVisible = visible;
    this.#send({ type: "seen", view, visible });
  }

  gone(view: string): void {
    // The next one begins with what this one showed.
    const left = this.#views.get(view);
    if (left?.isAnswered) this.#opening = { picture: left.picture, seq: left.seq };
    this.#views.delete(view);
    this.#found.delete(view);
    this.#send({ type: "gone", view });
  }

  /** Called every second by whoever looks: asks again for what did not come. */
  second(at: number): void {
    for (const [name, view] of this.#views) {
      if (view.waits !== null && view.isAnswered && at - view.askedAt > LOST_AFTER) this.#ask(name, view, at);
    }
    this.#changed();
  }

  #take(message: CurvesToPage): void {
    this.#now = message.now;
    switch (message.type) {
      case "snapshot":
        this.#title = message.title;
        this.#line = message.line;
        this.#head = message.head;
        this.#state = message.state;
        this.#reason = message.reason;
        this.#opening = { picture: message.curve && pictureOf(message.curve), seq: message.seq };
        break;
      case "head": {
        const { runs } = this.#head;
        const moved = (picture: Picture | null) => picture && relisted(picture, runs, message.head.runs);
        for (const view of this.#views.values()) view.picture = moved(view.picture);
        this.#opening = { ...this.#opening, picture: moved(this.#opening.picture) };
        this.#head = message.head;
        this.#state = message.state;
        this.#reason = message.reason;
        break;
      }
      case "keys":
        this.#found.set(message.view, message);
        break;
      case "curve": {
        const picture = message.curve && pictureOf(message.curve);
        for (const view of this.#of(message.view)) {
          view.picture = picture;
          view.seq = message.seq;
          if (message.view !== UNASKED) {
            view.isAnswered = true;
            view.waits = null;
          }
        }
        if (message.view === UNASKED) this.#opening = { picture, seq: message.seq };
        break;
      }
      case "tail": {
        const { lines, base, seq, last = null, best = [] } = message;
        for (const view of this.#of(message.view)) {
          if (view.seq === base && view.picture) {
            view.picture = extended(view.picture, lines, last, best);
            view.seq = seq;
          } else this.#lost(message.view, view);
        }
        const { picture, seq: had } = this.#opening;
        if (message.view === UNASKED && picture && had === base) this.#opening = { picture: extended(picture, lines, last, best), seq };
        break;
      }
      case "pulse":
        for (const [name, view] of this.#views) {
          const seq = message.seqs[name];
          if (seq !== undefined && seq !== view.seq) this.#lost(name, view);
        }
        break;
    }
  }

  /** The views that a message is for. */
  #of(name: string): View[] {
    if (name === UNASKED) return [...this.#views.values()].filter(({ isAnswered }) => !isAnswered);
    const view = this.#views.get(name);
    return view ? [view] : [];
  }

  #lost(name: string, view: View): void {
    const at = Date.now();
    if (name !== UNASKED && at - view.askedAt >= ASK_EVERY) this.#ask(name, view, at);
  }

  #ask(name: string, view: View, at: number): void {
    view.waits ??= at;
    view.askedAt = at;
    this.#send({ type: "look", view: name, look: view.look });
  }

  #send(message: CurvesFromPage): boolean {
    return !this.#isGone && this.#link.send(message);
  }

  #changed(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
