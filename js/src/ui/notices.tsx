import { useEffect, useRef, useState } from "preact/hooks";
import type { Notice } from "../contract";
import { ask, permission } from "../notify";
import { many, moment } from "../words";
import { Icon } from "./icons";
import { usePanel } from "./panel";

const AT_ONCE = 3;

/** What ended or came up.  Each is said once by a screen reader, when it comes; those that were there before are only shown. */
export function Notices({ notices, notify }: { notices: readonly Notice[]; notify: boolean }) {
  const { session } = usePanel();
  const [dismissed, setDismissed] = useState<ReadonlySet<string>>(new Set());
  const [all, setAll] = useState(false);
  const [allowed, setAllowed] = useState(permission());
  const known = useRef<Set<string> | null>(null);
  const fresh = known.current ? notices.filter((notice) => !known.current?.has(notice.id)) : [];
  const [spoken, setSpoken] = useState<{ bad: string; other: string }>({ bad: "", other: "" });
  useEffect(() => {
    const first = known.current === null && session.state === null;
    known.current ??= new Set();
    for (const notice of notices) known.current.add(notice.id);
    if (first || !fresh.length) return;
    const text = (wanted: boolean) =>
      fresh.filter((notice) => (notice.tone === "bad") === wanted).map((notice) => `${notice.text} ${notice.hint}`);
    setSpoken({ bad: text(true).join(" "), other: text(false).join(" ") });
  }, [notices]);

  const open = notices.filter((notice) => !dismissed.has(notice.id));
  const shown = all ? open : open.slice(0, AT_ONCE);
  const asks = notify && allowed === "default";
  return (
    <div class="notices">
      <div class="unseen" role="alert">
        {spoken.bad}
      </div>
      <div class="unseen" role="status">
        {spoken.other}
      </div>
      {asks && (
        <p class="remark">
          <button type="button" data-action="allow" onClick={() => ask().then(() => setAllowed(permission()))}>
            <Icon name="bell" /> Allow notifications
          </button>{" "}
          This panel may tell you in another tab when something ends.
        </p>
      )}
      {shown.map((notice) => (
        <div key={notice.id} class={`banner ${notice.tone}`} data-notice={notice.id}>
          <Icon name={notice.tone} />
          <p>
            <strong>{notice.text}</strong> {notice.hint} <time class="when">{moment(notice.at, session.now())}</time>
          </p>
          <button
            type="button"
            class="quiet"
            aria-label={`Dismiss: ${notice.text}`}
            title="Dismiss"
            onClick={() => setDismissed(new Set([...dismissed, notice.id]))}
          >
            <Icon name="close" />
          </button>
        </div>
      ))}
      {open.length > AT_ONCE && (
        <p class="remark">
          <button type="button" aria-expanded={all} onClick={() => setAll(!all)}>
            {all ? "Show the newest only" : `Show ${many(open.length - AT_ONCE, "more notice")}`}
          </button>{" "}
          <button type="button" onClick={() => setDismissed(new Set([...dismissed, ...open.map((notice) => notice.id)]))}>
            Dismiss all
          </button>
        </p>
      )}
    </div>
  );
}
