import { type ComponentType, render } from "preact";
import { freshName } from "./names";
import { type Audience, announcePresence } from "./presence";
import { hideReport } from "./report";
import { followScheme } from "./scheme";

/** What draws a session; `view` is the name by which the kernel knows this drawing of it. */
export type App<S> = ComponentType<{ session: S; view: string }>;

/** Shows a session in an element of the page; returns what takes it away again. */
export function mount<S extends Audience>(session: S, el: HTMLElement, Shown: App<S>, style: string): () => void {
  const host = document.createElement("div");
  // The static report beside it looks for this name, and steps aside.
  host.className = "loops-nb-live";
  // Otherwise keys typed on a button of the panel are commands to the notebook.
  host.dataset.lmSuppressShortcuts = "true";
  const root = host.attachShadow({ mode: "open" });
  const sheet = document.createElement("style");
  sheet.textContent = style;
  const place = document.createElement("div");
  root.append(sheet, place);
  el.append(host);

  const unfollow = followScheme(host);
  const view = freshName();
  render(<Shown session={session} view={view} />, place);
  const leave = announcePresence(session, view, host);
  const showReport = hideReport(host);
  return () => {
    leave();
    showReport();
    unfollow();
    render(null, place);
    host.remove();
  };
}
