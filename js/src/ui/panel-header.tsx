import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import type { Tone } from "../contract";
import { moment } from "../format";
import { QUEUED_AFTER } from "../session";
import { isReachable, type Status } from "../status";
import type { State } from "../store";
import { Ago, IconButton } from "./elements";
import { Icon } from "./icons";
import { usePanel } from "./panel-context";

export function PanelHeader({ state, status }: { state: State | null; status: Status }) {
  const { session, openMenu, copy } = usePanel();
  const isPaused = status === "paused";
  // What a press of a button asks for is on its way until it can be seen to be done.
  const [asked, setAsked] = useState<"pause" | "refresh" | null>(null);
  const [isQueued, setQueued] = useState(false);
  const lookedAt = state?.health.looked_at;
  useLayoutEffect(() => setAsked(null), [isPaused]);
  useLayoutEffect(() => setAsked((now) => (now === "refresh" ? null : now)), [lookedAt]);
  useEffect(() => {
    setQueued(false);
    if (!asked) return undefined;
    const timer = setTimeout(() => setQueued(true), QUEUED_AFTER);
    return () => clearTimeout(timer);
  }, [asked]);
  const [tone, text] = asked && isQueued ? (["busy", "Queued: the kernel is busy"] as const) : statusText(state, status, session.now());
  return (
    <header>
      <h3>{state?.title ?? "Loops"}</h3>
      <span class={`status soft ${tone}`} title={state?.health.every ? `Looks every ${Math.round(state.health.every * 10) / 10} s` : ""}>
        {tone === "good" ? <span class="dot" /> : <Icon name={tone} />}
        {text}
      </span>
      <span class="buttons">
        {isReachable(status) && (
          <>
            <IconButton
              icon={isPaused ? "play" : "pause"}
              label={isPaused ? "Resume: go on looking" : "Pause: stop looking"}
              kind={isPaused ? "resume" : "pause"}
              onPress={() => session.send({ type: "set_polling", paused: !isPaused }) && setAsked("pause")}
            />
            <IconButton
              icon="refresh"
              label="Refresh: look now"
              kind="refresh"
              onPress={() => session.send({ type: "refresh" }) && setAsked("refresh")}
            />
          </>
        )}
        {state?.line && (
          <IconButton
            icon="more"
            label="Menu of the panel"
            kind="panel-menu"
            menu
            onPress={(button) =>
              openMenu(button, "Panel", [{ label: "Copy the line that opens this panel", detail: state.line, run: () => copy(state.line) }])
            }
          />
        )}
      </span>
    </header>
  );
}

function statusText(state: State | null, status: Status, now: number): readonly [Tone, ComponentChildren] {
  const at = state?.health.looked_at ?? null;
  const asItWas = state ? `as it was at ${moment(at ?? state.now, now)}` : "";
  switch (status) {
    case "starting":
      return ["busy", "Looking for the first time"];
    case "live":
      return ["good", at === null ? "Live" : <Ago at={at} before="Updated " after=" ago" />];
    case "failing":
      return ["bad", at === null ? "Nothing came yet" : <Ago at={at} before="Not updated for " />];
    case "paused":
      return ["idle", `Paused, ${asItWas}`];
    case "over":
      return ["over", `Over, ${asItWas}`];
    case "waiting":
      return ["unknown", `Saved copy, ${asItWas}; asking the kernel`];
    case "saved":
      return ["unknown", `Saved copy, ${asItWas}`];
    default:
      return ["unknown", `No kernel, ${asItWas}`];
  }
}
