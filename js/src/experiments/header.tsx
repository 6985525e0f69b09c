import type { ComponentChildren } from "preact";
import type { Tone } from "../contract";
import { count, moment } from "../format";
import type { Status } from "../status";
import { Ago, IconButton } from "../ui/elements";
import { Icon } from "../ui/icons";
import { usePanel } from "../ui/panel-context";
import type { ExperimentTools } from "./app";
import type { State } from "./store";

/** Title, freshness, and the menu of the panel. */
export function Header({ state, status }: { state: State | null; status: Status }) {
  const { openMenu, copy, session } = usePanel<ExperimentTools>();
  const [tone, text] = statusText(state, status, session.now());
  return (
    <header>
      <h3>{state?.title ?? "Experiments"}</h3>
      <span class={`status soft ${tone}`}>
        {tone === "good" ? <span class="dot" /> : <Icon name={tone} />}
        {text}
      </span>
      {state?.lastAt != null && status === "live" && (
        <span class="soft">
          <Ago at={state.lastAt} before="Last value " after=" ago" />
        </span>
      )}
      {state && (
        <span class="buttons">
          <IconButton
            icon="more"
            label="Menu of the panel"
            kind="panel-menu"
            menu
            onPress={(button) =>
              openMenu(button, "Panel", [{ label: "Copy the line that opens this panel", detail: state.line, run: () => copy(state.line) }])
            }
          />
        </span>
      )}
    </header>
  );
}

function statusText(state: State | null, status: Status, now: number): readonly [Tone, ComponentChildren] {
  const at = state?.health.looked_at ?? state?.now ?? null;
  const asItWas = at === null ? "" : `as it was at ${moment(at, now)}`;
  switch (status) {
    case "starting":
      return ["busy", "Starting"];
    case "live": {
      const running = state ? countRunning(state) : 0;
      return ["good", `Updates live${running ? ` · ${count(running)} running` : ""}`];
    }
    case "failing":
      return ["bad", at === null ? "Nothing was read yet" : <Ago at={at} before="Not updated for " />];
    case "over":
      return ["over", `Ended, ${asItWas}`];
    case "waiting":
      return ["unknown", `Saved copy, ${asItWas}; asking the kernel`];
    case "saved":
      return ["unknown", `Saved copy, ${asItWas}`];
    default:
      return ["unknown", `No kernel, ${asItWas}`];
  }
}

function countRunning({ rows, places }: State): number {
  const at = places.get("state") ?? -1;
  let running = 0;
  for (const row of rows.byId.values()) if (row.cells[at] === "running") running++;
  return running;
}
