/** Line styles: a colour, and for readers who do not see it a marker shape. */

/** Each has 3:1 against white and against #111; neighbours differ in lightness, too. */
const COLOURS = ["#2b7fd9", "#cf5f10", "#1f9d6b", "#b04fc4", "#a8860a", "#d6456f", "#0f97a8", "#7c7c80"];
/** Drawn around 0,0 in a square of 8. */
const SHAPES = [
  "M-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0-6.4 0Z",
  "M-2.9-2.9h5.8v5.8h-5.8Z",
  "M0-3.8 3.7 2.9h-7.4Z",
  "M0-4 4 0 0 4-4 0Z",
  "M0 3.8 3.7-2.9h-7.4Z",
  "M-1.2-3.6h2.4v2.4h2.4v2.4h-2.4v2.4h-2.4v-2.4h-2.4v-2.4h2.4Z",
  "M-3.4-2 -2-3.4 0-1.4 2-3.4 3.4-2 1.4 0 3.4 2 2 3.4 0 1.4-2 3.4-3.4 2-1.4 0Z",
];
const DASHES = ["", "7 3", "2 3", "10 3 2 3", "4 2"];

export interface LineStyle {
  readonly colour: string;
  readonly shape: string;
  /** Only used where the browser takes colours away. */
  readonly dash: string;
}

/** That of an experiment or a group; a parameter may colour it. */
export function lineStyle({ style, color }: { style: number; color?: string | undefined }): LineStyle {
  const pick = (from: readonly string[]) => from[style % from.length] as string;
  return { colour: color || pick(COLOURS), shape: pick(SHAPES), dash: pick(DASHES) };
}

/** The custom properties of an element that is drawn in a style. */
export function styleProperties({ colour, dash }: LineStyle) {
  return { "--tone": colour, "--ink": `color-mix(in srgb, ${colour} 62%, var(--fg))`, "--dash": dash || "none" };
}

export function Swatch({ style }: { style: LineStyle }) {
  return (
    <svg class="swatch" viewBox="0 0 26 12" aria-hidden="true" style={styleProperties(style)}>
      <path class="line" d="M1 6h24" />
      <path class="bead" d={style.shape} transform="translate(13 6)" />
    </svg>
  );
}
