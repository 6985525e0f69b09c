import { useMemo, useRef, useState } from "preact/hooks";
import type { CurveHead, CurveMark } from "./contract";
import { beads, cutOff, extreme, markAt, oddWords, pathOf, reading, seen, spread, valuesOf } from "./geometry";
import { type LineLook, lookOf } from "./looks";
import { front, type Line, type Picture } from "./points";
import { along, exact, place, type Scale, said, ticks, valueAt } from "./scale";
import { directionOf, type Settings } from "./settings";

const HEIGHT = 320;
const TOP = 14;
const BOTTOM = HEIGHT - 26;
/** A drag that is shorter is a click. */
const LEAST_DRAG = 5;
const FACTOR = 1.6;

interface Props {
  head: CurveHead;
  picture: Picture;
  /** Those that are not hidden. */
  lines: readonly Line[];
  settings: Settings;
  change: (more: Partial<Settings>) => void;
  width: number;
  /** The experiment that is pointed at in the legend. */
  pointed: string | null;
  take: (text: string, what: string) => void;
}

interface Spot {
  readonly mark: CurveMark;
  readonly colour: string;
  /** Where along the axis. */
  readonly at: number;
  readonly x: number;
  readonly y: number;
  readonly words: string;
}

/** What a bold letter of a name takes at most, on average: wide fonts must not lose the end that tells two runs apart. */
const LETTER = 7.8;
/** The same of a digit beside the axis. */
const DIGIT = 7;
/** Lines whose values are read out beside the cross-hair. */
const TOLD = 14;
/** Marks that would lie on each other stand so far apart. */
const BESIDE = 10;

export function Chart({ head, picture, lines, settings, change, width, pointed, take }: Props) {
  const { look, isLog, isCut, cursor } = settings;
  const direction = directionOf(settings, picture);
  const drawn = picture.look;
  const isSame = drawn.axis === look.axis;
  const { low, high } = seen(isSame ? look : drawn, picture);
  const isWide = width > 560;
  const named = useMemo(() => lines.map((line) => head.runs[line.run]?.name ?? ""), [lines, head]);
  const right =
    isWide && lines.length > 1 && lines.length < 13 ? Math.min(170, 24 + Math.max(...named.map((name) => name.length)) * LETTER) : 14;
  const values = useMemo(() => valuesOf(lines, low, high, isLog, isCut), [lines, low, high, isLog, isCut]);
  const up: Scale = { ...values, isLog, from: BOTTOM, to: TOP };
  // Where nothing is a number an axis would be made up.
  const upward = useMemo(() => (values.isEmpty ? [] : ticks(up, 6)), [values, isLog]);
  const left = Math.max(58, 15 + Math.max(0, ...upward.map(({ label }) => label.length)) * DIGIT);
  const across: Scale = { low, high, isLog: false, from: left, to: width - right };
  const looks = (line: Line) => lookOf(head.runs[line.run]?.look ?? 0);
  const order = [low, high, values.low, values.high, width, left, right, isLog];
  const paths = useMemo(
    () => lines.map((line) => ({ line, behind: line.smooth && pathOf(line.raw, across, up), d: pathOf(front(line), across, up) })),
    [lines, ...order],
  );
  const hand = useRef<HTMLDivElement>(null);
  const [from, setFrom] = useState<number | null>(null);
  const [to, setTo] = useState<number | null>(null);

  const zoom = (a: number | null, b: number | null) => change({ look: { ...look, low: a, high: b } });
  const atPixel = (event: PointerEvent | MouseEvent) => event.clientX - (hand.current?.getBoundingClientRect().left ?? 0) + across.from;
  const clamped = (pixel: number) => Math.min(Math.max(pixel, across.from), across.to);
  const nearer = (by: number, around = cursor ?? (low + high) / 2) => {
    const [first, last] = [picture.first ?? low, picture.last ?? high];
    const wide = (high - low) / by;
    if (wide >= last - first) {
      zoom(null, null);
      return;
    }
    // What one looks at stays where it is.
    const start = around - (wide * (around - low)) / (high - low);
    const a = Math.min(Math.max(start, first), last - wide);
    zoom(a, a + wide);
  };
  const pan = (by: number) => {
    const [first, last] = [picture.first ?? low, picture.last ?? high];
    const moved = Math.max(first - low, Math.min(last - high, (high - low) * by));
    if (high - low < last - first) zoom(low + moved, high + moved);
  };
  const step = (by: number) =>
    change({ cursor: Math.min(high, Math.max(low, (cursor ?? (by > 0 ? low : high)) + ((high - low) / 100) * by)) });

  const spots = useMemo(() => spotsOf(head, lines, drawn.axis, across, up), [head, lines, drawn.axis, ...order]);
  const toMark = (by: number) => {
    const places = placesOf(head, lines, drawn.axis);
    const now = cursor ?? (by > 0 ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY);
    const next = by > 0 ? places.find((at) => at > now + (high - low) * 1e-6) : places.findLast((at) => at < now - (high - low) * 1e-6);
    if (next === undefined) return;
    if (next < low || next > high) pan((next - (low + high) / 2) / (high - low));
    change({ cursor: next });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const far = event.shiftKey ? 10 : 1;
    const moves: Record<string, () => void> = {
      ArrowLeft: () => step(-far),
      ArrowRight: () => step(far),
      ArrowDown: () => step(-far),
      ArrowUp: () => step(far),
      Home: () => change({ cursor: low }),
      End: () => change({ cursor: high }),
      PageUp: () => pan(0.5),
      PageDown: () => pan(-0.5),
      "+": () => nearer(FACTOR),
      "=": () => nearer(FACTOR),
      "-": () => nearer(1 / FACTOR),
      "0": () => zoom(null, null),
      "]": () => toMark(1),
      "[": () => toMark(-1),
      Escape: () => (cursor === null ? zoom(null, null) : change({ cursor: null })),
    };
    const move = event.ctrlKey || event.metaKey || event.altKey ? undefined : moves[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    move();
  };
  const read = cursor === null || cursor < low || cursor > high ? null : readings(head, lines, cursor, direction === "min", drawn.axis);
  const at = cursor === null ? 0 : place(across, cursor);
  const ends = paths.map(({ line }) => {
    const { y } = front(line);
    const last = reading(line, high);
    return last === null || !y.length ? null : Math.min(Math.max(place(up, isLog ? Math.max(last.y, up.low) : last.y), TOP), BOTTOM);
  });
  const labels = spread(
    ends.map((end) => (end ?? BOTTOM) + 4),
    13,
    TOP + 4,
    BOTTOM + 2,
  );
  const isSeen = (x: number, y: number) => {
    const [left, top] = [place(across, x), place(up, y)];
    // Points came as floats of 32 bits: the last one may lie a hair beyond the edge.
    return left > across.from - 1 && left < across.to + 1 && top > TOP - 1 && top < BOTTOM + 1;
  };
  const strength = (line: Line) => (pointed === null ? "" : head.runs[line.run]?.id === pointed ? "strong" : "faint");
  const isStale = drawn.key !== look.key && look.key !== "";

  return (
    <div class={`chart ${isStale || !isSame ? "stale" : ""}`} data-drawn={`${drawn.key} ${drawn.axis} ${drawn.smoothing}`}>
      <svg width={width} height={HEIGHT} aria-hidden="true">
        <clipPath id="inside">
          <rect x={across.from - 3} y={TOP - 4} width={Math.max(0, across.to - across.from + 6)} height={BOTTOM - TOP + 8} />
        </clipPath>
        {upward.map(({ at: value, label }) => (
          <g key={value}>
            <line class="grid" x1={across.from} x2={across.to} y1={place(up, value)} y2={place(up, value)} />
            <text x={across.from - 9} y={place(up, value) + 4} text-anchor="end">
              {label}
            </text>
          </g>
        ))}
        {along(drawn.axis, across, Math.max(2, Math.floor((across.to - across.from) / (drawn.axis === "clock" ? 120 : 90)))).map(
          ({ at: value, label }) => (
            <g key={value}>
              <line class="grid" x1={place(across, value)} x2={place(across, value)} y1={TOP} y2={BOTTOM} />
              <text x={Math.min(place(across, value), width - (label.length * DIGIT) / 2)} y={BOTTOM + 16} text-anchor="middle">
                {label}
              </text>
            </g>
          ),
        )}
        <line class="axis" x1={across.from} x2={across.to} y1={BOTTOM} y2={BOTTOM} />
        <g clip-path="url(#inside)">
          {paths.map(({ line, behind }) => behind && <path key={line.run} class="line behind" style={tone(looks(line))} d={behind} />)}
          {paths.map(({ line, d }) => (
            <path key={line.run} class={`line ${strength(line)}`} data-line={line.run} style={tone(looks(line))} d={d} />
          ))}
          {lines.length > 1 &&
            lines.map((line, i) => (
              <g key={line.run} class={strength(line)} style={tone(looks(line))}>
                {beads(front(line), across, up, i, lines.length > 24 ? 380 : 96).map(({ x, y }) => (
                  <path key={x} class="bead" d={looks(line).shape} transform={`translate(${x.toFixed(1)} ${y.toFixed(1)})`} />
                ))}
              </g>
            ))}
        </g>
        {lines.map((line) => {
          const best = direction && extreme(line, direction === "min");
          return (
            best &&
            // Whole or not at all: of a loss that falls, the best is at the very end.
            isSeen(best.x, best.y) && (
              <circle key={line.run} class="best" data-best={line.run} cx={place(across, best.x)} cy={place(up, best.y)} r="5.5" />
            )
          );
        })}
        {lines.map((line) => (
          <g key={line.run} style={tone(looks(line))}>
            {line.odd
              .filter(({ x }) => x >= low && x <= high)
              .map((odd) => (
                <path
                  key={`${odd.x} ${odd.kind}`}
                  class="odd"
                  data-odd={odd.kind}
                  d="M-4 -9h8L0 0Z"
                  transform={`translate(${place(across, odd.x).toFixed(1)} ${odd.kind === 2 ? BOTTOM : TOP}) ${odd.kind === 0 ? "" : odd.kind === 1 ? "rotate(180 0 -4)" : ""}`}
                >
                  <title>{`${head.runs[line.run]?.name}: ${oddWords(odd)} at ${said(drawn.axis, odd.x)}`}</title>
                </path>
              ))}
            {(isCut || isLog) &&
              cutOff(line.raw, across, up).map(({ at: x, isAbove }) => (
                <path
                  key={`${x} ${isAbove}`}
                  class="cut"
                  d={isAbove ? "M-3.5 5h7L0 -1Z" : "M-3.5 -5h7L0 1Z"}
                  transform={`translate(${x.toFixed(1)} ${isAbove ? TOP : BOTTOM})`}
                />
              ))}
          </g>
        ))}
        {right > 20 &&
          lines.map((line, i) => (
            <g key={line.run} style={tone(looks(line))}>
              <path class="bead" d={looks(line).shape} transform={`translate(${across.to + 11} ${(labels[i] as number) - 4})`} />
              <text class="name" x={across.to + 19} y={labels[i]}>
                {cutText(named[i] as string, (right - 22) / LETTER)}
              </text>
            </g>
          ))}
        {from !== null && to !== null && (
          <rect class="pick" x={Math.min(from, to)} y={TOP} width={Math.abs(to - from)} height={BOTTOM - TOP} />
        )}
        {read && (
          <>
            <line class="cross" x1={at} x2={at} y1={TOP} y2={BOTTOM} />
            {read.rows.map(
              ({ line, x, y }) =>
                isSeen(x, y) && (
                  <circle key={line.run} style={tone(looks(line))} class="bead" cx={place(across, x)} cy={place(up, y)} r="4" />
                ),
            )}
          </>
        )}
      </svg>
      <div
        ref={hand}
        class="hand"
        role="slider"
        tabIndex={0}
        aria-label={`Cross-hair over ${drawn.key}. Arrows move it, plus and minus zoom, brackets go to checkpoints, 0 shows all`}
        aria-valuemin={low}
        aria-valuemax={high}
        aria-valuenow={cursor ?? low}
        aria-valuetext={read ? read.words : "off"}
        style={`left:${across.from}px;top:${TOP}px;width:${Math.max(0, across.to - across.from)}px;height:${BOTTOM - TOP}px`}
        onKeyDown={onKeyDown}
        onFocus={(event) => event.currentTarget.matches(":focus-visible") && cursor === null && change({ cursor: (low + high) / 2 })}
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          setFrom(clamped(atPixel(event)));
          setTo(null);
        }}
        onPointerMove={(event) => {
          const pixel = clamped(atPixel(event));
          if (from !== null) setTo(Math.abs(pixel - from) < LEAST_DRAG ? null : pixel);
          change({ cursor: valueAt(across, pixel) });
        }}
        onPointerUp={() => {
          if (from !== null && to !== null) zoom(valueAt(across, Math.min(from, to)), valueAt(across, Math.max(from, to)));
          setFrom(null);
          setTo(null);
        }}
        onPointerLeave={() => {
          if (from === null) change({ cursor: null });
        }}
        onDblClick={() => zoom(null, null)}
        onWheel={(event) => {
          if (!event.ctrlKey && !event.altKey) return;
          event.preventDefault();
          nearer(event.deltaY < 0 ? FACTOR : 1 / FACTOR, valueAt(across, atPixel(event)));
        }}
      />
      {spots.map(({ mark, colour, x, y, words }) => (
        <button
          key={`${mark.run} ${mark.at} ${mark.name}`}
          type="button"
          class="mark"
          data-mark={mark.uri || mark.name}
          style={`left:${x}px;top:${y}px;--tone:${colour}`}
          aria-label={words}
          title={words}
          onClick={() => take(mark.uri || mark.name, mark.uri ? "the URI" : "the note")}
        >
          <svg width="12" height="12" viewBox="-6 -6 12 12" aria-hidden="true">
            <path d={mark.kind === "note" ? "M-4.5-4.5h9v9h-9ZM-2-1.5h4M-2 1.5h4" : "M0-5.5 5.5 0 0 5.5-5.5 0Z"} />
          </svg>
        </button>
      ))}
      {read && (
        <div class="tip" style={`${at > width / 2 ? `right:${width - at + 14}` : `left:${at + 14}`}px;top:${TOP + 8}px`}>
          <strong>{said(drawn.axis, read.x)}</strong>
          <table role="presentation">
            <tbody>
              {read.rows.slice(0, TOLD).map(({ line, x, y, raw, name }) => (
                <tr key={line.run}>
                  <td>
                    <Swatch look={looks(line)} />
                  </td>
                  <td>{name}</td>
                  <td class="number">
                    <strong>{exact(y)}</strong>
                  </td>
                  {raw !== null && <td class="number soft">({exact(raw)})</td>}
                  {x !== read.x && <td class="soft">at {said(drawn.axis, x)}</td>}
                </tr>
              ))}
            </tbody>
          </table>
          {read.rows.length > TOLD && <span class="soft">and {read.rows.length - TOLD} more</span>}
        </div>
      )}
    </div>
  );
}

export function Swatch({ look }: { look: LineLook }) {
  return (
    <svg class="swatch" viewBox="0 0 26 12" aria-hidden="true" style={tone(look)}>
      <path class="line" d="M1 6h24" />
      <path class="bead" d={look.shape} transform="translate(13 6)" />
    </svg>
  );
}

function tone(look: LineLook) {
  return { "--tone": look.colour, "--ink": `color-mix(in srgb, ${look.colour} 62%, var(--fg))`, "--dash": look.dash || "none" };
}

function cutText(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, Math.max(1, Math.floor(most) - 1))}…`;
}

function readings(head: CurveHead, lines: readonly Line[], cursor: number, isLowBest: boolean, axis: Settings["look"]["axis"]) {
  const rows = lines
    .flatMap((line) => {
      const found = reading(line, cursor);
      return found ? [{ line, name: head.runs[line.run]?.name ?? "", ...found }] : [];
    })
    .sort((a, b) => (isLowBest ? a.y - b.y : b.y - a.y));
  if (!rows.length) return null;
  // That of the nearest point: between two points there is nothing to read.
  const { x } = rows.reduce((best, row) => (Math.abs(row.x - cursor) < Math.abs(best.x - cursor) ? row : best));
  // A line that ended before, or has no value here, is read where it has one.
  const each = rows.slice(0, TOLD).map((row) => `${row.name} ${exact(row.y)}${row.x === x ? "" : ` (at ${said(axis, row.x)})`}`);
  const more = rows.length > TOLD ? `, and ${rows.length - TOLD} more` : "";
  return { x, rows, words: `at ${Math.round(x * 100) / 100}: ${each.join(", ")}${more}` };
}

/** Where the marks of these lines are along an axis, also those that are out of sight. */
function placesOf(head: CurveHead, lines: readonly Line[], axis: Settings["look"]["axis"]): number[] {
  const runs = lines.flatMap((line) => head.runs[line.run] ?? []);
  const found = head.marks.map((mark) => {
    const run = runs.find(({ id }) => id === mark.run);
    return run ? markAt(mark, run, axis) : null;
  });
  return [...new Set(found.filter((at) => at !== null))].sort((a, b) => a - b);
}

function spotsOf(head: CurveHead, lines: readonly Line[], axis: Settings["look"]["axis"], across: Scale, up: Scale): Spot[] {
  const found = head.marks.flatMap((mark): Spot[] => {
    const run = head.runs.find(({ id }) => id === mark.run);
    const line = lines.find(({ run: number }) => head.runs[number]?.id === mark.run);
    const at = run && markAt(mark, run, axis);
    if (!run || !line || at === null || at === undefined || at < across.low || at > across.high) return [];
    const value = reading(line, at)?.y;
    const shown = value === undefined ? up.low : Math.min(Math.max(value, up.low), up.high);
    const what = mark.kind === "note" ? "Note" : `Checkpoint${mark.target ? ` for the ${mark.target}` : ""}`;
    const words = `${what} of ${run.name} at ${said(axis, at)}${value === undefined ? "" : `, ${exact(value)}`}: ${mark.name}. Copy its ${mark.uri ? "URI" : "text"}`;
    return [{ mark, colour: lookOf(run.look).colour, at, x: place(across, at), y: place(up, shown), words }];
  });
  // A trainer's and a sampler's checkpoint are often saved at the same step.
  const same = new Map<string, Spot[]>();
  for (const spot of found) {
    const where = `${spot.mark.run} ${Math.round(spot.x)}`;
    same.set(where, [...(same.get(where) ?? []), spot]);
  }
  return [...same.values()].flatMap((all) => all.map((spot, i) => ({ ...spot, x: spot.x + (i - (all.length - 1) / 2) * BESIDE })));
}
