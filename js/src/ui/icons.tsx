import type { Tone } from "../contract";

export type IconName = Tone | "pause" | "play" | "refresh" | "more" | "copy" | "done" | "close" | "open" | "search" | "up" | "down";

const DISC = "M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Z";
const RING = `${DISC}m0 2a5 5 0 1 1 0 10A5 5 0 0 1 8 3Z`;

/** Each in a square of 16; drawn in the colour of the text. */
const SHAPES: Record<IconName, string> = {
  good: `${DISC}m3.7 5.3-4.3 4.6a.8.8 0 0 1-1.1 0L4.2 8.9l1.1-1.1 1.5 1.5 3.8-4Z`,
  busy: "M8 1a7 7 0 1 0 7 7h-2a5 5 0 1 1-5-5Zm1.6.2v2a5 5 0 0 1 3.2 3.2h2A7 7 0 0 0 9.6 1.2Z",
  idle: `${RING}M5.8 5.6h1.5v4.8H5.8Zm2.9 0h1.5v4.8H8.7Z`,
  bad: "M8.9 1.7a1 1 0 0 0-1.8 0l-6 11a1 1 0 0 0 .9 1.5h12a1 1 0 0 0 .9-1.5ZM7.2 5.5h1.6v4.2H7.2Zm0 5.3h1.6v1.6H7.2Z",
  over: `${RING}M5.8 5.8h4.4v4.4H5.8Z`,
  unknown: `${RING}m0 1.3c-1.4 0-2.3.8-2.4 2h1.5c0-.9 1.8-1 1.8.1 0 .8-1.6 1-1.6 2.5h1.5c0-.9 1.6-1.1 1.6-2.6 0-1.2-1-2-2.4-2Zm-.8 5.5h1.6v1.5H7.2Z`,
  pause: "M4 2.5h3v11H4Zm5 0h3v11H9Z",
  play: "M4 2.3v11.4L13.2 8Z",
  refresh: "M8 2a6 6 0 1 0 5.8 7.5h-1.9A4.2 4.2 0 1 1 11.3 5L9 7.2h5.4V1.8l-1.8 1.8A6 6 0 0 0 8 2Z",
  more: "M6.5 2h3v3h-3Zm0 4.5h3v3h-3Zm0 4.5h3v3h-3Z",
  copy: "M5 1.5h8.5V11H12V3H5Zm-2.5 3h8v10h-8ZM4 6v7h5V6Z",
  done: "M6.3 12.6 1.9 8.2l1.3-1.3 3.1 3.1 6.5-6.6 1.3 1.3Z",
  close: "M3.6 2.3 8 6.7l4.4-4.4 1.3 1.3L9.3 8l4.4 4.4-1.3 1.3L8 9.3l-4.4 4.4-1.3-1.3L6.7 8 2.3 3.6Z",
  open: "M5.3 2.7 10.6 8l-5.3 5.3-1.2-1.2L8.2 8 4.1 3.9Z",
  search: "M6.8 1.8a5 5 0 1 0 3 9l3.3 3.3 1.2-1.2-3.3-3.3a5 5 0 0 0-4.2-7.8Zm0 1.7a3.3 3.3 0 1 1 0 6.6 3.3 3.3 0 0 1 0-6.6Z",
  up: "M8 4.5 13 11H3Z",
  down: "M8 11.5 3 5h10Z",
};

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={SHAPES[name]} />
    </svg>
  );
}
