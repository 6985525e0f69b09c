/** How values are said. */

const DAY = 86_400_000;
const UNITS = [
  ["d", 86_400],
  ["h", 3600],
  ["min", 60],
  ["s", 1],
] as const;

export const MISSING = "–";

/** By its largest units: `3 min`, or with two `5 min 10 s`. */
export function lasting(milliseconds: number, units = 2): string {
  let left = Math.max(0, Math.floor(milliseconds / 1000));
  const parts: string[] = [];
  for (const [unit, length] of UNITS) {
    const amount = Math.floor(left / length);
    left -= amount * length;
    if (amount || parts.length) parts.push(amount ? `${amount} ${unit}` : "");
  }
  return parts.slice(0, units).filter(Boolean).join(" ") || "0 s";
}

/** In powers of 1000: `16.8 MB`. */
export function bytes(count: number): string {
  if (Math.abs(count) < 1000) return `${count} bytes`;
  const units = ["kB", "MB", "GB", "TB", "PB"];
  let amount = count / 1000;
  let unit = 0;
  while (Math.abs(amount) >= 1000 && unit < units.length - 1) {
    amount /= 1000;
    unit++;
  }
  return `${amount.toFixed(1)} ${units[unit]}`;
}

const grouped = new Intl.NumberFormat("en-GB");

export function count(number: number): string {
  return grouped.format(number);
}

export function many(number: number, thing: string): string {
  return `${count(number)} ${thing}${number === 1 ? "" : "s"}`;
}

/** `SCALED_TO_ZERO` as words with a capital letter. */
export function stateWord(state: string): string {
  const words = state.replaceAll("_", " ").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const style = (options: Intl.DateTimeFormatOptions) => new Intl.DateTimeFormat("en-GB", options);
const clock: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit" };
const today = style(clock);
const anyDay = style({ ...clock, day: "numeric", month: "short" });
const whole = style({ dateStyle: "medium", timeStyle: "long" });
const utc = style({ dateStyle: "medium", timeStyle: "medium", timeZone: "UTC" });

/** A time of today by the clock alone, another with its day. */
export function moment(at: number, now: number): string {
  const near = Math.abs(now - at) < DAY && new Date(at).getDate() === new Date(now).getDate();
  return (near ? today : anyDay).format(at);
}

/** The person's own time, and UTC. */
export function fullMoment(at: number): string {
  const [here, there] = [whole.format(at), `${utc.format(at)} UTC`];
  return here === there ? here : `${here} · ${there}`;
}
