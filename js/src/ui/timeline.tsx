import { useEffect, useState } from "preact/hooks";
import type { Span } from "../contract";
import { everySecond } from "../every-second";
import { fullMoment, lasting, moment, stateWord } from "../format";
import { State, toneOf } from "./elements";
import { usePanel } from "./panel-context";
import { PART_NAMES } from "./run-summary";

/** A bar a half, from when the run was first seen until now; and the same as a table. */
export function Timeline({ spans }: { spans: readonly Span[] }) {
  const { session } = usePanel();
  const [, redraw] = useState(0);
  const goesOn = spans.some((span) => span.until === null);
  useEffect(() => (goesOn ? everySecond(redraw) : undefined), [goesOn]);

  const now = session.now();
  const known = session.knownUntil();
  const end = (span: Span) => span.until ?? known;
  const from = Math.min(...spans.map((span) => span.start));
  const to = Math.max(from + 1000, ...spans.map(end));
  const share = (ms: number) => `${(100 * ms) / (to - from)}%`;
  const long = (span: Span) => `${span.exact ? "" : "at least "}${lasting(end(span) - span.start)}`;
  const word = (span: Span) => (span.status === null ? "unknown" : stateWord(span.status));
  return (
    <div class="timeline">
      {(Object.keys(PART_NAMES) as Span["what"][]).map((what) => {
        const own = spans.filter((span) => span.what === what);
        return (
          own.length > 0 && (
            <div key={what} class="lane">
              <span class="soft" aria-hidden="true">
                {PART_NAMES[what]}
              </span>
              <div
                class="bar"
                role="img"
                aria-label={`${PART_NAMES[what]}: ${own.map((span) => `${word(span)} for ${long(span)}`).join(", then ")}`}
              >
                {own.map((span) => (
                  <span
                    key={span.start}
                    class={`${toneOf(span.status)}${span.exact ? "" : " from-before"}`}
                    data-span={span.status}
                    title={`${word(span)}, ${long(span)}`}
                    style={{ left: share(span.start - from), width: share(end(span) - span.start) }}
                  >
                    {word(span)}
                  </span>
                ))}
              </div>
            </div>
          )
        );
      })}
      <div class="lane axis soft" aria-hidden="true">
        <span />
        <span>{moment(from, now)}</span>
        <span>{goesOn && known === now ? "now" : moment(to, now)}</span>
      </div>
      <details>
        <summary>States and how long they lasted</summary>
        <table>
          <thead>
            <tr>
              {["Part", "State", "From", "Lasted"].map((title) => (
                <th key={title} scope="col">
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {spans
              .toSorted((a, b) => b.start - a.start)
              .map((span) => (
                <tr key={span.what + span.start}>
                  <td>{PART_NAMES[span.what]}</td>
                  <td>
                    <State state={span.status} />
                  </td>
                  <td title={fullMoment(span.start)}>
                    {span.exact ? "" : "before "}
                    {moment(span.start, now)}
                  </td>
                  <td>
                    {long(span)}
                    {span.until === null && " so far"}
                  </td>
                </tr>
              ))}
          </tbody>
        </table>
      </details>
    </div>
  );
}
