import { useEffect, useState } from "preact/hooks";
import type { Standing } from "../status";
import type { State } from "../store";
import { moment } from "../words";
import { Icon } from "./icons";
import { usePanel } from "./panel";
import { Ago } from "./small";

/** What a press of a button asks for stays visible until the kernel says something. */
const WAITING = 5000;

export function Head({ state, standing }: { state: State | null; standing: Standing }) {
  const { session, menu, copy } = usePanel();
  const [asked, setAsked] = useState<"refresh" | "pause" | null>(null);
  useEffect(() => setAsked(null), [state?.now, state?.health]);
  useEffect(() => {
    if (!asked) return undefined;
    const timer = setTimeout(() => setAsked(null), WAITING);
    return () => clearTimeout(timer);
  }, [asked]);
  const paused = standing === "paused";
  const reachable = ["starting", "live", "failing", "paused", "waiting", "silent"].includes(standing);
  return (
    <header>
      <h3>{state?.title ?? "Loops"}</h3>
      <StatusLine state={state} standing={standing} asked={asked} />
      <span class="buttons">
        {reachable && (
          <>
            <button
              type="button"
              class="quiet"
              data-action={paused ? "resume" : "pause"}
              title={paused ? "Go on looking" : "Stop looking"}
              aria-label={paused ? "Resume" : "Pause"}
              onClick={() => {
                setAsked("pause");
                session.send({ type: "pause", on: !paused });
              }}
            >
              <Icon name={paused ? "play" : "pause"} />
            </button>
            <button
              type="button"
              class={asked === "refresh" ? "quiet asked" : "quiet"}
              data-action="refresh"
              title="Look now"
              aria-label="Refresh"
              onClick={() => {
                setAsked("refresh");
                session.send({ type: "refresh" });
              }}
            >
              <Icon name="refresh" />
            </button>
          </>
        )}
        {state?.line && (
          <button
            type="button"
            class="quiet"
            data-action="menu"
            aria-label="Menu of the panel"
            aria-haspopup="menu"
            onClick={(event) =>
              menu(event.currentTarget, "Panel", [
                { label: "Copy the line that opens this panel", detail: state.line, run: () => copy(state.line) },
              ])
            }
          >
            <Icon name="more" />
          </button>
        )}
      </span>
    </header>
  );
}

function StatusLine({ state, standing, asked }: { state: State | null; standing: Standing; asked: "refresh" | "pause" | null }) {
  const { session } = usePanel();
  const [queued, setQueued] = useState(false);
  useEffect(() => {
    setQueued(false);
    if (!asked) return undefined;
    const timer = setTimeout(() => setQueued(true), 1000);
    return () => clearTimeout(timer);
  }, [asked]);
  const at = state?.health.looked_at ?? null;
  const asItWas = state ? `as it was at ${moment(at ?? state.now, session.now())}` : "";
  if (queued) return <Line tone="busy">Queued: the kernel is busy</Line>;
  switch (standing) {
    case "starting":
      return <Line tone="busy">Looking for the first time</Line>;
    case "live":
      return (
        <Line tone="good" live title={state?.health.every ? `Looks every ${round(state.health.every)} s` : ""}>
          {at === null ? "Live" : <Ago key="ago" at={at} before="Updated " after=" ago" />}
        </Line>
      );
    case "failing":
      return <Line tone="bad">{at === null ? "No answer yet" : <Ago key="ago" at={at} before="Not updated for " />}</Line>;
    case "paused":
      return <Line tone="idle">Paused, {asItWas}</Line>;
    case "over":
      return <Line tone="over">Over, {asItWas}</Line>;
    case "waiting":
      return <Line tone="unknown">Saved copy, {asItWas}; asking the kernel</Line>;
    case "saved":
      return <Line tone="unknown">Saved copy, {asItWas}</Line>;
    case "silent":
    case "gone":
      return <Line tone="unknown">No kernel, {asItWas}</Line>;
  }
}

function Line({ tone, live, title, children }: { tone: string; live?: boolean; title?: string; children: preact.ComponentChildren }) {
  return (
    <span class={`standing ${tone}`} title={title}>
      {live ? <span class="dot" aria-hidden="true" /> : <Icon name={tone as "good"} />}
      <span>{children}</span>
    </span>
  );
}

function round(seconds: number): number {
  return Math.round(seconds * 10) / 10;
}
