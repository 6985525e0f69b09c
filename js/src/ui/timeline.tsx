import { useEffect, useState } from "preact/hooks";
import { everySecond } from "../clock";
import type { Span } from "../contract";
import { fullMoment, lasting, MISSING, moment, stateWord, toTheSecond } from "../words";
import { usePanel } from "./panel";
import { HALVES } from "./run";
import { State, toneOf } from "./small";

const ORDER: readonly Span["what"][] = ["run", "deployment", "sampler"];

/** A bar a half, from when the run was first seen until now; and the same as a table. */
export function Timeline({ spans }: { spans: readonly Span[] }) {
  const { session } = usePanel();
  const [, redraw] = useState(0);
  const now = session.now();
  const goesOn = spans.some((span) => span.until === null);
  useEffect(() => (goesOn ? everySecond(() => redraw((n) => n + 1)) : undefined), [goesOn]);
  const from = Math.min(...spans.map((span) => span.start));
  const to = Math.max(from + 1000, ...spans.map((span) => span.until ?? now));
  const left = (at: number) => `${(100 * (at - from)) / (to - from)}%`;
  const long = (span: Span) => lasting((span.until ?? now) - span.start);
  return (
    <div class="timeline" data-timeline>
      {ORDER.filter((what) => spans.some((span) => span.what === what)).map((what) => {
        const own = spans.filter((span) => span.what === what);
        return (
          <div key={what} class="lane">
            <span class="what" aria-hidden="true">
              {HALVES[what]}
            </span>
            <div
              class="bar"
              role="img"
              aria-label={`${HALVES[what]}: ${own.map((span) => `${word(span)} for ${long(span)}`).join(", then ")}`}
            >
              {own.map((span) => (
                <span
                  key={`${span.start} ${span.status}`}
                  class={`span ${span.status === null ? "unknown" : toneOf(span.status)}${span.exact ? "" : " open-ended"}`}
                  data-state={span.status}
                  title={`${word(span)}, ${span.exact ? "" : "at least "}${long(span)}`}
                  style={{ left: left(span.start), width: `${(100 * ((span.until ?? now) - span.start)) / (to - from)}%` }}
                >
                  <span>{word(span)}</span>
                </span>
              ))}
            </div>
          </div>
        );
      })}
      <div class="axis" aria-hidden="true">
        <span>{moment(from, now)}</span>
        <span>{goesOn ? "now" : moment(to, now)}</span>
      </div>
      <details>
        <summary>All states and how long they lasted</summary>
        <table>
          <thead>
            <tr>
              <th scope="col">Part</th>
              <th scope="col">State</th>
              <th scope="col">From</th>
              <th scope="col" class="count">
                Lasted
              </th>
            </tr>
          </thead>
          <tbody>
            {[...spans]
              .sort((a, b) => b.start - a.start || ORDER.indexOf(a.what) - ORDER.indexOf(b.what))
              .map((span) => (
                <tr key={`${span.what} ${span.start} ${span.status}`}>
                  <td>{HALVES[span.what]}</td>
                  <td>
                    <State state={span.status} />
                  </td>
                  <td title={fullMoment(span.start)}>
                    {span.exact ? "" : "before "}
                    {toTheSecond(span.start, now)}
                  </td>
                  <td class="count">
                    {span.exact ? "" : "at least "}
                    {long(span)}
                    {span.until === null ? " so far" : ""}
                  </td>
                </tr>
              ))}
          </tbody>
        </table>
      </details>
    </div>
  );
}

function word(span: Span): string {
  return span.status === null ? MISSING : stateWord(span.status);
}
