/** What a person chose in one view. */

import type { Axis, Look } from "./contract";

export interface Settings {
  readonly look: Look;
  readonly isLog: boolean;
  /** Whether the few values that stand out are left beyond the edges. */
  readonly isCut: boolean;
  /** Whether the best is the lowest. */
  readonly isLowBest: boolean;
  readonly hidden: ReadonlySet<string>;
  /** Where one looks along the axis. */
  readonly cursor: number | null;
}

export const AXES: Readonly<Record<Axis, string>> = { step: "Steps", tokens: "Tokens", elapsed: "Time", clock: "Clock" };

const WORD = /[fF]1(?!\d)|[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+/g;
const words = (text: string) => (text.match(WORD) ?? []).map((word) => word.toLowerCase());
// As loops_nb/experiments/direction.py has them.
const LOWEST = words("loss losses nll perplexity ppl error errors err mse rmse mae wer cer bpb");
const HIGHEST = words(
  "accuracy accuracies acc reward rewards return returns score scores f1 auc auroc precision recall bleu rouge success win",
);
const TURNS = words(
  "std var variance scale scaling weight coef coefficient beta norm grad gradient delta change diff difference gap ratio count num " +
    "number seconds time clip clipped threshold target limit improvement reduction drop lag skew negative neg minus inverse inv no non " +
    "not penalty cost toxicity toxic hallucination anomaly risk harm harmful refusal bias distance regret",
);

/** Whether low values are better, as far as the name tells; where it does not, too: a person can turn it. */
export function isLowBest(key: string): boolean {
  const its = words(key);
  return !its.some((word) => HIGHEST.includes(word)) || its.some((word) => LOWEST.includes(word) || TURNS.includes(word));
}

export function firstLook(given: Look | null, columns: number): Look {
  return { key: "", axis: "step", smoothing: 0, ...given, low: null, high: null, columns };
}
