/** How values are said. */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const MISSING = "–";

/** One unit: `42 s`, `3 min`, `2 h`, `5 d`. */
export function age(milliseconds: number): string {
  const ms = Math.max(0, milliseconds);
  if (ms < MINUTE) return `${Math.floor(ms / 1000)} s`;
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min`;
  if (ms < 2 * DAY) return `${Math.floor(ms / HOUR)} h`;
  return `${Math.floor(ms / DAY)} d`;
}

/** The two largest units: `5 min 10 s`, `12 d 4 h`. */
export function lasting(milliseconds: number): string {
  let left = Math.max(0, Math.floor(milliseconds / 1000));
  const parts: string[] = [];
  for (const [unit, length] of [
    ["d", 86_400],
    ["h", 3600],
    ["min", 60],
    ["s", 1],
  ] as const) {
    const amount = Math.floor(left / length);
    left -= amount * length;
    if (amount || parts.length) parts.push(amount ? `${amount} ${unit}` : "");
  }
  return parts.slice(0, 2).filter(Boolean).join(" ") || "0 s";
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

/** `SCALED_TO_ZERO` as a person says it. */
export function stateWord(state: string): string {
  const words = state.replaceAll("_", " ").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const shortTime = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const dayAndTime = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const whole = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });
const utc = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium", timeZone: "UTC" });

/** A time of today by the clock alone, another with its day. */
export function moment(at: number, now: number): string {
  const near = Math.abs(now - at) < DAY && new Date(at).getDate() === new Date(now).getDate();
  return near ? shortTime.format(at) : dayAndTime.format(at);
}

export function toTheSecond(at: number, now: number): string {
  return Math.abs(now - at) < DAY ? time.format(at) : dayAndTime.format(at);
}

/** The person's own time, and UTC. */
export function fullMoment(at: number): string {
  return `${whole.format(at)} · ${utc.format(at)} UTC`;
}
