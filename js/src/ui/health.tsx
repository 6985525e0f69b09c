import { useEffect, useRef, useState } from "preact/hooks";
import { everySecond } from "../clock";
import { isReachable, type Standing } from "../status";
import type { State } from "../store";
import { lasting, moment } from "../words";
import { usePanel } from "./panel";
import { Banner } from "./small";

const LEAD: Partial<Record<Standing, string>> = {
  silent: "No word from the kernel.",
  gone: "The kernel was restarted or shut down.",
  saved: "A saved copy without a kernel.",
};

/** Says what is wrong with the data and what to do, while it is; and once, that all is well again. */
export function Health({ state, standing }: { state: State; standing: Standing }) {
  const { say, session } = usePanel();
  const before = useRef(standing);
  const { reason, hint, since, next_at: nextAt, looked_at: lookedAt } = state.health;
  const lead = LEAD[standing];
  useEffect(() => {
    const last = before.current;
    before.current = standing;
    if (last === standing) return;
    if (standing === "failing") say(`Not up to date. ${reason}`);
    else if (lead) say(`${lead} What is shown may be old.`);
    else if (standing === "live" && (last === "failing" || LEAD[last])) say("Live again.");
  }, [standing]);
  const now = session.now();
  if (standing === "failing") {
    return (
      <Banner tone="bad" lead={`Not up to date${since === null ? "" : ` since ${moment(since, now)}`}.`} data-health={standing}>
        {reason} {lookedAt !== null && `What you see is from ${moment(lookedAt, now)}. `}
        {nextAt !== null && <NextTry at={nextAt} />} {hint}
      </Banner>
    );
  }
  if (lead) {
    return (
      <Banner tone="unknown" lead={lead} data-health={standing}>
        {isReachable(standing) ? "It may be busy, or gone. " : ""}What you see may be old. Run the cell again for a live panel
        {isReachable(standing) ? ", if it stays so" : ""}: <code>{state.line}</code>
      </Banner>
    );
  }
  return standing === "over" && (reason || hint) ? (
    <p class="soft" data-health={standing}>
      {reason} {hint}
    </p>
  ) : null;
}

function NextTry({ at }: { at: number }) {
  const { session } = usePanel();
  const [, redraw] = useState(0);
  useEffect(() => everySecond(redraw), []);
  const left = at - session.now();
  return <span>{left > 0 ? `Next try in ${lasting(left + 999, 1)}.` : "Trying now."}</span>;
}
