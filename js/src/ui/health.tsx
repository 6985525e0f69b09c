import { useEffect, useRef, useState } from "preact/hooks";
import { everySecond } from "../clock";
import type { Standing } from "../status";
import type { State } from "../store";
import { age, moment } from "../words";
import { Icon } from "./icons";
import { usePanel } from "./panel";

/** Says what is wrong with the data and what to do, while it is; and once, that all is well again. */
export function Health({ state, standing }: { state: State | null; standing: Standing }) {
  const { say, session } = usePanel();
  const before = useRef(standing);
  useEffect(() => {
    const last = before.current;
    before.current = standing;
    if (last === standing) return;
    if (standing === "failing") say(`The service cannot be reached. ${state?.health.reason ?? ""}`);
    else if (standing === "silent" || standing === "gone") say("The kernel does not answer; what is shown may be old.");
    else if (standing === "live" && ["failing", "silent", "gone", "waiting", "saved"].includes(last)) say("Live again.");
  }, [standing]);
  if (!state) return null;
  const { reason, hint, since, next_at: nextAt, looked_at: lookedAt } = state.health;
  const now = session.now();
  switch (standing) {
    case "failing":
      return (
        <Banner tone="bad" lead={since === null ? "No answer" : `No answer since ${moment(since, now)}`}>
          {reason && <span>{reason} </span>}
          {hint && <span>{hint} </span>}
          {lookedAt !== null && <span>What you see is from {moment(lookedAt, now)}. </span>}
          {nextAt !== null && <NextTry at={nextAt} />}
        </Banner>
      );
    case "over":
      return reason || hint ? (
        <p class="remark">
          {reason} {hint}
        </p>
      ) : null;
    case "silent":
      return (
        <Banner tone="unknown" lead="No word from the kernel">
          It may be busy, or gone. What you see may be old. If it does not come back, run the cell again.
        </Banner>
      );
    case "gone":
      return (
        <Banner tone="unknown" lead="The kernel was restarted or shut down">
          What you see is old. Run the cell again for a live panel{state.line ? ": " : "."}
          {state.line && <code>{state.line}</code>}
        </Banner>
      );
    case "saved":
      return (
        <Banner tone="unknown" lead="A saved copy">
          No kernel stands behind it. Run the cell again for a live panel{state.line ? ": " : "."}
          {state.line && <code>{state.line}</code>}
        </Banner>
      );
    default:
      return null;
  }
}

function Banner({ tone, lead, children }: { tone: "bad" | "unknown"; lead: string; children: preact.ComponentChildren }) {
  return (
    <div class={`banner ${tone}`} data-health>
      <Icon name={tone} />
      <p>
        <strong>{lead}.</strong> {children}
      </p>
    </div>
  );
}

function NextTry({ at }: { at: number }) {
  const { session } = usePanel();
  const left = () => at - session.now();
  const [text, setText] = useState("");
  useEffect(() => {
    const draw = () => setText(left() > 0 ? `Next try in ${age(left() + 999)}.` : "Trying now.");
    draw();
    return everySecond(draw);
  }, [at]);
  return <span data-next>{text}</span>;
}
