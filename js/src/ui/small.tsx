/** The smallest parts: a state, a time, a text with a button to copy it. */

import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { everySecond } from "../clock";
import { TONES, type Tone } from "../contract";
import { age, fullMoment, MISSING, stateWord } from "../words";
import { Icon } from "./icons";
import { usePanel } from "./panel";

export function toneOf(state: string): Tone {
  return Object.hasOwn(TONES, state) ? (TONES[state] as Tone) : "unknown";
}

/** A sign and a word: never the colour alone. */
export function State({ state }: { state: string | null }) {
  if (state === null) return <span class="missing">{MISSING}</span>;
  const tone = toneOf(state);
  return (
    <span class={`chip ${tone}`} data-state={state} title={state}>
      <Icon name={tone} />
      <span class="word">{stateWord(state)}</span>
    </span>
  );
}

/** How long ago, counting on by itself. */
export function Ago({ at, before = "", after = "" }: { at: number; before?: string; after?: string }) {
  const { session } = usePanel();
  const element = useRef<HTMLTimeElement>(null);
  const said = () => `${before}${age(session.now() - at)}${after}`;
  const draw = () => {
    const text = said();
    // Only when it differs: a new text would take away what is selected in it.
    if (element.current && element.current.textContent !== text) element.current.textContent = text;
  };
  const newest = useRef(draw);
  newest.current = draw;
  useLayoutEffect(draw);
  useEffect(() => everySecond(() => newest.current()), []);
  // Its text is written by hand, not by the tree: a thousand of them count on without anything being drawn anew.
  return <time ref={element} dateTime={new Date(at).toISOString()} title={fullMoment(at)} />;
}

export function CopyButton({ text, what, tabIndex }: { text: string; what: string; tabIndex?: number }) {
  const { copy } = usePanel();
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), 1500);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <button
      type="button"
      class="quiet copy"
      data-control="copy"
      tabIndex={tabIndex}
      aria-label={`Copy ${what}`}
      title={`Copy ${what}`}
      onClick={() => {
        copy(text);
        setCopied(true);
      }}
    >
      <Icon name={copied ? "done" : "copy"} />
    </button>
  );
}
