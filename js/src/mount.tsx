import type { Host } from "@anywidget/types";
import { type ComponentType, render } from "preact";
import { followScheme } from "./color-scheme";
import { uniqueId } from "./ids";
import { hideReport } from "./report";
import { reportVisibility, type ViewListener } from "./visibility";

/** What draws a session. */
export type App<S> = ComponentType<{
  session: S;
  /** The name by which the kernel knows this drawing of it. */
  view: string;
  /** Has other widgets shown inside of this one; not every page can do that. */
  host: Host | undefined;
}>;

/** Shows a session in an element of the page; returns what takes it away again. */
export function mount<S extends ViewListener>(session: S, el: HTMLElement, Shown: App<S>, style: string, host?: Host): () => void {
  const own = document.createElement("div");
  // The static report beside it looks for this name, and steps aside.
  own.className = "loops-nb-live";
  // Otherwise keys typed on a button of the panel are commands to the notebook.
  own.dataset.lmSuppressShortcuts = "true";
  const root = own.attachShadow({ mode: "open" });
  const sheet = document.createElement("style");
  sheet.textContent = style;
  const place = document.createElement("div");
  root.append(sheet, place);
  el.append(own);

  const unfollow = followScheme(own);
  const view = uniqueId();
  render(<Shown session={session} view={view} host={host} />, place);
  const leave = reportVisibility(session, view, own);
  const showReport = hideReport(own);
  return () => {
    leave();
    showReport();
    unfollow();
    render(null, place);
    own.remove();
  };
}
