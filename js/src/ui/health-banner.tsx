import { useEffect, useRef, useState } from "preact/hooks";
import { everySecond } from "../every-second";
import { lasting, moment } from "../format";
import { isReachable, type Status } from "../status";
import type { State } from "../store";
import { Banner } from "./elements";
import { type PanelTools, usePanel } from "./panel-context";

const LEAD: Partial<Record<Status, string>> = {
  silent: "No word from the kernel.",
  gone: "The kernel was restarted or shut down.",
  saved: "A saved copy without a kernel.",
};

/** Says what is wrong with the data and what to do, while it is; and once, that all is well again. */
export function HealthBanner({ state, status }: { state: Pick<State, "health" | "line">; status: Status }) {
  const { announce, session } = usePanel<PanelTools>();
  const before = useRef(status);
  const { reason, hint, since, next_at: nextAt, looked_at: lookedAt } = state.health;
  const lead = LEAD[status];
  useEffect(() => {
    const last = before.current;
    before.current = status;
    if (last === status) return;
    if (status === "failing") announce(`Not up to date. ${reason}`);
    else if (lead) announce(`${lead} What is shown may be old.`);
    else if (status === "live" && (last === "failing" || LEAD[last])) announce("Live again.");
  }, [status]);
  const now = session.now();
  if (status === "failing") {
    return (
      <Banner tone="bad" lead={`Not up to date${since === null ? "" : ` since ${moment(since, now)}`}.`} data-health={status}>
        {reason} {lookedAt !== null && `What you see is from ${moment(lookedAt, now)}. `}
        {nextAt !== null && <NextTry at={nextAt} />} {hint}
      </Banner>
    );
  }
  if (lead) {
    return (
      <Banner tone="unknown" lead={lead} data-health={status}>
        {isReachable(status) ? "It may be busy, or gone. " : ""}What you see may be old. Run the cell again for a live panel
        {isReachable(status) ? ", if it stays so" : ""}: <code>{state.line}</code>
      </Banner>
    );
  }
  return status === "over" && (reason || hint) ? (
    <p class="soft" data-health={status}>
      {reason} {hint}
    </p>
  ) : null;
}

function NextTry({ at }: { at: number }) {
  const { session } = usePanel<PanelTools>();
  const [, redraw] = useState(0);
  useEffect(() => everySecond(redraw), []);
  const left = at - session.now();
  return <span>{left > 0 ? `Next try in ${lasting(left + 999, 1)}.` : "Trying now."}</span>;
}
