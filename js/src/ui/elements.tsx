/** The smallest parts: a button, a state, a time. */

import type { ButtonHTMLAttributes, ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { TONES, type Tone } from "../contract";
import { everySecond } from "../every-second";
import { fullMoment, lasting, MISSING, stateWord } from "../format";
import { Icon, type IconName } from "./icons";
import { type PanelTools, usePanel } from "./panel-context";

export function Button(props: ButtonHTMLAttributes & { [data: `data-${string}`]: string | undefined }) {
  return <button type="button" {...props} />;
}

interface IconButtonProps {
  icon: IconName;
  label: string;
  /** What it is for: the arrow keys move between buttons of the same kind. */
  kind: string;
  tabIndex?: number | undefined;
  expanded?: boolean;
  menu?: boolean;
  onPress: (button: HTMLButtonElement) => void;
}

export function IconButton({ icon, label, kind, tabIndex, expanded, menu, onPress }: IconButtonProps) {
  return (
    <Button
      class={`quiet ${kind}`}
      data-control={kind}
      aria-label={label}
      title={label}
      tabIndex={tabIndex}
      aria-expanded={expanded}
      aria-haspopup={menu && "menu"}
      onClick={(event) => onPress(event.currentTarget)}
    >
      <Icon name={icon} />
    </Button>
  );
}

export function CopyButton({ text, what, tabIndex }: { text: string; what: string; tabIndex?: number }) {
  const { copy } = usePanel<PanelTools>();
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), 1500);
    return () => clearTimeout(timer);
  }, [copied]);
  return (
    <IconButton
      icon={copied ? "done" : "copy"}
      label={`Copy ${what}`}
      kind="copy"
      tabIndex={tabIndex}
      onPress={async () => setCopied(await copy(text))}
    />
  );
}

export function toneOf(state: string | null): Tone {
  return (state !== null && Object.hasOwn(TONES, state) && TONES[state]) || "unknown";
}

/** A sign and a word: never the colour alone. */
export function State({ state, tone = toneOf(state) }: { state: string | null; tone?: Tone }) {
  return state === null ? (
    <Missing />
  ) : (
    <span class={`chip ${tone}`} data-state={state} title={state}>
      <Icon name={tone} />
      <span>{stateWord(state)}</span>
    </span>
  );
}

export function Missing() {
  return <span class="soft">{MISSING}</span>;
}

interface AgoProps {
  at: number;
  before?: string;
  after?: string;
  lasts?: boolean;
  ahead?: boolean;
}

/** How long ago, counting on by itself; with `lasts` only for as long as it is known, with `ahead` how long until then. */
export function Ago({ at, before = "", after = "", lasts = false, ahead = false }: AgoProps) {
  const { session } = usePanel<PanelTools>();
  const element = useRef<HTMLTimeElement>(null);
  const draw = () => {
    const ago = (lasts ? session.knownUntil() : session.now()) - at;
    const text = ahead ? `in ${lasting(-ago, 1)}` : `${before}${lasting(ago, 1)}${after}`;
    // Only when it differs: a new text would take away what is selected in it.
    if (element.current && element.current.textContent !== text) element.current.textContent = text;
  };
  const newest = useRef(draw);
  newest.current = draw;
  useLayoutEffect(draw);
  useEffect(() => everySecond(() => newest.current()), []);
  // Its text is set directly: a thousand of them count on without any rendering.
  return <time ref={element} dateTime={new Date(at).toISOString()} title={fullMoment(at)} />;
}

/** Something that wants to be read before the rest. */
export function Banner({
  tone,
  lead,
  children,
  ...rest
}: {
  tone: Tone;
  lead: string;
  children: ComponentChildren;
  [data: `data-${string}`]: string;
}) {
  return (
    <div class={`banner ${tone}`} {...rest}>
      <Icon name={tone} />
      <p>
        <strong>{lead}</strong> {children}
      </p>
    </div>
  );
}
