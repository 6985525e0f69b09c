import { useEffect, useRef, useState } from "preact/hooks";
import { many } from "../format";
import { QUEUED_AFTER } from "../session";
import { isReachable, type Status } from "../status";
import { CopyButton, IconButton } from "../ui/elements";
import { Inside } from "../ui/inside";
import { usePanel } from "../ui/panel-context";
import type { ExperimentTools } from "./app";
import { cellOf } from "./table-data";

interface Props {
  ids: readonly string[];
  status: Status;
  onClose: () => void;
}

/** Ticks come one after the other, and each choice of experiments is another widget. */
const ASK_AFTER = 250;
/** What did not come by then may have been lost on its way. */
const LOST_AFTER = 8000;

/** The curves of one experiment with all that is recorded of it, or of several over each other. */
export function Opened({ ids, status, onClose }: Props) {
  const { session, view, host } = usePanel<ExperimentTools>();
  const element = useRef<HTMLElement>(null);
  const wanted = ids.join("\n");
  const answer = session.store.curves(view);
  const isAnswered = answer?.ids.join("\n") === wanted;
  const isLate = useCurves(wanted, isAnswered);
  const [isForeign, setForeign] = useState(false);
  const names = ids.map((id) => nameOf(session.state, id));
  const title = names.length === 1 ? String(names[0]) : many(names.length, "experiment");
  useEffect(() => element.current?.scrollIntoView({ block: "nearest" }), [isAnswered]);
  return (
    <section
      ref={element}
      class="opened"
      aria-label={`Curves of ${title}`}
      data-opened={ids.length}
      onKeyDown={(event) => {
        if (event.key === "Escape" && !event.defaultPrevented) onClose();
      }}
    >
      <div class="facts">
        <h4>{title}</h4>
        {ids.length === 1 && (
          <span class="code">
            {ids[0]}
            <CopyButton text={String(ids[0])} what={`the id of ${title}`} />
          </span>
        )}
        <span class="buttons">
          <IconButton icon="close" label={`Close the curves of ${title}`} kind="close-curves" onPress={onClose} />
        </span>
      </div>
      {isAnswered && answer && answer.facts.length > 0 && (
        <dl class="details" aria-label={`Details of ${title}`}>
          {answer.facts.map(({ column, title: heading, value }, i) => (
            <div key={`${column} ${i}`}>
              <dt class="soft" title={heading}>
                {heading}
              </dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      )}
      {!isAnswered && (
        <p class="soft" role="status">
          {!isReachable(status)
            ? "Curves are read by the kernel, which is not there. Run the cell again."
            : isLate
              ? "Waiting for the kernel: it is busy."
              : "Opening the curves."}
        </p>
      )}
      {answer && isAnswered && (!answer.widget || isForeign) && <p class="soft">{answer.text}</p>}
      {answer?.widget && isAnswered && <Inside key={answer.widget} host={host} widget={answer.widget} onFail={() => setForeign(true)} />}
    </section>
  );
}

/** Asks for the curves; returns whether the kernel lets one wait. */
function useCurves(wanted: string, isAnswered: boolean): boolean {
  const { session, view } = usePanel<ExperimentTools>();
  const isFirst = useRef(true);
  const [isLate, setLate] = useState(false);
  useEffect(() => {
    setLate(false);
    if (isAnswered) return undefined;
    const ask = () => session.send({ type: "open_curves", view, ids: wanted.split("\n") });
    const timers = [setTimeout(ask, isFirst.current ? 0 : ASK_AFTER), setTimeout(() => setLate(true), ASK_AFTER + QUEUED_AFTER)];
    const again = setInterval(ask, LOST_AFTER);
    isFirst.current = false;
    return () => {
      for (const timer of timers) clearTimeout(timer);
      clearInterval(again);
    };
  }, [wanted, isAnswered]);
  return isLate;
}

function nameOf(state: ExperimentTools["session"]["state"], id: string): string {
  const row = state?.rows.byId.get(id);
  return (row && state && (cellOf(row, state.places, "name") as string | null)) || id;
}
